"""The HDF5 of a model: what it may hold is listed, all else is refused before a value is read."""

from __future__ import annotations

import os
import struct
import zipfile

import h5py
import numpy as np
import pytest
from collection import read_cases
from gate.hostile.hdf5_files import make_file
from watching import Watch

from kprobe.gate.files.hdf5_structure import MOST_OBJECTS, find_hdf5_faults
from kprobe.gate.rules import RULES
from kprobe.hdf5 import Section

CASES = read_cases(name="hdf5-")


def open_part(path):
    """Open the HDF5 of a model where it lies, in an archive, too."""
    descriptor = os.open(path, os.O_RDONLY)
    if path.suffix != ".keras":
        return Section(descriptor), descriptor
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("model.weights.h5")
    head = os.pread(descriptor, 30, member.header_offset)
    start = member.header_offset + 30 + sum(struct.unpack("<HH", head[26:]))
    return Section(descriptor, start, member.file_size), descriptor


def inspect(path):
    section, descriptor = open_part(path)
    found = []
    try:
        return list(find_hdf5_faults(section, found)), found
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_is_refused_by_the_rule_that_it_breaks(case, tmp_path):
    faults, _ = inspect(case.make(tmp_path, tmp_path / "marker"))
    assert ({fault.rule for fault in faults} == {case.rule}) if case.rule else not faults
    for fault in faults:
        assert fault.rule in RULES
        assert fault.text.isprintable()
        assert len(fault.text) < 200


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.rule is None], ids=lambda case: case.name
)
def test_what_is_found_is_what_h5py_reads(case, tmp_path):
    path = case.make(tmp_path, tmp_path / "marker")
    _, found = inspect(path)
    expected = {}

    def note(name, thing):
        if isinstance(thing, h5py.Dataset):
            dtype = thing.dtype
            text = h5py.check_string_dtype(dtype)
            kind = "str" if text and text.length is None else dtype.name
            kind = f"{dtype.kind}{dtype.itemsize}" if dtype.kind in "SV" else kind
            expected[name] = (thing.shape, kind, thing.id.get_storage_size())

    with open_part(path)[0] as section, h5py.File(section, "r") as file:
        file.visititems(note)
    assert {each.path: (each.shape, each.dtype, each.stored) for each in found} == expected
    assert len(expected) >= 2


@pytest.mark.parametrize(
    "name",
    [
        "external-link",
        "external-link-of-all-weights",
        "external-storage",
        "view",
        "view-without-end",
    ],
)
def test_no_other_file_is_opened(name, tmp_path):
    case = next(case for case in CASES if case.name == f"hdf5-{name}")
    path = case.make(tmp_path, tmp_path / "marker")
    with Watch(tmp_path) as watch:
        assert inspect(path)[0]
        assert watch.names() == {"model.h5"}
        # The watch sees what h5py does.
        with h5py.File(path) as file:
            place = file.get("model_weights/dense/dense/bias:0")
            if place is not None:
                assert place.shape is not None
                place[()]
        assert watch.names() - {"model.h5"}


def test_a_large_file_is_read_in_parts(tmp_path):
    def add(file, _folder):
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((5 << 20,))
        h5py.h5d.create(file.id, b"large", h5py.h5t.IEEE_F32LE, space, dcpl=settings)
        file["behind"] = h5py.SoftLink("large")

    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        add(file, tmp_path)
    faults, found = inspect(path)
    assert [fault.text for fault in faults] == ["'behind' is a link to another name"]
    with h5py.File(path, "a") as file:
        del file["behind"]
    faults, found = inspect(path)
    assert not faults
    assert [(each.shape, each.stored) for each in found] == [((5 << 20,), 20 << 20)]


def test_an_inspected_file_can_be_opened_meanwhile(tmp_path):
    path, _ = make_file(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "open for writing"
        file.flush()
        assert not inspect(path)[0]


def test_more_objects_than_any_model_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("kprobe.gate.files.hdf5_structure.MOST_OBJECTS", 10)
    faults, _ = inspect(make_file(tmp_path)[0])
    assert not faults

    def add(file, _folder):
        for number in range(10):
            file.create_group(f"{number}")

    faults, _ = inspect(make_file(tmp_path, change=add)[0])
    assert [fault.text for fault in faults] == ["has more than 10 groups and datasets"]
    assert MOST_OBJECTS == 100_000


def test_few_values_may_be_packed_as_tightly_as_gzip_can(tmp_path):
    def add(file, _folder):
        values = np.zeros(10 << 20, np.uint8)
        file.create_dataset("zeros", data=values, chunks=(1 << 20,), compression="gzip")

    path, _ = make_file(tmp_path, change=add)
    faults, found = inspect(path)
    assert not faults
    assert max(each.unpacked for each in found) == 10 << 20 > 400 * path.stat().st_size
