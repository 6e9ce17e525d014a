"""The rows of a ragged column, read one by one, and text as such columns hold it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, overload

import numpy as np

from kprobe.errors import DumpError
from kprobe.ragged_layout import RaggedLayout, split_texts

Array = np.ndarray[Any, np.dtype[Any]]


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

    Raises:
        DumpError: The group lacks some of these.
    """

    def __init__(self, group: Any) -> None:
        self.name = group.name
        self.attrs = group.attrs
        try:
            self._layout = RaggedLayout(group)
        except ValueError as error:
            raise DumpError(f"{group.name}: {error}") from None
        self.dtype = self._layout.dtype
        self.shapes = self._layout.shapes
        self.offsets = self._layout.offsets
        self.values = self._layout.values

    def __len__(self) -> int:
        return len(self.shapes)

    @overload
    def __getitem__(self, row: int) -> Any: ...

    @overload
    def __getitem__(self, row: slice) -> list[Any]: ...

    def __getitem__(self, row: int | slice) -> Any:
        if isinstance(row, slice):
            start, stop, step = row.indices(len(self))
            if step == 1:
                return [self._decode(values) for values in self.read_stored(start, stop)]
            return [self[number] for number in range(start, stop, step)]
        number = range(len(self))[row]
        (values,) = self.read_stored(number, number + 1)
        return self._decode(values)

    @property
    def is_text(self) -> bool:
        """Whether the column holds text."""
        return self._layout.is_text

    def read_stored(self, start: int, stop: int) -> list[Array]:
        """Read rows as they are stored, text as bytes of uint8.

        Args:
            start: The first row.
            stop: The row behind the last.

        Raises:
            DumpError: A row is damaged, or hasn't been written yet.
        """
        try:
            return self._layout.read(start, stop)
        except ValueError as error:
            raise DumpError(f"{self.name}: {error}") from None

    def count_bytes(self, rows: int) -> int:
        """Count the bytes of the first rows, with their places and shapes."""
        item = prod(self.values.shape[1:]) * self.dtype.itemsize
        index = (rows + 1 + rows * self.shapes.shape[1]) * self.offsets.dtype.itemsize
        return int(self.offsets[rows] * item + index)

    def __repr__(self) -> str:
        return f"<RaggedRows {self.name}: {len(self)} rows of {self.dtype}>"

    def _decode(self, values: Array) -> Any:
        if not self.is_text:
            return values
        decoded = np.char.decode(split_texts(values), "utf-8", "backslashreplace")
        return decoded if decoded.ndim else str(decoded)


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
