"""Compare columns of two dumps, piece by piece, by several threads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.column_rows import Buffer, ColumnRows
from kprobe.analysis.comparison.difference import Difference
from kprobe.analysis.pieces import work_in_order
from kprobe.analysis.statistics.blocks import BLOCK, take_many
from kprobe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kprobe.analysis.comparison.records import Pair
    from kprobe.analysis.pieces import Check
    from kprobe.dumps.reader import Dump

Array = np.ndarray[Any, np.dtype[Any]]
# The number of a pair of columns, the first of its joined rows, and the one behind the last.
_Piece = tuple[int, int, int]

# Bytes of A that are a piece at least. Pieces are merged in their order, so that results don't
# depend on the threads.
_PIECE = 1 << 25
_ONE = np.zeros(1, np.int64)


@dataclass(frozen=True)
class _Column:
    """A matched pair of columns, as both are read."""

    pair: Pair
    a: ColumnRows
    b: ColumnRows
    rows: tuple[Array, Array]
    settings: dict[str, Any]

    def begin(self) -> Difference:
        return Difference.of_pair(self.pair, **self.settings)

    @property
    def row_bytes(self) -> int:
        return max(self.a.row_bytes, self.b.row_bytes)


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
    are larger, and what is known of each pair. A weight is a row.

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
        InputError: The rows of a sample have another number of values in A than in B, and those of
            all samples have one shape on each side.
        DumpError: There is no such column, a dump is closed, or a file ends too early.
        OSError: A file can't be read.
    """
    columns = []
    for number, pair in enumerate(pairs):
        settings = {"cosine": cosine, "ulps": None if ulps is None else ulps[number]}
        a, b = ColumnRows(dump_a, pair.a.address), ColumnRows(dump_b, pair.b.address)
        own = rows if a.has_rows else (_ONE, _ONE)
        columns.append(_Column(pair, a, b, own, settings))
    fast = take_many(sum(2 * column.a.row_bytes * len(column.rows[0]) for column in columns))
    for column in columns:
        column.settings["fast"] = fast
    differences = [column.begin() for column in columns]
    work = work_in_order(_cut(columns), partial(_Comparing, dump_a, columns), threads)
    with contextlib.closing(work) as parts:
        for (number, start, stop), part in parts:
            differences[number].merge(part)
            if progress is not None:
                progress((stop - start) * columns[number].a.row_bytes)
    return differences


def _cut(columns: Sequence[_Column]) -> Iterator[_Piece]:
    for number, column in enumerate(columns):
        length, step = len(column.rows[0]), max(1, _PIECE // column.row_bytes)
        for start in range(0, length, step):
            yield number, start, min(start + step, length)


class _Comparing:
    """Compares pieces, one after another, in one thread.

    Args:
        dump: A, for messages.
        columns: All pairs of columns.
        check: As for `work_in_order`.
    """

    def __init__(self, dump: Dump, columns: Sequence[_Column], check: Check) -> None:
        self._dump, self._columns, self._check = dump, columns, check
        self._buffers = Buffer(), Buffer()

    def __call__(self, piece: _Piece) -> Difference:
        number, start, stop = piece
        column = self._columns[number]
        found = column.begin()
        step = max(1, min(BLOCK // column.row_bytes, column.a.step, column.b.step))
        for first in range(start, stop, step):
            self._check()
            some = slice(first, min(first + step, stop))
            if column.a.is_ragged or column.b.is_ragged:
                self._compare_each(column, some, found)
            else:
                self._compare(column, some, found)
        return found

    def _compare(self, column: _Column, some: slice, found: Difference) -> None:
        a = column.a.read(column.rows[0][some], self._buffers[0])
        b = column.b.read(column.rows[1][some], self._buffers[1])
        if column.pair.transpose is not None:
            a = a.transpose(0, *(axis + 1 for axis in column.pair.transpose))
        if a.shape != b.shape:
            raise _explain(self._dump, column.pair, int(column.rows[0][some.start]), a, b)
        found.add(a, b, some.start)

    def _compare_each(self, column: _Column, some: slice, found: Difference) -> None:
        a = column.a.read_each(column.rows[0][some], self._buffers[0])
        b = column.b.read_each(column.rows[1][some], self._buffers[1])
        if column.pair.a.is_text:
            found.add_texts(a, b, some.start)
            return
        if column.pair.transpose is not None:
            a = [row.transpose(column.pair.transpose) for row in a]
        found.add_uneven(a, b, some.start)


def _explain(dump: Dump, pair: Pair, row: int, a: Array, b: Array) -> InputError:
    name = str(dump.describe_samples(row, row + 1)["sample"][0])
    return InputError(
        f"{pair.a.address}: expected as many values on both sides for the sample {name}, received "
        f"the shapes {a.shape[1:]} and {b.shape[1:]}"
    )
