"""What a file is by its first bytes, and that its ending says the same."""

from __future__ import annotations

import pytest

from kprobe.gate.files.file_type import find_type_faults, tell_type
from kprobe.gate.opened import open_file

CONTENTS = {
    "zip": b"PK\3\4" + bytes(60),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(60),
    "json": b' \n{"class_name": "Sequential"}',
    "tflite": b"\x1c\0\0\0TFL3" + bytes(56),
    "other": bytes(600),
}
ACCEPTED = {
    ".keras": {"zip", "hdf5"},
    ".h5": {"hdf5"},
    ".HDF5": {"hdf5"},
    ".json": {"json"},
    ".tflite": {"tflite", "other"},
    ".onnx": {"other"},
    ".pb": {"other"},
    ".bin": {*CONTENTS},
    ".v2": {*CONTENTS},
    "": {*CONTENTS},
}


def test_the_first_bytes_tell():
    assert {name: tell_type(content[:64]) for name, content in CONTENTS.items()} == {
        name: name for name in CONTENTS
    }
    assert tell_type(b"") == tell_type(b"PK") == "other"


@pytest.mark.parametrize("ending", ACCEPTED)
def test_the_ending_says_no_other_thing(tmp_path, ending):
    accepted = set()
    for name, content in CONTENTS.items():
        path = tmp_path / f"model{ending}"
        path.write_bytes(content)
        faults = [*find_type_faults(open_file(path))]
        if not faults:
            accepted.add(name)
        assert [fault.rule for fault in faults] in ([], ["file-type"])
    assert accepted == ACCEPTED[ending]


@pytest.mark.parametrize("before", [512, 1024, 1 << 20])
def test_hdf5_behind_other_bytes_is_told_whatever_the_ending(tmp_path, before):
    for ending in ACCEPTED:
        path = tmp_path / f"model{ending}"
        path.write_bytes(bytes(before) + CONTENTS["hdf5"])
        (fault,) = find_type_faults(open_file(path))
        assert fault.rule == "hdf5-layout"
        assert fault.text == f"has {before:,} other bytes before HDF5's own header"


def test_an_empty_file_is_called_so(tmp_path):
    path = tmp_path / "a.keras"
    path.touch()
    (fault,) = find_type_faults(open_file(path))
    assert fault.text == "expected a zip archive or HDF5, as .keras says, received an empty file"
