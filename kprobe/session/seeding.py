"""Seed what layers are made with."""

from __future__ import annotations

import random
import sys

import numpy as np
import tensorflow as tf


def seed_initializers(seed: int) -> None:
    """Make the weights that layers are made with follow from a seed, in either Keras."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    tf.random.set_seed(seed)
    if "tf_keras" in sys.modules:
        # An earlier call of this has made a generator, which is asked instead of `random`.
        sys.modules["tf_keras"].utils.set_random_seed(seed)
