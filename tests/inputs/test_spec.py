"""What is asked of samples is checked when it is said, all of it at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kprobe.errors import InputError
from kprobe.inputs import SampleSpec

MOST = 2**63 - 1


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"random": 0}, f"random: expected a whole number from 1 to {MOST}, received 0"),
        ({"random": True}, f"random: expected a whole number from 1 to {MOST}, received True"),
        ({"limit": 2.5}, f"limit: expected a whole number from 1 to {MOST}, received 2.5"),
        ({"limit": "9"}, f"limit: expected a whole number from 1 to {MOST}, received '9'"),
        ({"seed": None}, f"seed: expected a whole number from 0 to {MOST}, received None"),
        ({"on_error": "ignore"}, "on_error: expected 'stop' or 'skip', received 'ignore'"),
        ({"on_error": None}, "on_error: expected 'stop' or 'skip', received None"),
        (
            {"labels_from_folders": "yes"},
            "labels_from_folders: expected True or False, received 'yes'",
        ),
        (
            {"images": {"x": {"resize": (9, 9)}}},
            "images: expected ImageOptions for 'x', received dict",
        ),
        (
            {"images": (9, 9)},
            "images: expected ImageOptions, received tuple",
        ),
        ({"inputs": {}}, "inputs: expected samples by input name, received an empty mapping"),
        ({"inputs": {"x": []}}, "inputs: x: expected samples, received an empty list"),
        (
            {"inputs": {"x": None}},
            "inputs: x: expected a text, an array, a list of them",
        ),
        ({"inputs": {"x": {"y": 1}}}, "inputs: x: expected a text, an array, a list of them"),
        ({"inputs": b"a.npy"}, "inputs: expected a text, an array, a list of them, a tf.data"),
        ({"inputs": object()}, "iterator, a function, a PyDataset; received object"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, fault):
    with pytest.raises(InputError) as caught:
        SampleSpec(**options)
    (found,) = caught.value.faults
    assert fault in found


def test_all_faults_come_at_once():
    with pytest.raises(InputError) as caught:
        SampleSpec(inputs="a.npy", random=0, seed=-1, limit=0, on_error="go on")
    assert [fault.partition(" ")[0] for fault in caught.value.faults] == [
        *("random:", "seed:", "limit:", "on_error:", "expected")
    ]
    assert caught.value.hint == "leave inputs or random out"


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ((), []),
        (None, []),
        ("x=a.npy", [(None, "x=a.npy", True)]),
        (Path("x=a.npy"), [(None, "x=a.npy", False)]),
        (["a.npy", Path("b.npy")], [(None, "a.npy", True), (None, "b.npy", False)]),
        ({"x": "a.npy", "y": Path("b.npy")}, [("x", "a.npy", False), ("y", "b.npy", False)]),
    ],
)
def test_texts_are_told_apart_without_opening_anything(inputs, told):
    given = SampleSpec(inputs=inputs).given
    assert [(each.name, each.text, each.may_name) for each in given] == told


def test_numbers_of_numpy_are_numbers():
    assert SampleSpec(random=np.int64(3), limit=np.uint8(2)).limit == 2


@pytest.mark.parametrize(
    ("inputs", "texts"),
    [
        ((), []),
        ("a.npy", ["a.npy"]),
        ([Path("a.npy"), "x=b.npy"], ["a.npy", "x=b.npy"]),
        ({"x": "a.npy", "y": Path("b.npy")}, ["x=a.npy", "y=b.npy"]),
        ({"x": "a.npy", "y": np.ones(3)}, None),
        ([[1, 2], [3, 4]], None),
        ({"x": ["a good film"]}, None),
        (iter([]), None),
    ],
)
def test_inputs_are_told_as_texts_where_they_can_be(inputs, texts):
    assert SampleSpec(inputs=inputs).texts == texts
