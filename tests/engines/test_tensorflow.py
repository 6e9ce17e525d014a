"""A layer whose output is too large is refused before it is run, and named."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.errors import KprobeError, ModelError

L = keras.layers
MB = 10**6


def make(*layers, shape=(4, 4, 1)):
    """A model in which what is large lies between its input and a small output."""
    x = y = keras.Input(shape, name="x")
    for layer in layers:
        y = layer(y)
    return keras.Model(
        x, L.Lambda(lambda v: tf.reduce_sum(v, range(1, len(v.shape))), name="sum")(y)
    )


@pytest.mark.parametrize(
    ("layers", "shape", "said"),
    [
        # A sample has 16 MB of each, as 4,000,000 numbers of four bytes.
        ([L.UpSampling2D(500, name="up")], (4, 4, 1), r"\(None, 2000, "),
        ([L.ZeroPadding2D(998, name="up")], (4, 4, 1), r"\(None, 2000, "),
        ([L.RepeatVector(10**6, name="up")], (4,), r"\(None, .*1000000, 4\)"),
        ([L.Conv2DTranspose(1, 1, strides=500, name="up")], (4, 4, 1), r"\(None, 2000, 2000, 1\)"),
    ],
    ids=lambda value: value[0].__class__.__name__ if isinstance(value, list) else "",
)
def test_a_large_layer_is_named_before_it_is_run(layers, shape, said):
    model = make(*layers, shape=shape)
    with pytest.raises(
        ModelError, match=rf"^up: .* has shape {said}.* and takes 16,[\d,]+ bytes"
    ) as caught:
        kprobe.activations(model, ["sum"], random=1, max_activation_bytes=15 * MB)
    assert "and 15,000,000 are allowed; leave out the layers that need it, or " in str(caught.value)
    assert len(str(caught.value)) < 300
    found = kprobe.activations(model, ["sum"], random=3, max_activation_bytes=40 * MB)
    free = kprobe.activations(model, ["sum"], random=3)
    np.testing.assert_array_equal(found["sum"], free["sum"])


def test_a_layer_that_is_not_needed_may_be_of_any_size():
    x = keras.Input((4, 4, 1), name="x")
    small = L.ReLU(name="small")(x)
    model = keras.Model(x, [small, L.UpSampling2D(10**4, name="up")(x)])
    kprobe.activations(model, ["small"], random=2, max_activation_bytes=1000)


def test_the_batch_counts():
    model = make(L.UpSampling2D(10, name="up"))  # 6,400 bytes a sample
    for batch_size, rows, fits in ((10, 40, True), (11, 40, False), (1000, 10, True)):
        asked = {"random": rows, "batch_size": batch_size, "max_activation_bytes": 64_000}
        if fits:
            assert kprobe.activations(model, ["sum"], **asked)["sum"].shape == (rows,)
            continue
        with pytest.raises(
            ModelError,
            match="takes 70,400 bytes or more for a batch of 11, and 64,000 are allowed; "
            "take smaller batches, leave out",
        ):
            kprobe.activations(model, ["sum"], **asked)
    # Where no size is asked for, one is chosen that fits.
    found = kprobe.activations(model, ["up"], random=40, max_activation_bytes=64_000)
    assert found["up"].shape == (40, 40, 40, 1)


def test_a_layer_in_a_loop_or_a_function_is_looked_into():
    class Inner(L.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.up = L.UpSampling2D(500, name="up")

        def call(self, x):
            def step(i, total):
                return i + 1, total + tf.reduce_sum(self.up(x), [1, 2, 3])

            return tf.while_loop(lambda i, _: i < 2, step, (0, tf.zeros(tf.shape(x)[:1])))[1]

        def compute_output_shape(self, shape):
            return shape[:1]

    x = keras.Input((4, 4, 1), name="x")
    model = keras.Model(x, Inner(name="inner")(x))
    with pytest.raises(ModelError, match=r"^inner/up: .* and takes 16,000,000 bytes"):
        kprobe.activations(model, ["inner"], random=2, max_activation_bytes=15 * MB)


def test_what_can_be_no_limit_is_said():
    with pytest.raises(KprobeError, match="max_activation_bytes: expected"):
        kprobe.activations(make(), ["sum"], random=1, max_activation_bytes=0)
