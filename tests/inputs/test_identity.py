"""Every row has a name, and every source says what it is."""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np
import pytest
from opened import open_all

from kprobe.inputs import ModelInput
from kprobe.inputs.sources.source import ArraySource

X = ModelInput("x", (None, 2), "float32")


def test_rows_are_named_after_file_key_and_row(tmp_path):
    rows = np.zeros((12, 2), "float32")
    np.save(tmp_path / "a.npy", rows)
    np.savez(tmp_path / "a.npz", x=rows)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/x"] = rows
    for text, first, last in [
        ("a.npy", b"a.npy[0]", b"a.npy[11]"),
        ("a.npz", b"a.npz:x[0]", b"a.npz:x[11]"),
        ("a.h5", b"a.h5:deep/x[0]", b"a.h5:deep/x[11]"),
    ]:
        with open_all([f"{tmp_path}/{text}"], [X]) as samples:
            names = samples.names()
            assert names.dtype == f"S{len(last)}"
            assert names[0] == first
            assert names[11] == last
            part = samples.names(9, 11)
            assert part.dtype == names.dtype
            np.testing.assert_array_equal(part, names[9:11])


def test_several_inputs_are_named_after_the_first(tmp_path):
    np.savez(tmp_path / "pairs.npz", right=np.zeros((3, 2)), left=np.zeros((3, 2)))
    inputs = [ModelInput("left", (None, 2), "float32"), ModelInput("right", (None, 2), "float32")]
    with open_all([f"{tmp_path}/pairs.npz"], inputs) as samples:
        assert samples.names()[2] == b"pairs.npz:left[2]"
        assert list(samples.sources) == ["left", "right"]


def test_names_are_utf_8():
    source = ArraySource(np.zeros((2, 1)), "größe\udcff")
    assert source.names(0, 2)[1] == "größe\\udcff[1]".encode()


def test_names_of_any_number_of_rows_cost_nothing_until_they_are_asked_for():
    with open_all(None, [X], random=10**11) as samples:
        names = samples.names()
        assert (len(names), names.dtype) == (10**11, "S19")
        assert names[10**11 - 1] == names[-1] == b"random[99999999999]"
        assert names[10**9 : 10**9 + 2].tolist() == [b"random[1000000000]", b"random[1000000001]"]
        assert len(names[10**11 :]) == 0
        with pytest.raises(IndexError):
            names[10**11]


def test_millions_of_rows_are_named_at_once():
    source = ArraySource(np.zeros((2_000_000, 0), "uint8"), "x.npy")
    calls = []
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        names = source.names(0, source.rows)
    finally:
        sys.setprofile(None)
    assert len(calls) < 2000  # a thousand rows at a time at least, whatever is called for them
    assert names[1_999_999] == b"x.npy[1999999]"
    assert names.nbytes == 2_000_000 * 14


def test_identity_tells_source_size_and_time(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros((12, 2), ">f4"))
    with open_all([f"x={path}"], [X], limit=5) as samples:
        identity = samples.identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity == [
        {
            "input": "x",
            "source": f"{path}:x",
            "bytes": path.stat().st_size,
            "mtime": path.stat().st_mtime,
            "rows": 12,
            "shape": [2],
            "dtype": "float32",
        }
    ]


def test_specs_give_shape_and_dtype_of_the_data(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((12, 2), ">u2"))
    with open_all([f"{tmp_path}/a.npy"], [X]) as samples:
        assert samples.specs() == {"x": ((2,), np.dtype("uint16"))}
