"""Compare columns of two dumps, piece by piece, by several threads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.difference import Difference
from kprobe.analysis.pieces import work_in_order
from kprobe.analysis.statistics.blocks import BLOCK, take_many
from kprobe.analysis.statistics.items import open_items
from kprobe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kprobe.analysis.comparison.records import Pair
    from kprobe.analysis.statistics.items import Items
    from kprobe.dumps.reader import Dump

Array = np.ndarray[Any, np.dtype[Any]]
# The number of a pair of columns, the first of some joined rows, and the one behind the last.
_Piece = tuple[int, int, int]

# Bytes of A that are a piece at least. Pieces are merged in their order, so that results don't
# depend on the threads.
_PIECE = 1 << 25


@dataclass(frozen=True)
class _Column:
    """A matched pair of columns, as both are read."""

    pair: Pair
    a: Items
    b: Items
    settings: dict[str, Any]

    def begin(self) -> Difference:
        pair = self.pair
        shape = None if pair.b.shape is None else [size or 0 for size in pair.b.shape]
        return Difference(shape, channel_axis=pair.channel_axis if shape else None, **self.settings)

    @property
    def item_bytes(self) -> int:
        return max(1, self.a.item_bytes, self.b.item_bytes)


def compare_columns(
    dump_a: Dump,
    dump_b: Dump,
    pairs: Sequence[Pair],
    rows: tuple[Array, Array],
    *,
    cosine: bool = False,
    ulps: Sequence[str | None] | None = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Difference]:
    """Compare columns of two dumps.

    Memory doesn't grow with the dumps: a few MB for each thread, or a row of each side where rows
    are larger, and what is known of each pair.

    Args:
        dump_a: An open dump.
        dump_b: The other.
        pairs: Pairs of their columns, by addresses.
        rows: The rows of both that belong together, int64 of shape (rows,), as `join_rows` gives
            them, without those that don't count.
        cosine: As for `Difference`.
        ulps: The same, for each pair.
        threads: How many threads read; by default as many as there are cores for the process. The
            results are the same for any number.
        progress: Called with the number of bytes of A that were compared since the last call.

    Returns:
        A difference for each pair; its rows are counted in the joined ones: row 3 is `rows[0][3]`
        of A.

    Raises:
        InputError: The rows of a sample have another number of values in A than in B.
        DumpError: There is no such column, or a dump is closed.
        OSError: A file can't be read.
    """
    columns = [
        _Column(
            pair,
            open_items(dump_a, pair.a.address, by_sample=True),
            open_items(dump_b, pair.b.address, by_sample=True),
            {"cosine": cosine, "ulps": None if ulps is None else ulps[number]},
        )
        for number, pair in enumerate(pairs)
    ]
    length = len(rows[0])
    fast = take_many(sum(2 * column.a.item_bytes * length for column in columns))
    for column in columns:
        column.settings["fast"] = fast
    differences = [column.begin() for column in columns]
    pieces = _cut(columns, length)
    work = work_in_order(pieces, partial(_Comparing, dump_a, columns, rows), threads)
    with contextlib.closing(work) as parts:
        for (number, start, stop), part in parts:
            differences[number].merge(part)
            if progress is not None:
                progress((stop - start) * columns[number].a.item_bytes)
    return differences


def _cut(columns: Sequence[_Column], length: int) -> Iterator[_Piece]:
    for number, column in enumerate(columns):
        step = max(1, _PIECE // column.item_bytes)
        for start in range(0, length, step):
            yield number, start, min(start + step, length)


class _Comparing:
    """Compares pieces, one after another, in one thread.

    Args:
        dump: A, for messages.
        columns: All pairs of columns.
        rows: The rows of both that belong together.
    """

    def __init__(self, dump: Dump, columns: Sequence[_Column], rows: tuple[Array, Array]) -> None:
        self._dump, self._columns, self._rows = dump, columns, rows
        self._readers = _Reader(), _Reader()

    def __call__(self, piece: _Piece) -> Difference:
        number, start, stop = piece
        column = self._columns[number]
        found = column.begin()
        step = max(1, min(BLOCK // column.item_bytes, column.a.step, column.b.step))
        for first in range(start, stop, step):
            some = slice(first, min(first + step, stop))
            a = self._readers[0].read(column.a, self._rows[0][some])
            b = self._readers[1].read(column.b, self._rows[1][some])
            if column.pair.transpose is not None:
                a = a.transpose(0, *(axis + 1 for axis in column.pair.transpose))
            if a.shape != b.shape:
                raise _explain(self._dump, column.pair, int(self._rows[0][first]), a, b)
            found.add(a, b, first)
        return found


class _Reader:
    """Reads rows of one side, always into the same memory."""

    def __init__(self) -> None:
        self._buffer = np.zeros(BLOCK, np.uint8)

    def read(self, items: Items, rows: Array) -> Array:
        """Read rows in the order given."""
        size = len(rows) * items.item_bytes
        if self._buffer.nbytes < size:
            self._buffer = np.zeros(size, np.uint8)
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        parts, start = [], 0
        for end in ends:
            place = start * items.item_bytes
            first = int(rows[start])
            parts.append(items.read(first, first + end - start, self._buffer[place:]))
            start = end
        if len(parts) == 1:
            return parts[0]
        if not np.shares_memory(parts[0], self._buffer):
            return np.concatenate(parts)
        # They lie one behind another.
        whole = self._buffer[:size].view(parts[0].dtype)
        return whole.reshape(len(rows), *parts[0].shape[1:])


def _explain(dump: Dump, pair: Pair, row: int, a: Array, b: Array) -> InputError:
    name = str(dump.describe_samples(row, row + 1)["sample"][0])
    return InputError(
        f"{pair.a.address}: expected as many values on both sides for the sample {name}, received "
        f"the shapes {a.shape[1:]} and {b.shape[1:]}"
    )
