"""What stands out of a dump: the reports of whole dumps, with every kind of fault in it."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.reports.of_dump import describe_dump

RNG = np.random.default_rng(1)


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


@pytest.fixture(scope="module")
def faulty(write_dump, tmp_path_factory):
    some_dead = normal(4, 6)
    some_dead[:, [1, 4]] = 0
    odd = normal(4, 6)
    odd[2, 3] = np.nan
    odd[3, 3] = np.inf
    arrays = {
        "fine": normal(4, 6),
        "dead channels": some_dead,
        "odd": odd,
        "also odd": odd,
        "zero": np.zeros((4, 6), "f4"),
        "constant": np.full((4, 6), 3, "f4"),
        "saturated": np.clip(normal(4, 600) * 100, -1, 1),
        "bias": np.zeros(6, "f4"),
    }
    path = tmp_path_factory.mktemp("dumps") / "a.h5"
    return describe_dump(write_dump(path, arrays, weights=["bias"]))


def test_the_worst_is_said_first(faulty):
    assert (faulty.level, faulty.verdict) == ("bad", "NaN begins at odd")
    assert [(each.level, each.text) for each in faulty.findings] == [
        ("bad", "NaN begins at odd, with the sample sample 2 (row 2). 2 tensors have it."),
        ("bad", "Infinity begins at odd, with the sample sample 3 (row 3). 2 tensors have it."),
        ("bad", "1 tensor is zero for every sample: zero."),
        ("warn", "1 tensor has channels that are zero for every sample: dead channels (2 of 6)."),
        ("warn", "1 tensor has one value throughout: constant."),
        (
            "warn",
            "1 tensor has half of the values or more at the least or the largest: saturated.",
        ),
    ]


def test_each_layer_has_its_marks_and_a_bias_of_zeros_has_none(faulty):
    assert {layer.name: list(layer.flags) for layer in faulty.layers} == {
        "fine": [],
        "dead channels": ["dead"],
        "odd": ["nan", "inf"],
        "also odd": ["nan", "inf"],
        "zero": ["zero"],
        "constant": ["constant"],
        "saturated": ["saturated"],
        "bias": [],
    }
    assert list(faulty.flags) == ["nan", "inf", "zero", "dead", "constant", "saturated"]


def test_the_numbers_are_those_of_the_values(faulty):
    layer = faulty.layers[1]
    assert layer.values["zeros"] == pytest.approx(1 / 3)
    assert layer.values["dead"] == pytest.approx(1 / 3)
    assert sum(layer.counts) == 24
    assert faulty.layers[2].values["nan"] == 1


@pytest.mark.parametrize(
    ("change", "level", "verdict"),
    [
        (lambda values: values, "good", "No NaN, no infinity, nothing dead in 2 tensors over 4"),
        (lambda values: values * 0, "bad", "2 of 2 tensors are zero for every sample"),
        (
            lambda values: values * [1, 0, 1],
            "warn",
            "2 of 2 tensors have channels that are zero for every sample",
        ),
    ],
)
def test_the_verdict_is_a_line(change, level, verdict, write_dump, tmp_path):
    values = change(normal(4, 3)).astype("f4")
    found = describe_dump(write_dump(tmp_path / "a.h5", {"a": values, "b": values}))
    assert found.level == level
    assert found.verdict.startswith(verdict)
