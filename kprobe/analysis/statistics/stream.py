"""The statistics of a dump's columns, read block by block, by several threads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from kprobe.analysis.pieces import work_in_order
from kprobe.analysis.statistics.accumulate import Statistics, has_statistics
from kprobe.analysis.statistics.blocks import BLOCK, Scanner, take_many
from kprobe.analysis.statistics.items import Items, open_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kprobe.analysis.pieces import Check
    from kprobe.analysis.statistics.accumulate import Detail
    from kprobe.analysis.statistics.moments import Array
    from kprobe.dumps.reader import Dump

# Bytes of what one thread reads at a time, at least, and for each channel, of which a piece has its
# own moments. Pieces are merged in their order, so that results don't depend on the threads.
_PIECE = 1 << 25
_PIECE_PER_CHANNEL = 1 << 11


def list_countable(dump: Dump) -> tuple[list[str], list[str]]:
    """Give the columns of a dump that have statistics, and those that don't, such as text.

    Returns:
        The names of columns, each in the order in which they are stored.

    Raises:
        DumpError: The dump is closed.
    """
    countable: list[str] = []
    others: list[str] = []
    for name in dump.columns:
        column = dump[name]
        counts = has_statistics(column.dtype) and column.attrs.get("dtype") != "string"
        (countable if counts else others).append(name)
    return countable, others


@dataclass(frozen=True)
class _Piece:
    """Items that follow each other, of rows that all count; `rows` is their number, told once."""

    address: str
    items: Items
    begin: int
    end: int
    rows: int

    @property
    def bytes(self) -> int:
        return (self.end - self.begin) * self.items.item_bytes


def read_statistics(
    dump: Dump,
    addresses: Sequence[str],
    *,
    threads: int | None = None,
    rows: tuple[int, int] | None = None,
    detail: Detail = "full",
    by_sample: bool = False,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Statistics]:
    """Give the statistics of columns of a dump, of all rows that are committed and valid.

    Memory doesn't grow with the dump: a few MB for each thread, and what is known of each column.

    Args:
        dump: An open dump. Of an unfinished one, the rows that were committed when it was opened.
        addresses: Which columns, as in `dump[address]`; each must be one that `list_countable`
            lists. A weight counts as one row, whatever `rows` says.
        threads: How many threads read; by default as many as there are cores for the process.
            The results are the same for any number.
        rows: The first row, and the one behind the last; all by default.
        detail: As for `Statistics`.
        by_sample: As for `Statistics`.
        progress: Called with the bytes that were gone through since the last call.

    Returns:
        By address.

    Raises:
        DumpError: There is no such column, the dump is closed, or its file was cut meanwhile.
        OSError: The disk can't be read.
    """
    start, stop = rows or (0, dump.committed)
    start, stop, _ = slice(start, stop).indices(dump.committed)
    valid = dump.read_valid(start, stop)
    runs = [(start, stop)] if valid is None else _find_runs(valid, start)

    opened = {address: open_items(dump, address, by_sample) for address in addresses}

    def make(items: Items) -> Statistics:
        return Statistics(**items.about, by_sample=by_sample, detail=detail)

    found = {address: make(items) for address, items in opened.items()}
    pieces = [piece for address, items in opened.items() for piece in _cut(address, items, runs)]
    many = take_many(sum(piece.bytes for piece in pieces))

    work = work_in_order(pieces, partial(_Reader, many, make), threads)
    with contextlib.closing(work) as parts:
        for piece, part in parts:
            found[piece.address].merge(part)
            if progress is not None:
                progress(piece.bytes)
    return found


class _Reader:
    """Reads pieces, one after another, into the same memory, in one thread."""

    def __init__(self, compiled: bool, make: Callable[[Items], Statistics], check: Check) -> None:
        self._make, self._check = make, check
        self._scanner = Scanner(compiled)
        self._buffer = np.zeros(BLOCK, np.uint8)

    def __call__(self, piece: _Piece) -> Statistics:
        items, scanner = piece.items, self._scanner
        statistics = self._make(items)
        for begin in range(piece.begin, piece.end, items.step):
            self._check()
            end = min(begin + items.step, piece.end)
            size = (end - begin) * items.item_bytes
            if self._buffer.nbytes < size:
                self._buffer = np.zeros(size, np.uint8)
            values = items.read(begin, end, self._buffer)
            if items.whole_rows:
                statistics.add(values, begin, scanner=scanner)
            else:
                statistics.add_items(values, partial(_find_row, items, begin), scanner)
        statistics.finish(scanner)
        # A row of which several pieces hold parts is one row.
        statistics.rows = piece.rows
        return statistics


def _find_row(items: Items, begin: int, place: int) -> int:
    return items.find_row(begin + place)


def _find_runs(valid: Array, start: int) -> list[tuple[int, int]]:
    """Give where valid rows begin and end that follow each other; the first row is `start`."""
    edges = np.flatnonzero(np.diff(np.r_[False, valid, False].astype(np.int8))) + start
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _cut(address: str, items: Items, runs: Sequence[tuple[int, int]]) -> Iterator[_Piece]:
    for first, last in runs if items.has_rows else [(0, 1)]:
        begin, end = items.find_places(first, last)
        axis = items.about["channel_axis"]
        channels = 1 if axis is None else items.about["shape"][axis]
        size = max(_PIECE, _PIECE_PER_CHANNEL * channels)
        step = max(1, size // max(1, items.item_bytes) // items.step) * items.step
        edges = [*range(begin, end, step), end] if begin < end else [begin, end]
        for place, (low, high) in enumerate(pairwise(edges)):
            yield _Piece(address, items, low, high, 0 if place else last - first)
