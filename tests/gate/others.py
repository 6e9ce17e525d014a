"""Read what the gate accepts as others read it, and compare: zip archives, JSON and HDF5."""

from __future__ import annotations

import io
import json
import os
import zipfile

import h5py

from kprobe.gate.files.archive import list_members, read_member
from kprobe.gate.files.config_json import parse_config
from kprobe.gate.files.hdf5_structure import find_hdf5_faults
from kprobe.hdf5 import Section


def compare(opened, content, kind):
    """Compare what the gate reads of a file that it accepts with what others read of it.

    Args:
        opened: The file, as `kprobe.gate.opened.open_file` gives it.
        content: Its bytes.
        kind: Its format, as the gate finds it. Of graphs and converted models nothing is compared.
    """
    if kind == "keras":
        compare_archive(opened, content)
    elif kind == "h5":
        compare_hdf5(content)
    elif kind == "json":
        compare_config(content)


def compare_archive(opened, content):
    members = compare_members(opened, content)
    compare_config(members["config.json"])
    if "model.weights.h5" in members:
        compare_hdf5(members["model.weights.h5"])


def compare_members(opened, content):
    """Compare the members of an archive, and give them as they are unpacked."""
    own = {name: read_member(opened, member) for name, member in list_members(opened).items()}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert own == {name: archive.read(name) for name in archive.namelist()}
    return own


def compare_config(content):
    assert parse_config(content) == (json.loads(content), [])


def compare_hdf5(content):
    """Compare the datasets that the gate tells of with those that h5py reads, to the last value."""
    descriptor = os.memfd_create("hdf5")
    try:
        os.write(descriptor, content)
        found = []
        assert [*find_hdf5_faults(Section(descriptor, 0, len(content)), found)] == []
    finally:
        os.close(descriptor)
    with h5py.File(io.BytesIO(content), "r") as file:
        expected = {"": read_attributes(file)}
        file.visititems(lambda name, thing: expected.update({name: read(thing)}))
    told = {each.path: (each.shape, each.dtype, each.stored) for each in found}
    assert told == {name: each for name, each in expected.items() if each is not None}


def read_attributes(thing):
    for name in thing.attrs:
        assert thing.attrs[name] is not None


def read(thing):
    """Give shape, dtype and stored bytes of a dataset, all of whose values can be read."""
    read_attributes(thing)
    if not isinstance(thing, h5py.Dataset):
        return None
    text = h5py.check_string_dtype(thing.dtype)
    kind = thing.dtype.name
    if text is not None:
        kind = "str" if text.length is None else f"S{text.length}"
    elif thing.dtype.kind == "V":
        kind = f"V{thing.dtype.itemsize}"
    assert thing[()].shape == thing.shape
    return thing.shape, kind, thing.id.get_storage_size()
