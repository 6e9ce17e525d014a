"""Plain numbers and texts have a name, and no other type has one."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from h5py import h5t

from kprobe.gate.files.hdf5_types import describe_type, name_type

KNOWN = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16")


@pytest.mark.parametrize("bound", ["earliest", "v108", "latest"])
def test_each_plain_type_has_numpys_name(bound, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver=bound) as file:
        for code in KNOWN:
            for order in "<>":
                dtype = np.dtype(code).newbyteorder(order)
                file[order + code] = np.ones(2, dtype)
                assert name_type(file[order + code].id.get_type()) == np.dtype(code).name
        file["S"] = np.array([b"abcde"])
        file["str"] = ["a", "b"]
        file["V2"] = np.zeros(2, "V2")
        assert [name_type(file[name].id.get_type()) for name in ("S", "str", "V2")] == [
            "S5",
            "str",
            "V2",
        ]


def make_float(bits):
    """Make a type of numbers that no machine computes with."""
    odd = h5t.IEEE_F32LE.copy()
    odd.set_fields(*bits)
    return odd


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (h5t.STD_REF_OBJ, "references of 8 bytes"),
        (h5t.py_create(np.dtype([("x", "f4"), ("y", "f4")])), "records of 8 bytes"),
        (h5t.py_create(np.dtype([("r", "f4"), ("i", "f8")])), "records of 12 bytes"),
        (
            h5t.py_create(h5py.enum_dtype({"NO": 0, "YES": 1}, "i1"), logical=True),
            "enumerations of 1 bytes",
        ),
        (h5t.py_create(np.dtype(np.longdouble)), "numbers of 16 bytes"),
        (make_float((31, 20, 11, 0, 20)), "numbers of 4 bytes"),
        (h5t.array_create(h5t.IEEE_F32LE, (3,)), "arrays of 12 bytes"),
        (h5t.vlen_create(h5t.IEEE_F32LE), "lists of any length of 16 bytes"),
        (h5t.STD_B8LE, "bits of 1 bytes"),
        (h5t.UNIX_D32LE, "times of 4 bytes"),
        (h5t.py_create(np.dtype("V3")), "bare bytes of 3 bytes"),
    ],
)
def test_no_other_type_has_a_name(stored, said):
    assert name_type(stored) is None
    assert describe_type(stored) == said
