"""A subclassed model that isn't built is called on batches of the size asked for, never smaller."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

DATA = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def make_unbuilt(k, frames=1):
    """A model that isn't built, and the sizes of all the batches that run through it."""
    sizes = []

    class Net(k.Model):
        def __init__(self):
            super().__init__()
            self.dense = k.layers.Dense(3, name="dense")

        def call(self, x):
            def note(values):
                sizes.append(len(values))
                return values

            noted = tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), x.shape)
            clips = tf.reshape(noted, (-1, frames, 4))
            return self.dense(tf.reshape(clips - clips[:, :1], (-1, 4)))

    return Net(), sizes


def reference(model, frames):
    clips = DATA.reshape(-1, frames, 4)
    kernel, bias = (np.asarray(weight) for weight in model.get_weights())
    return (clips - clips[:, :1]).reshape(-1, 4) @ kernel + bias


@KERASES
@pytest.mark.parametrize(("frames", "size"), [(4, 4), (4, 8), (8, 16)])
def test_no_batch_is_smaller_than_was_asked_for(k, frames, size):
    model, sizes = make_unbuilt(k, frames)
    received = kprobe.activations(model, "dense", DATA, batch_size=size)
    np.testing.assert_allclose(received["dense"], reference(model, frames), rtol=1e-5, atol=1e-5)
    assert sizes
    assert min(sizes) >= size


@KERASES
def test_nor_where_the_samples_come_once(k):
    model, sizes = make_unbuilt(k, 4)
    received = kprobe.activations(model, "dense", iter([DATA[:6], DATA[6:]]), batch_size=8)
    np.testing.assert_allclose(received["dense"], reference(model, 4), rtol=1e-5, atol=1e-5)
    assert min(sizes) >= 8


@KERASES
def test_without_a_size_one_sample_will_do(k):
    model, sizes = make_unbuilt(k)
    kprobe.activations(model, "dense", DATA)
    assert min(sizes) == 1
