"""Rows of several shapes in a group of `values`, `offsets` and `shapes`, as dumps have them."""

from __future__ import annotations

from math import prod
from typing import Any

import h5py
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def is_ragged(thing: object) -> bool:
    """Tell such a group from all else in an HDF5 file."""
    return isinstance(thing, h5py.Group) and thing.attrs.get("layout") == "ragged"


class RaggedLayout:
    """The parts of such a group, and its rows.

    Args:
        group: The group.

    Attributes:
        values: The rows end to end, as a dataset; flat, or with the axes that all rows share.
        offsets: Where each row begins in `values`, and the last one ends: int64 of shape
            (rows + 1,), a dataset.
        shapes: The shape of each row: int64 of shape (rows, rank), a dataset.
        dtype: The dtype of the values as stored.
        is_text: Whether the last axis is the bytes of texts in UTF-8, filled up with NULs.

    Raises:
        ValueError: A part is missing, or has another number of axes.
    """

    def __init__(self, group: h5py.Group) -> None:
        parts = [group.get(name) for name in ("values", "offsets", "shapes")]
        ranks = [part.ndim if isinstance(part, h5py.Dataset) else None for part in parts]
        if None in ranks or ranks[0] == 0 or ranks[1:] != [1, 2]:
            raise ValueError(
                "expected rows of several shapes, received a group that lacks some of values, "
                "offsets and shapes"
            )
        self.values, self.offsets, self.shapes = parts
        self.dtype: np.dtype[Any] = self.values.dtype
        self.is_text = group.attrs.get("dtype") in ("string", b"string")

    def __len__(self) -> int:
        return len(self.shapes)

    def read(self, start: int, stop: int) -> list[Array]:
        """Read rows, texts as bytes of uint8.

        Args:
            start: The first row.
            stop: The row behind the last.

        Raises:
            ValueError: A row is damaged, or hasn't been written yet.
            OSError: The file can't be read.
        """
        shapes = self.shapes[start:stop]
        if not len(shapes):
            return []
        offsets = self.offsets[start : stop + 1]
        values = self.values[int(offsets[0]) : int(offsets[-1])]
        item = prod(self.values.shape[1:])
        rows = []
        for number, shape in enumerate(shapes):
            begin, end = offsets[number : number + 2] - offsets[0]
            if (end - begin) * item != prod(shape.tolist()) or end > len(values):
                raise ValueError(f"row {start + number} is damaged, or hasn't been written yet")
            rows.append(values[begin:end].reshape(shape))
        return rows


def split_texts(row: Array) -> Array:
    """Give the texts of a row, bytes without the filling, of the shape without its last axis."""
    width = row.shape[-1]
    if not width:
        return np.zeros(row.shape[:-1], "S1")
    texts: Array = np.ascontiguousarray(row).view(f"S{width}")[..., 0]
    return texts
