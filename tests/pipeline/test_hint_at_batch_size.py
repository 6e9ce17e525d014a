"""A model that fails on few samples: the batch size is hinted at where the failure is of shapes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

DATA = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
HINT = (
    "where so many samples belong together, as the nodes of a graph do, say how many: batch_size=N"
)


def make_model(k, call):
    class Layer(k.layers.Layer):
        def call(self, x):
            return call(x)

        def compute_output_shape(self, shape):
            return shape

    x = k.Input((4,), name="x")
    return k.Model(x, Layer(name="layer")(x))


OF_SHAPES = {
    "reshaped": lambda x: tf.reshape(tf.reshape(x, (-1, 4, 4)) * 2, (-1, 4)),
    "split": lambda x: tf.concat([part * 2 for part in tf.split(x, 4)], 0),
    "multiplied": lambda x: tf.matmul(tf.eye(8) * 2, x),
}


def refuse(x):
    with tf.control_dependencies([tf.Assert(tf.shape(x)[0] == 8, ["these are too few"])]):
        return x * 2


@KERASES
@pytest.mark.parametrize("kind", OF_SHAPES)
def test_it_is_where_shapes_do_not_fit(k, kind):
    model = make_model(k, OF_SHAPES[kind])
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "layer", DATA)
    assert caught.value.hint == HINT
    assert "failed on a batch" in caught.value.faults[0]
    received = kprobe.activations(model, "layer", DATA, batch_size=8)
    np.testing.assert_allclose(received["layer"], DATA * 2, rtol=1e-6)


@KERASES
def test_it_is_not_where_something_else_failed(k):
    with pytest.raises(kprobe.KprobeError, match="these are too few") as caught:
        kprobe.activations(make_model(k, refuse), "layer", DATA)
    assert caught.value.hint is None
