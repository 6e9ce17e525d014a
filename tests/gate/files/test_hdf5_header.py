"""Attributes are found as HDF5 stores them, few or many, small or large, in each of its formats."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from kprobe.gate.files.hdf5_header import UnreadableError, read_attributes
from kprobe.gate.files.hdf5_texts import Heaps
from kprobe.hdf5 import Section


def fill(thing, many):
    thing.attrs["number"] = 5
    thing.attrs["bytes"] = np.array([b"abc"] * 300)
    thing.attrs["text"] = "naïve"
    thing.attrs["none"] = []
    for number in range(many):
        thing.attrs[f"text{number}"] = "x" * 50 * number
        thing.attrs[f"texts{number}"] = ["a" * number, "", "b"]
        thing.attrs[f"numbers{number}"] = np.arange(number)
    # Larger than what lies among the others.
    thing.attrs["names"] = [f"name{number}" * (number % 5) for number in range(2000)]


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("bound", ["earliest", "v108", "latest"])
def test_attributes_are_those_that_h5py_reads(bound, tracked, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=bound, track_order=tracked) as file:
        fill(file, 40)
        fill(file.create_group("group"), 1)
        fill(file.create_dataset("many", data=1, track_order=tracked), 60 if tracked else 20)
    descriptor = os.open(path, os.O_RDONLY)
    section = Section(descriptor)
    with h5py.File(path) as file:
        for name in ("/", "group", "many"):
            thing = file[name]
            stored = {
                each.name.decode(): each
                for each in read_attributes(section, h5py.h5o.get_info(thing.id).addr)
            }
            assert set(stored) == set(thing.attrs)
            heaps = Heaps(section)
            for key, value in thing.attrs.items():
                text = isinstance(value, str) or (
                    isinstance(value, np.ndarray) and value.dtype == "O"
                )
                texts = np.ravel(np.array(value, object)) if text else []
                expected = (
                    sum(16 + len(each.encode()) for each in texts)
                    if text
                    else np.asarray(value).nbytes
                )
                assert heaps.measure(stored[key]) == expected, key
    os.close(descriptor)


def test_what_goes_on_without_end_isnt_followed(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        fill(file, 40)
        address = h5py.h5o.get_info(file.id).addr
    content = bytearray(path.read_bytes())
    # The first continuation of the header (message 16 of 16 bytes) leads back to itself.
    start = content.index(b"\x10\0\x10\0\0\0\0\0", address)
    place, size = content[start + 8 : start + 16], content[start + 16 : start + 24]
    where = int.from_bytes(place, "little")
    content[where : where + 24] = b"\x10\0\x10\0\0\0\0\0" + place + size
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    with pytest.raises(UnreadableError, match="goes on too long"):
        list(read_attributes(Section(descriptor), address))
    os.close(descriptor)
