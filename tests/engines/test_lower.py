"""A model in bfloat16 is taken apart as it is computed as a whole."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe.errors import KprobeError

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(64, 5, 8)).astype("float32")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def make_model(k):
    """A loop, a layer that another's precision decides on, and one that decides itself."""
    k.utils.set_random_seed(0)
    x = k.Input((5, 8), name="x")
    y = k.layers.GRU(16, name="loop")(x)
    y = k.layers.Dense(12, name="first")(y)
    y = k.layers.BatchNormalization(name="norm")(y)
    y = k.layers.Dense(6, activation="relu", name="second")(y)
    model = k.Model(x, y)
    weights = [RNG.uniform(0.5, 1.5, weight.shape) for weight in model.get_layer("norm").weights]
    model.get_layer("norm").set_weights(weights)
    return model


def round_to_bfloat16(values):
    return np.asarray(values, "float32").astype(tf.bfloat16.as_numpy_dtype).astype("float32")


@KERASES
def test_a_layer_alone_has_the_precision_that_it_has_in_the_model(k):
    model = make_model(k)
    result = kprobe.diff(model, inputs=ROWS, against="bfloat16", local=True)
    assert result.verdict.kind == "none"
    found = {tensor.pair.b.address: tensor for tensor in result.tensors}
    # By hand, from A's own values as they are rounded on their way in.
    given = round_to_bfloat16(kprobe.activations(model, ["first"], ROWS, exact=True)["first"])
    layer = model.get_layer("norm")
    gamma, beta, mean, variance = layer.get_weights()
    factor = gamma / np.sqrt(variance + layer.epsilon)
    rest = beta - mean * factor
    own = given * factor + rest
    rounded = round_to_bfloat16(given * round_to_bfloat16(factor))
    rounded = round_to_bfloat16(rounded + round_to_bfloat16(rest))
    expected = np.sqrt(np.mean((rounded - own) ** 2)) / np.std(own)
    assert found["norm"].local.relative == pytest.approx(expected, rel=0.02)
    if k is tf_keras:  # whose loops TensorFlow exchanges for others as it runs them
        return
    # As a whole it is computed as where nothing is taken apart.
    plain = kprobe.diff(model, inputs=ROWS, against="bfloat16", local=False)
    for tensor in plain.tensors:
        together = found[tensor.pair.b.address].running.relative
        assert together == pytest.approx(tensor.running.relative, rel=0.02)


def test_errors_that_are_flat_have_no_place():
    result = kprobe.diff(make_model(keras), inputs=ROWS, against="bfloat16", rtol=1e-4)
    assert (result.verdict.kind, result.verdict.born) == ("spread", None)


def test_a_fault_shows_alone_where_both_sides_are_in_bfloat16():
    one, other = make_model(keras), make_model(keras)
    other.set_weights(one.get_weights())
    kernel, bias = one.get_layer("second").get_weights()
    kernel[np.unravel_index(np.abs(kernel).argmax(), kernel.shape)] *= 1.5
    other.get_layer("second").set_weights([kernel, bias])
    result = kprobe.diff(one, other, ROWS, precision="bfloat16")
    assert result.verdict.born == "second"
    assert {t.pair.b.address for t in result.tensors if t.local and t.local.max_abs} == {"second"}


@keras.saving.register_keras_serializable()
class Drawing(keras.layers.Layer):
    """Draws in a loop."""

    def call(self, x):
        def add(number, sums):
            return number + 1, sums + tf.random.uniform([8])

        return tf.while_loop(lambda number, _: number < 3, add, (0, x))[1]


def test_what_is_drawn_in_a_loop_cannot_be_taken_apart_in_bfloat16():
    x = keras.Input((8,))
    model = keras.Model(x, keras.layers.Dense(2, name="dense")(Drawing(name="drawing")(x)))
    rows = ROWS[:, 0]
    result = kprobe.diff(model, inputs=rows, against="bfloat16")
    assert all(tensor.local is None for tensor in result.tensors)
    assert any("drawn at random in a loop" in note for note in result.notes)
    with pytest.raises(KprobeError, match="drawn at random in a loop"):
        kprobe.diff(model, inputs=rows, against="bfloat16", local=True)
