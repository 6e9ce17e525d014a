"""A signature of a SavedModel in memory is a model like any other."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import kprobe

DATA = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


class Scaled(tf.Module):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(np.arange(12, dtype="float32").reshape(4, 3), name="kernel")

    @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
    def score(self, x):
        return {"y": tf.nn.relu(tf.matmul(x, self.kernel, name="product"), name="positive")}


@pytest.fixture(scope="module")
def signature(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signature") / "scaled"
    module = Scaled()
    tf.saved_model.save(module, folder, signatures={"score": module.score})
    return kprobe.load_model(folder)


def expect():
    return np.maximum(DATA @ np.arange(12, dtype="float32").reshape(4, 3), 0)


def test_its_activations_are_given(signature):
    received = kprobe.activations(signature, "//positive", DATA)
    np.testing.assert_allclose(received["//positive"], expect(), rtol=1e-5)


def test_it_is_dumped(signature, tmp_path):
    kprobe.dump(signature, "//positive", inputs={"x": DATA}, output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_allclose(dump["//positive"][:], expect(), rtol=1e-5)


def test_a_function_of_it_is_made(signature):
    function = kprobe.function(signature, "//positive")
    np.testing.assert_allclose(function(DATA)["//positive"], expect(), rtol=1e-5)
