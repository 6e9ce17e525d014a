"""Activations are asserted in tests, and what differs is shown as a table."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kprobe.testing

DATA = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


def make_model(factor=1.0):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(3, name=name) for name in ("first", "second", "third")]
    model = keras.Sequential([keras.Input((4,)), *layers], name="small")
    layers[1].set_weights([layers[1].get_weights()[0] * factor, np.zeros(3)])
    return model


def test_what_stayed_the_same_passes_and_is_returned():
    found = kprobe.testing.assert_same_activations(make_model(), make_model(), inputs=DATA)
    assert [tensor.pair.a.address for tensor in found.tensors] == ["first", "second", "third"]
    kprobe.testing.assert_same_activations(make_model(), against="eager", inputs=DATA)


def test_what_differs_fails_with_the_table():
    with pytest.raises(AssertionError) as caught:
        kprobe.testing.assert_same_activations(make_model(), make_model(1.01), inputs=DATA)
    lines = str(caught.value).splitlines()
    assert lines[0] == "A (small) and B (small) differ:"
    assert lines[1].split()[:2] == ["tensor", "local"]
    assert lines[2].split()[0] == "second"
    assert "rtol=" in lines[-1]


def test_a_misspelt_keyword_is_answered():
    with pytest.raises(TypeError, match="did you mean 'rtol'"):
        kprobe.testing.assert_same_activations(make_model(), make_model(), inputs=DATA, rtoll=1)
