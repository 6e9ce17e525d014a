"""What is said of a dump and of its columns, as HDF5 stores it and as it is read again."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = TypeVar("Json", dict[str, Any], list[Any])
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


def read_json(attrs: Mapping[str, Any], name: str, kind: type[Json]) -> Json:
    """Give what an attribute holds as JSON, of which nothing is believed unchecked.

    Args:
        attrs: All attributes.
        name: The attribute.
        kind: What it holds: dict or list.

    Returns:
        What it holds; an empty one where there is no such attribute, or it holds something else.
    """
    found = open_json(attrs.get(name))
    return found if isinstance(found, kind) else kind()


def is_open_ended(attrs: Mapping[str, Any]) -> bool:
    """Tell whether a dump is of samples of which nobody knew how many there would be."""
    inputs = read_json(attrs, "inputs", list)
    told = [each.get("rows", 0) if isinstance(each, dict) else 0 for each in inputs]
    return bool(told) and all(rows is None for rows in told)


def open_json(value: Any) -> Any:
    """Give what an attribute holds as JSON, or else the attribute itself."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        # Lists in lists may lie deeper than Python goes.
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def plain(value: Any) -> Any:
    """Give an attribute that was read as str, int, float, bool or a list of them."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
