"""Columns whose rows differ in shape: a group of `values`, `offsets` and `shapes`.

How long the values will be is known at the end only. Until then the partial file, which has holes,
gives each `values` far more room than any disk has, behind all else; `offsets` and `shapes` are
laid out like any dataset. In the end the values are moved together and the file is cut.
"""

from __future__ import annotations

import errno
import os
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.contents import INDEX
from kprobe.dumps.files.disk import WriteBehind, write_at
from kprobe.dumps.files.extend import PAGE, extend, find_header, read_size, set_length
from kprobe.errors import DumpError, Hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kprobe.dumps.contents import Column

# Room for all values, of holes at first. Files on ext4 have at most 2^44 bytes.
_ROOM = 1 << 42


def inner_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an item of `values`: what the rows have in common behind their first axis.

    Where they differ in another axis, or have none, `values` is flat.

    Args:
        shape: Of a row, -1 for sizes that differ.
    """
    inner = tuple(shape[1:])
    return inner if shape and -1 not in inner else ()


def make_room(file: int, headers: Mapping[int, int]) -> None:
    """Give empty datasets room behind all else in a file, as much to each, where nothing is yet.

    Args:
        file: Descriptor of the file.
        headers: The byte offset of each dataset's header, and the bytes of one of its items.

    Raises:
        DumpError: The filesystem can't hold such a file.
    """
    if not headers:
        return
    base = _to_page(os.fstat(file).st_size)
    share = _share(len(headers))
    try:
        set_length(file, base + share * len(headers))
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise too_long("rows of different shapes") from error
        raise
    for number, (place, item) in enumerate(headers.items()):
        if item:
            start = base + number * share
            extend(file, place, share // item, range(start, start + share // item * item))


def too_long(what: str, hint: Hint | None = None) -> DumpError:
    """Say that the filesystem can't hold what is laid out with holes for all that may come."""
    return DumpError(
        f"{what} need a file of 4 TiB, nearly all of it holes, and the filesystem or the limit on "
        "the size of files (ulimit -f) doesn't allow it",
        hint=hint,
    )


class RaggedWriter:
    """Appends the rows of one ragged column.

    Args:
        column: The column.
        file: Descriptor of the partial file.
        group: The column's group in it.
        rows: How many rows there are already.

    Attributes:
        rows: How many rows there are.
        nbytes: The bytes of their values.
    """

    def __init__(self, column: Column, file: int, group: Any, rows: int = 0) -> None:
        self._column = column
        self._file = file
        self._places = {part: group[part].id.get_offset() for part in ("offsets", "shapes")}
        values = group["values"]
        self._header = find_header(values)
        self._inner = inner_shape(column.shape)
        self._item_bytes = prod(self._inner) * column.dtype.itemsize
        self._room = values.id.get_storage_size()
        self._start = values.id.get_offset() or 0
        self.rows = rows
        self._length = int(group["offsets"][rows])
        self.nbytes = self._length * self._item_bytes

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
                    f"received {row.dtype} of shape {row.shape}"
                )
        return None

    def append(self, rows: Sequence[np.ndarray[Any, Any]]) -> None:
        """Append rows.

        Raises:
            OSError: They can't be written.
            DumpError: There is no room for them.
        """
        if not rows:
            return
        nbytes = sum(row.nbytes for row in rows)
        if self.nbytes + nbytes > self._room:
            raise DumpError(
                f"{self._column.name}: its values take more than {self._room:,} bytes",
                hint="dump fewer such addresses at a time, or fewer samples",
            )
        place = self._start + self.nbytes
        step = prod(self._inner) or 1
        for row in rows:
            if row.nbytes:
                content = np.ascontiguousarray(row).reshape(-1).view(np.uint8).data
                write_at(self._file, place, content)
                place += content.nbytes
        self.nbytes += nbytes
        lengths = [len(row) if self._inner else row.size // step for row in rows]
        ends = self._length + np.cumsum(lengths, dtype=INDEX)
        shapes = np.array([row.shape for row in rows], INDEX)
        self._write_index("offsets", self.rows + 1, ends)
        self._write_index("shapes", self.rows, shapes)
        self._length = int(ends[-1])
        self.rows += len(rows)

    def append_stored(self, source: int, group: Any, rows: int) -> None:
        """Append the rows of the same column of another file, which has all of them together.

        Args:
            source: Descriptor of the other file.
            group: The column's group in it.
            rows: How many rows it has.

        Raises:
            OSError: They can't be read or written.
            DumpError: There is no room for them, or the file is damaged.
        """
        ends, shapes = group["offsets"][1 : rows + 1], group["shapes"][:rows]
        values = group["values"]
        length = int(ends[-1]) if rows else 0
        nbytes = length * self._item_bytes
        if length != len(values) or (np.diff(ends, prepend=0) < 0).any():
            raise DumpError(f"{self._column.name}: its rows aren't where they should be")
        if self.nbytes + nbytes > self._room:
            raise DumpError(f"{self._column.name}: its values take more than {self._room:,} bytes")
        if nbytes:
            disk = WriteBehind(self._file, nbytes)
            disk.copy(source, values.id.get_offset(), nbytes, self._start + self.nbytes)
        self.nbytes += nbytes
        self._write_index("offsets", self.rows + 1, self._length + ends)
        self._write_index("shapes", self.rows, shapes)
        self._length += length
        self.rows += rows

    def move(self, start: int) -> int:
        """Move the values to their last place, and make them all that `values` holds.

        That may have been done already.

        Args:
            start: The byte offset of that place, at or before their own.

        Returns:
            The byte offset where they end.

        Raises:
            OSError: They can't be written.
            DumpError: HDF5 laid the dataset out in an unknown way.
        """
        disk = WriteBehind(self._file, self.nbytes)
        if start < self._start:
            disk.copy(self._file, self._start, self.nbytes, start)
        # The values before what points at them.
        os.fdatasync(self._file)
        stop = start + self.nbytes
        extend(self._file, self._header, self._length, range(start, stop))
        self._start, self._room = start, self.nbytes
        return stop

    def _write_index(self, part: str, row: int, index: np.ndarray[Any, Any]) -> None:
        place = self._places[part]
        if place is not None and index.size:
            row_bytes = index.nbytes // len(index)
            write_at(self._file, place + row * row_bytes, index.reshape(-1).data)


class RaggedColumns:
    """The ragged columns of a dump that is being written.

    Args:
        columns: The columns, in their order.
        file: Descriptor of the partial file.
        groups: By name the column's group in it.
        rows: How many rows there are already.
    """

    def __init__(
        self, columns: Iterable[Column], file: int, groups: Mapping[str, Any], rows: int
    ) -> None:
        self._file = file
        self._writers = {
            column.name: RaggedWriter(column, file, groups[column.name], rows) for column in columns
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._writers)

    @property
    def nbytes(self) -> int:
        """The bytes of the values of all columns."""
        return sum(writer.nbytes for writer in self._writers.values())

    def find_faults(self, batch: Mapping[str, Sequence[np.ndarray[Any, Any]]]) -> list[str]:
        """Say what is wrong with rows to append, a line for each column where something is."""
        faults = (self._writers[name].find_fault(rows) for name, rows in batch.items())
        return [fault for fault in faults if fault is not None]

    def append(self, batch: Mapping[str, Sequence[np.ndarray[Any, Any]]]) -> None:
        """Append rows to each column.

        Raises:
            OSError: They can't be written.
            DumpError: There is no room for them.
        """
        for name, rows in batch.items():
            self._writers[name].append(rows)

    def append_stored(self, source: int, groups: Mapping[str, Any], rows: int) -> None:
        """Append the rows of another file to each column.

        Args:
            source: Descriptor of the other file.
            groups: By name the column's group in it.
            rows: How many rows it has.

        Raises:
            OSError: They can't be read or written.
            DumpError: There is no room for them, or the file is damaged.
        """
        for name, writer in self._writers.items():
            writer.append_stored(source, groups[name], rows)

    def move_together(self) -> None:
        """Move the values of all columns, all rows being there, together, and cut the file.

        Raises:
            OSError: They can't be written.
            DumpError: HDF5 laid a dataset out in an unknown way.
        """
        if not self._writers:
            return
        end = read_size(self._file)
        room = _share(len(self._writers)) * len(self._writers)
        if end > room:  # else a run that was stopped in this place did all but the last step
            end -= room
            for writer in self._writers.values():
                end = writer.move(_to_page(end))
        set_length(self._file, end)


def _share(count: int) -> int:
    """The bytes that each of so many datasets has room for."""
    return _ROOM // count // PAGE * PAGE


def _to_page(size: int) -> int:
    return -(-size // PAGE) * PAGE
