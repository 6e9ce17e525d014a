"""Models of one layer that runs a function, in both Kerases: for what happens inside of layers."""

from __future__ import annotations

import keras
import pytest
import tf_keras

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def count_anew(k):
    """Let a Keras count the names of layers from anew, as in another process.

    Without the search for garbage that comes with clearing all, which takes half a second.
    """
    if k is keras:
        keras.backend.clear_session(free_memory=False)
    else:
        tf_keras.backend.reset_uids()


def wrap(k, run, *parts):
    """Give a model of one layer, `probe`, that runs `run` on rows of shape (7, 4).

    Args:
        k: The Keras.
        run: The function.
        *parts: Layers that it calls.
    """

    class Probe(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.parts = list(parts)

        def call(self, x):
            return run(x)

    i = k.Input((7, 4), name="seq")
    return k.Model(i, Probe(name="probe")(i))
