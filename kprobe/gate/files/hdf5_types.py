"""The types of values that an HDF5 file may hold."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from h5py import h5t

# Numbers as numpy calls them. Those of TensorFlow alone, as bfloat16, h5py writes as bare bytes.
_NUMBERS = ("f4", "i8", "f2", "f8", "i4", "u1", "i1", "?", "i2", "u2", "u4", "u8", "c8", "c16")
_BARE = (1, 2)  # bytes


@cache
def _list_known() -> dict[bytes, tuple[Any, str]]:
    """Give the types that numbers are stored as, and their names, by what HDF5 encodes them as."""
    known: dict[bytes, tuple[Any, str]] = {}
    for code in _NUMBERS:
        for dtype in (np.dtype(code).newbyteorder("<"), np.dtype(code).newbyteorder(">")):
            stored = h5t.py_create(dtype, logical=True)
            known.setdefault(stored.encode(), (stored, np.dtype(code).name))
    return known


def name_type(stored: Any) -> str | None:
    """Name the type of values, if it is one of plain numbers or texts.

    Args:
        stored: The type, an `h5py.h5t.TypeID`.

    Returns:
        The name of numpy's dtype, such as "float32" or "bool"; "str" for texts of any length, and
        "S5" for those of five bytes; "V2" for numbers of two bytes that numpy doesn't know, as
        bfloat16. None for all others: references, records, types that have a name of their own.
    """
    if stored.committed():
        return None
    known = _list_known()
    if found := known.get(stored.encode()):
        return found[1]
    kind = stored.get_class()
    if kind == h5t.STRING:
        return "str" if stored.is_variable_str() else f"S{stored.get_size()}"
    if kind == h5t.OPAQUE:
        size = stored.get_size()
        return f"V{size}" if size in _BARE and not stored.get_tag() else None
    # The bytes that encode an enumeration or a record depend on HDF5's version, too.
    if kind in (h5t.ENUM, h5t.COMPOUND):
        return next((name for other, name in known.values() if stored.equal(other)), None)
    return None


def describe_type(stored: Any) -> str:
    """Say what a type is that has no name here."""
    if stored.committed():
        return "a type that lies elsewhere"
    kinds = {
        h5t.INTEGER: "integers",
        h5t.FLOAT: "numbers",
        h5t.TIME: "times",
        h5t.BITFIELD: "bits",
        h5t.OPAQUE: "bare bytes",
        h5t.COMPOUND: "records",
        h5t.REFERENCE: "references",
        h5t.ENUM: "enumerations",
        h5t.VLEN: "lists of any length",
        h5t.ARRAY: "arrays",
    }
    kind = kinds.get(stored.get_class(), "something else")
    return f"{kind} of {stored.get_size():,} bytes"
