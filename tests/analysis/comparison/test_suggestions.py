"""Values suggest which tensors are the same, where one is like no other."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.analysis.comparison.records import Described
from kprobe.analysis.comparison.suggestions import suggest

ROWS = 8


def describe(**arrays):
    return [
        Described(name, values.shape[1:], "float32", order)
        for order, (name, values) in enumerate(arrays.items())
    ]


def ask(a, b, matched=()):
    candidates = [(one, other) for one in describe(**a) for other in describe(**b)]
    return suggest(candidates, a, b, matched)


@pytest.fixture
def layers():
    random = np.random.default_rng(0)
    return {name: random.normal(size=(ROWS, 30)).astype("f4") for name in "xyz"}


def test_what_is_alike_is_suggested_with_its_correlation(layers):
    near = layers["y"] + np.float32(0.02) * layers["z"]
    found = ask(layers, {"p": layers["z"], "q": near})
    assert [(each.a, each.b, each.match) for each in found] == [
        ("y", "q", "y=q"),
        ("z", "p", "z=p"),
    ]
    right = np.corrcoef(layers["y"].ravel(), near.ravel())[0, 1]
    assert found[0].correlation == pytest.approx(right, rel=1e-9)
    assert found[1].correlation == pytest.approx(1)


def test_of_several_that_are_alike_none_is_suggested(layers):
    x = layers["x"]
    assert ask({"x": x}, {"p": x, "dropout": x}) == ()
    # A ReLU that nothing was cut off by is like the layer before it.
    assert ask({"dense": np.abs(x), "relu": np.abs(x)}, {"p": np.abs(x)}) == ()
    assert ask({"x": x}, {"p": np.maximum(x, 0)}) == ()


def test_what_is_matched_already_is_not_suggested(layers):
    x = layers["x"]
    fused, unfused = {"dense": np.maximum(x, 0)}, {"dense": x, "relu": np.maximum(x, 0)}
    matched = [("dense", "dense")]
    assert [each.match for each in ask(fused, unfused, matched)] == ["dense=relu"]
    assert [each.match for each in ask(unfused, fused, matched)] == ["relu=dense"]
    assert ask({"dense": x}, {"dense": x, "relu": np.maximum(x, 0)}, matched) == ()


def test_axes_in_another_order_are_suggested(layers):
    image = np.random.default_rng(1).normal(size=(ROWS, 5, 6, 3))
    (found,) = ask({"x": image}, {"p": image.transpose(0, 3, 1, 2)})
    assert found.correlation == pytest.approx(1)


def test_too_few_values_constants_and_nan_suggest_nothing(layers):
    x = layers["x"]
    assert ask({"x": x[:3, :5]}, {"p": x[:3, :5]}) == ()
    assert ask({"x": x * 0}, {"p": x * 0}) == ()
    assert ask({"x": x * np.nan}, {"p": x * np.nan}) == ()
    holed = np.where(x > 2, np.inf, x)
    assert [each.match for each in ask({"x": holed}, {"p": holed})] == ["x=p"]
