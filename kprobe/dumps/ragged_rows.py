"""The rows of a ragged column, read one by one, and text as such columns hold it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, overload

import h5py
import numpy as np

from kprobe.errors import DumpError


class RaggedRows(Sequence[Any]):
    """The rows of a ragged column: a sequence of arrays, each read when asked for.

    `rows[i]` is the array of row i, `rows[a:b]` a list of them. Where the column holds text
    (its attribute `dtype` is "string"), a row is a str, or an array of them.

    Attributes:
        name: The name of its group in the file.
        attrs: What is known about the column.
        dtype: The dtype of the values as stored.
        shapes: The shape of each row: int64 of shape (rows, rank).
        values: The rows end to end, as a dataset; flat, or with the axes that all rows share.
        offsets: Where each row begins in `values`, and the last one ends: int64 of shape
            (rows + 1,).
    """

    def __init__(self, group: Any) -> None:
        self.name = group.name
        self.attrs = group.attrs
        self.dtype = group["values"].dtype
        self.shapes = group["shapes"]
        self.offsets = group["offsets"]
        self.values = group["values"]

    def __len__(self) -> int:
        return len(self.shapes)

    @overload
    def __getitem__(self, row: int) -> Any: ...

    @overload
    def __getitem__(self, row: slice) -> list[Any]: ...

    def __getitem__(self, row: int | slice) -> Any:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        number = range(len(self))[row]
        begin, end = (int(place) for place in self.offsets[number : number + 2])
        values = self.values[begin:end].reshape(self.shapes[number])
        return _decode(values) if self.attrs.get("dtype") == "string" else values

    def count_bytes(self, rows: int) -> int:
        """Count the bytes of the first rows, with their places and shapes."""
        item = prod(self.values.shape[1:]) * self.dtype.itemsize
        index = (rows + 1 + rows * self.shapes.shape[1]) * self.offsets.dtype.itemsize
        return int(self.offsets[rows] * item + index)

    def __repr__(self) -> str:
        return f"<RaggedRows {self.name}: {len(self)} rows of {self.dtype}>"


def is_ragged(thing: Any) -> bool:
    """Tell a ragged column from whatever else is in a dump."""
    return isinstance(thing, h5py.Group) and thing.attrs.get("layout") == "ragged"


def encode_texts(texts: Any) -> np.ndarray[Any, Any]:
    """Turn texts into what a ragged column of text holds.

    Args:
        texts: bytes, or an array of them of any shape.

    Returns:
        uint8 of shape (*shape, the bytes of the longest text), shorter ones filled up with NULs.

    Raises:
        DumpError: A text ends with a NUL, which couldn't be told from the filling.
    """
    array = np.asarray(texts, dtype=object)
    longest = max((len(text) for text in array.flat), default=0)
    if any(text.endswith(b"\0") for text in array.flat):
        raise DumpError("a text ends with a NUL character, which can't be stored")
    fixed = array.astype(f"S{max(longest, 1)}")
    return fixed.reshape(*array.shape, 1).view(np.uint8)[..., :longest]


def _decode(values: np.ndarray[Any, Any]) -> Any:
    width = values.shape[-1]
    if not width:
        empty = np.zeros(values.shape[:-1], "U1")
        return empty if empty.ndim else ""
    fixed = np.ascontiguousarray(values).view(f"S{width}")[..., 0]
    decoded = np.char.decode(fixed, "utf-8", "backslashreplace")
    return decoded if decoded.ndim else str(decoded)
