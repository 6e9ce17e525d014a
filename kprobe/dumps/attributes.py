"""What is said of a dump and of its columns, as HDF5 stores it and as it is read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Attribute = str | int | float | bool | list[str]


def stored_attribute(value: Attribute) -> Attribute:
    """Give an attribute as it is stored and read again."""
    if isinstance(value, list):
        return [escape(text) for text in value]
    return escape(value) if isinstance(value, str) else value


def set_attributes(place: Any, attrs: Mapping[str, Attribute]) -> None:
    """Say something of a file, or of a dataset or group in it."""
    for name, attribute in attrs.items():
        value = stored_attribute(attribute)
        if isinstance(value, list):
            place.attrs.create(name, value, shape=(len(value),), dtype=h5py.string_dtype())
        else:
            place.attrs[name] = value


def escape(text: str) -> str:
    """Write what HDF5 can't hold as escapes: the bytes of file names that aren't UTF-8, and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def plain(value: Any) -> Any:
    """Give an attribute that was read as str, int, float, bool or a list of them."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
