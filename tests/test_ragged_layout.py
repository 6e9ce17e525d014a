"""Rows of several shapes are read as they lie in a file, whoever reads it."""

from __future__ import annotations

import contextlib

import h5py
import numpy as np
import pytest

from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.errors import DumpError, InputError
from kprobe.inputs.formats.hdf5 import Hdf5File
from kprobe.ragged_layout import RaggedLayout, split_texts

ROWS = [np.arange(6.0).reshape(3, 2), np.zeros((0, 2)), np.array([[7.0, 8.0]])]


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("boxes")
        group.attrs["layout"] = "ragged"
        group["values"] = np.concatenate(ROWS)
        group["offsets"] = np.array([0, 3, 3, 4])
        group["shapes"] = np.array([row.shape for row in ROWS])
    return tmp_path / "x.h5"


def test_a_dump_and_a_source_of_samples_read_the_same(path):
    with h5py.File(path) as file:
        layout, rows = RaggedLayout(file["boxes"]), RaggedRows(file["boxes"])
        for read in (layout.read(0, 3), rows[:], [rows[0], rows[1], rows[-1]]):
            for found, right in zip(read, ROWS, strict=True):
                np.testing.assert_array_equal(found, right)
        assert layout.read(2, 2) == rows[2:2] == []
    with contextlib.closing(Hdf5File(path, "x.h5", {"source": "x.h5"}).open("boxes")) as source:
        for found, right in zip(source.read(0, 3), ROWS, strict=True):
            np.testing.assert_array_equal(found, right)


def test_a_damaged_row_is_told_by_both(path):
    with h5py.File(path, "r+") as file:
        file["boxes/offsets"][2:] = [2, 9]
    with h5py.File(path) as file, pytest.raises(DumpError, match="boxes: row 1 is damaged, or"):
        RaggedRows(file["boxes"])[1]
    with (
        contextlib.closing(Hdf5File(path, "x.h5", {"source": "x.h5"}).open("boxes")) as source,
        pytest.raises(InputError, match=r"x\.h5:boxes: row 1 is damaged, or hasn't been written"),
    ):
        source.read(0, 3)
    with h5py.File(path, "r+") as file:
        del file["boxes/shapes"]
    with h5py.File(path) as file, pytest.raises(DumpError, match="boxes: expected rows of several"):
        RaggedRows(file["boxes"])


def test_texts_are_split_from_their_filling():
    rows = np.frombuffer(b"ab\0\0\0\0xyz", np.uint8).reshape(3, 3)
    assert split_texts(rows).tolist() == [b"ab", b"", b"xyz"]
    assert split_texts(rows[:, :0]).tolist() == [b"", b"", b""]
