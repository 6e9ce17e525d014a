"""Columns whose rows differ in shape: a group of `values`, `offsets` and `shapes`.

How long the values will be is known at the end only. Until then they are in a file of their own
beside the partial one, to which rows are appended; `offsets` and `shapes` are laid out like any
dataset. In the end the values are copied behind all else in the dump, and `values` is extended.
"""

from __future__ import annotations

import os
from itertools import count
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.extend import extend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kprobe.dumps.layout import Column

INDEX = np.dtype(np.int64)

_PAGE = 4096
_PIECE = 4 << 20  # bytes copied at a time


def values_path(partial: Path, number: int) -> Path:
    """Return the file that the values of a ragged column are in until the dump is complete.

    Args:
        partial: The partial file.
        number: Which of the ragged columns, in their order.
    """
    return partial.with_name(f"{partial.name}.values{number}")


def remove_values(partial: Path) -> None:
    """Remove all files of values beside a partial file."""
    for number in count():
        try:
            values_path(partial, number).unlink()
        except FileNotFoundError:
            return


def inner_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an item of `values`: what the rows have in common behind their first axis.

    Where they differ in another axis, or have none, `values` is flat.

    Args:
        shape: Of a row, -1 for sizes that differ.
    """
    inner = tuple(shape[1:])
    return inner if shape and -1 not in inner else ()


class RaggedWriter:
    """Appends the rows of one ragged column.

    Args:
        path: The file of its values; an old one is emptied.
        column: The column.
        file: Descriptor of the partial file.
        places: The byte offsets in it that `lay_out` gave.

    Attributes:
        rows: How many rows were appended.
        nbytes: The bytes of their values.

    Raises:
        OSError: The file can't be made.
    """

    def __init__(
        self, path: Path, column: Column, file: int, places: Mapping[str, int | None]
    ) -> None:
        self._path = path
        self._column = column
        self._file = file
        self._places = {
            part: places[f"{column.name}/{part}"] for part in ("offsets", "shapes", "values")
        }
        self._inner = inner_shape(column.shape)
        self._length = 0
        self.rows = 0
        self.nbytes = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._values = os.open(path, flags, 0o666)

    def find_fault(self, rows: Sequence[np.ndarray[Any, Any]]) -> str | None:
        """Say what is wrong with rows to append, if something is."""
        column = self._column
        for row in rows:
            pairs = zip(column.shape, row.shape, strict=False)
            fits = row.ndim == len(column.shape) and all(a in (-1, b) for a, b in pairs)
            if not fits or row.dtype != column.dtype:
                shape = str(column.shape).replace("-1", "?")
                return (
                    f"{column.name}: expected {column.dtype} of shape {shape} in each row, "
                    f"and {row.dtype} of shape {row.shape} came"
                )
        return None

    def append(self, rows: Sequence[np.ndarray[Any, Any]]) -> None:
        """Append rows.

        Raises:
            OSError: They can't be written.
        """
        if not rows:
            return
        step = prod(self._inner) or 1
        for row in rows:
            if row.nbytes:
                content = np.ascontiguousarray(row).reshape(-1).view(np.uint8).data
                write_at(self._values, self.nbytes, content)
                self.nbytes += content.nbytes
        lengths = [len(row) if self._inner else row.size // step for row in rows]
        ends = self._length + np.cumsum(lengths, dtype=INDEX)
        shapes = np.array([row.shape for row in rows], INDEX)
        self._write_index("offsets", self.rows + 1, ends)
        self._write_index("shapes", self.rows, shapes)
        self._length = int(ends[-1])
        self.rows += len(rows)

    def sync(self) -> None:
        """Make the values appended so far safe.

        Raises:
            OSError: The system refuses.
        """
        os.fdatasync(self._values)

    def merge(self) -> None:
        """Copy the values behind all else in the dump, and make them those of `values`.

        Raises:
            OSError: They can't be written.
            DumpError: HDF5 laid the dataset out in an unknown way.
        """
        if not self._length:
            return
        size = os.fstat(self._file).st_size
        start = -(-size // _PAGE) * _PAGE
        for place in range(0, self.nbytes, _PIECE):
            piece = os.pread(self._values, min(_PIECE, self.nbytes - place), place)
            write_at(self._file, start + place, memoryview(piece))
        # The values before what points at them.
        os.fdatasync(self._file)
        header = self._places["values"] or 0
        extend(self._file, header, self._length, range(start, start + self.nbytes))

    def close(self) -> None:
        """Close the file of the values, and leave it."""
        os.close(self._values)

    def _write_index(self, part: str, row: int, index: np.ndarray[Any, Any]) -> None:
        place = self._places[part]
        if place is not None and index.size:
            row_bytes = index.nbytes // len(index)
            write_at(self._file, place + row * row_bytes, index.reshape(-1).data)


def write_at(file: int, place: int, content: memoryview) -> None:
    """Write bytes at an offset, all of them."""
    content = content.cast("B")
    done = 0
    while done < content.nbytes:
        done += os.pwrite(file, content[done:], place + done)
