"""How a column of a dump is read in small parts: straight from the file where it lies in one piece.

An item is a place with a value for each channel, such as a pixel, so that a row may be read in
parts. It is a whole row where channels aren't the last axis, where each row is told of by itself,
and where only HDF5 can read it.
"""

from __future__ import annotations

import os
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.statistics.blocks import BLOCK, count_rows
from kprobe.dumps.dimensions import read_labels
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kprobe.analysis.statistics.moments import Array
    from kprobe.dumps.reader import Dump

# What the axis of channels is called, in dumps that name their axes; it is the last one in others.
_CHANNELS = ("channel", "unit")


class Items:
    """The items of a column.

    Attributes:
        about: The shape, dtype and axis of channels of a row, for `Statistics`.
        has_rows: Whether there is one for each sample; a weight is one row.
        whole_rows: Whether an item is a row.
        item_bytes: The bytes of an item as stored; of rows that differ, of one of them on average.
        step: How many items are read at a time.
    """

    about: dict[str, Any]
    has_rows = True
    whole_rows = True
    item_bytes: int
    step: int

    def find_places(self, first: int, last: int) -> tuple[int, int]:
        """Give where the items of some rows begin and end."""
        return first, last

    def find_row(self, place: int) -> int:
        """Give the row of an item."""
        return place

    def read(self, begin: int, end: int, buffer: Array) -> Array:
        """Read items.

        Args:
            begin: The first.
            end: The one behind the last.
            buffer: uint8, of `item_bytes` for each at least; what is given may lie in it.

        Returns:
            The items: of shape (end - begin, channels), or (end - begin, *row) of whole rows.

        Raises:
            DumpError: The file ends before them.
        OSError: The disk can't be read.
        """
        raise NotImplementedError


class PlacedItems(Items):
    """Items whose values lie behind each other in the file.

    Args:
        path: The name of the file.
        place: Its descriptor, and the byte at which they begin.
        about: As for `Items`.
        dtype: What the values are stored as.
        has_rows: As for `Items`.
        whole_rows: As for `Items`.
        offsets: Where rows that differ begin, int64 of shape (rows + 1,), counted in `shape[1:]`;
            None for rows of one shape.
    """

    def __init__(
        self,
        path: Path,
        place: tuple[int, int],
        about: dict[str, Any],
        dtype: np.dtype[Any],
        *,
        has_rows: bool,
        whole_rows: bool,
        offsets: Array | None = None,
    ) -> None:
        self.about, self.has_rows, self.whole_rows = about, has_rows, whole_rows
        self._path, (self._file, self._start), self._offsets = path, place, offsets
        self._dtype, shape, axis = dtype, about["shape"], about["channel_axis"]
        channels = 1 if axis is None else shape[axis]
        self._item = shape if whole_rows else (channels,)
        # Of rows that differ, for each item of the dataset: such are counted in them.
        inner = shape if offsets is None else [size for size in shape[1:] if size >= 0]
        self._per_row = 1 if whole_rows else prod(inner) // channels
        self.item_bytes = prod(self._item) * dtype.itemsize
        self.step = count_rows(channels, dtype.itemsize)
        if whole_rows:
            self.step = max(1, BLOCK // self.item_bytes)

    def find_places(self, first: int, last: int) -> tuple[int, int]:
        """Give where the items of some rows begin and end."""
        if self._offsets is not None:
            first, last = int(self._offsets[first]), int(self._offsets[last])
        return first * self._per_row, last * self._per_row

    def find_row(self, place: int) -> int:
        """Give the row of an item."""
        place //= self._per_row
        if self._offsets is None:
            return place
        return int(np.searchsorted(self._offsets, place, side="right")) - 1

    def read(self, begin: int, end: int, buffer: Array) -> Array:
        """Read items, from the file as it is."""
        content = buffer.data[: (end - begin) * self.item_bytes]
        place = self._start + begin * self.item_bytes
        done = 0
        while done < content.nbytes:
            size = os.preadv(self._file, [content[done:]], place + done)
            if not size:
                raise DumpError(
                    f"{self._path}: expected {content.nbytes:,} bytes at {place:,}, "
                    f"received {done:,}",
                    hint="the file was cut after it was opened",
                )
            done += size
        return np.frombuffer(content, self._dtype).reshape(-1, *self._item)


class StoredRows(Items):
    """Rows that HDF5 reads, since they are compressed, in chunks, or of several shapes.

    Args:
        rows: What gives the rows: a dataset, or `RaggedRows`.
        about: As for `Items`.
        has_rows: As for `Items`.
        row_bytes: As `item_bytes` of `Items`.
    """

    def __init__(self, rows: Any, about: dict[str, Any], has_rows: bool, row_bytes: int) -> None:
        self.about, self.has_rows = about, has_rows
        self._rows = rows
        self.item_bytes = row_bytes
        self.step = 1 if isinstance(rows, RaggedRows) else max(1, BLOCK // max(1, row_bytes))

    def read(self, begin: int, end: int, buffer: Array) -> Array:  # noqa: ARG002
        """Read rows; of several shapes one at a time."""
        if not self.has_rows:
            return np.asarray(self._rows[()])[None]
        rows = self._rows[begin:end]
        return rows[0][None] if isinstance(rows, list) else np.asarray(rows)


def open_items(dump: Dump, address: str, by_sample: bool) -> Items:
    """Give the items of a column.

    Args:
        dump: An open dump.
        address: Which column, as in `dump[address]`.
        by_sample: Whether items must be whole rows.

    Raises:
        DumpError: There is no such column, or the dump is closed.
    """
    column = dump[address]
    if isinstance(column, RaggedRows):
        return _open_ragged(dump, column, by_sample)
    has_rows = column.attrs.get("layout") != "weight"
    names = [label or "" for label in read_labels(column)]
    shape = column.shape[1:] if has_rows else column.shape
    own = name_dtype(column.attrs.get("dtype"), column.dtype)
    about = describe_rows(shape, own, names[1:] if has_rows else names)
    place = _find_place(column)
    if place is None or not prod(shape):
        return StoredRows(column, about, has_rows, prod(shape) * column.dtype.itemsize)
    whole = by_sample or about["channel_axis"] not in (None, len(shape) - 1)
    stored = column.dtype
    return PlacedItems(dump.path, place, about, stored, has_rows=has_rows, whole_rows=whole)


def open_values(dump: Dump, address: str) -> PlacedItems | None:
    """Give a column's rows value by value, so that any part of a row can be read.

    Args:
        dump: An open dump.
        address: Which column, as in `dump[address]`; one whose rows have one shape.

    Returns:
        Items of one value each; None where only HDF5 can read the rows.

    Raises:
        DumpError: There is no such column, or the dump is closed.
    """
    column = dump[address]
    shape, place = column.shape[1:], _find_place(column)
    if place is None or not prod(shape):
        return None
    about = {"shape": shape, "dtype": column.dtype.name, "channel_axis": None}
    stored = column.dtype
    return PlacedItems(dump.path, place, about, stored, has_rows=True, whole_rows=False)


def _open_ragged(dump: Dump, column: RaggedRows, by_sample: bool) -> Items:
    values, rank, rows = column.values, column.shapes.shape[1], dump.committed
    # The values are flat where rows differ in more than their first axis.
    shape = (-1, *values.shape[1:]) if values.ndim == rank else (-1,) * rank
    names = [str(name) for name in column.attrs.get("axes", ())]
    about = describe_rows(shape, name_dtype(column.attrs.get("dtype"), values.dtype), names)
    offsets = column.offsets[: rows + 1]
    place = _find_place(values)
    last = about["channel_axis"] in (None, rank - 1)
    if place is None or by_sample or not last or not prod(values.shape[1:]):
        average = int(offsets[-1]) * prod(values.shape[1:]) * values.dtype.itemsize // max(1, rows)
        return StoredRows(column, about, True, average)
    return PlacedItems(
        dump.path, place, about, values.dtype, has_rows=True, whole_rows=False, offsets=offsets
    )


def name_dtype(own: str | None, stored: np.dtype[Any]) -> str:
    """Name the dtype of a tensor's values.

    Args:
        own: That of the tensor, as far as it is known.
        stored: That of what is stored: it may hold more, such as float32 for bfloat16, or less.
    """
    if own == "bool":
        return own
    widened = stored == np.float32 and str(own).startswith(("bfloat16", "float8"))
    return str(own) if widened else stored.name


def describe_rows(shape: tuple[int, ...], dtype: str, names: Sequence[str]) -> dict[str, Any]:
    """Give what `Statistics` takes of the rows of a tensor.

    Args:
        shape: The shape of a row; -1 where rows differ.
        dtype: Their dtype, by its name.
        names: What the axes of `shape` are called, "" for one that isn't known.
    """
    named = (names.index(name) for name in _CHANNELS if name in names)
    axis = next(named, len(shape) - 1) if shape else None
    if axis is not None and shape[axis] <= 0:
        axis = None
    return {"shape": shape, "dtype": dtype, "channel_axis": axis}


def _find_place(dataset: Any) -> tuple[int, int] | None:
    """Give the descriptor of a dataset's file, and the byte where its values begin, if they do."""
    import h5py

    # Only the driver that HDF5 takes by itself has a descriptor.
    start = dataset.id.get_offset()
    if start is None or dataset.file.driver != "sec2" or not dataset.dtype.isnative:
        return None
    if not dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True)):
        return None  # stored in other bits than numpy's, such as an exponent of another length
    return dataset.file.id.get_vfd_handle(), start
