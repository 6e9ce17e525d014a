"""What is said of a dump: as it is stored, and as it is read again."""

from __future__ import annotations

import h5py
import pytest

from kprobe.dumps.attributes import plain, set_attributes, stored_attribute

VALUES = {
    "text": "Zürich",
    "empty text": "",
    "not UTF-8": "caf\udce9",
    "NUL": "a\0b",
    "number": 7,
    "fraction": 0.25,
    "truth": True,
    "texts": ["a", "ü", "\udce9"],
    "no texts": [],
}


@pytest.mark.parametrize("name", VALUES)
def test_an_attribute_is_read_again_as_it_is_said_to_be_stored(tmp_path, name):
    value = VALUES[name]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        set_attributes(file, {"a": value})
    with h5py.File(tmp_path / "a.h5") as file:
        read = plain(file.attrs["a"])
    assert read == stored_attribute(value)
    assert type(read) is type(value)


def test_what_hdf5_cant_hold_is_escaped():
    assert stored_attribute("caf\udce9 a\0b") == "caf\\udce9 a\\x00b"
    assert stored_attribute(["\0"]) == ["\\x00"]
