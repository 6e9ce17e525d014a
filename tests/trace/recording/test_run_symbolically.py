"""What is said of a model that TensorFlow doesn't let into a graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe
from kprobe.errors import ModelError

ROWS = np.array([[1.0, -2.0, 3.0]], "float32")


def make_model(k, name):
    return k.Sequential([k.Input((3,)), k.layers.ReLU(name=name)])


@pytest.mark.parametrize(
    ("k", "name"),
    [(keras, "a b"), (keras, "\u00e9"), (keras, "a:b"), (keras, "a\\b"), (tf_keras, "a\\b")],
)
def test_a_name_that_tensorflow_forbids_is_told(k, name):
    with pytest.raises(ModelError) as caught:
        kprobe.activations(make_model(k, name), None, ROWS)
    received = repr(name)[:-1]
    assert str(caught.value).startswith(
        "the model can't be traced: expected names of English letters, digits, and . _ - > which "
        f"TensorFlow allows in a graph, received {received}"
    )
    assert caught.value.hint == "eager=True runs it all the same"


def test_a_model_with_such_a_name_runs_eagerly():
    found = kprobe.activations(make_model(keras, "a b"), "a b", ROWS, eager=True)
    np.testing.assert_array_equal(found["a b"], np.maximum(ROWS, 0))


def test_an_error_of_the_system_is_told_in_words(tmp_path):
    class Reading(keras.layers.Layer):
        path = None

        def call(self, x):
            return x if self.path is None else x * len(self.path.read_text())

    layer = Reading(name="reading")
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.path = tmp_path / "missing"
    with pytest.raises(ModelError) as caught:
        kprobe.activations(model, "reading", ROWS)
    assert f"FileNotFoundError in Reading.call(): No such file or directory: {layer.path}" in str(
        caught.value
    )
