"""How rows of a dump's column are read in the order in which they are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.statistics.blocks import BLOCK
from kprobe.analysis.statistics.items import open_items
from kprobe.dumps.ragged_rows import RaggedRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.dumps.reader import Dump

Array = np.ndarray[Any, np.dtype[Any]]


class ColumnRows:
    """The rows of a column; a weight is one row.

    Args:
        dump: An open dump.
        address: Which column, as in `dump[address]`.

    Attributes:
        is_ragged: Whether rows differ in shape.
        has_rows: Whether there is one for each sample.
        row_bytes: The bytes of a row, at least 1; of rows that differ, of one of them on average.
        step: How many rows are read at a time.

    Raises:
        DumpError: There is no such column, or the dump is closed.
    """

    def __init__(self, dump: Dump, address: str) -> None:
        column = dump[address]
        self.is_ragged = isinstance(column, RaggedRows)
        self._stored: Any = column
        if self.is_ragged:
            self.has_rows = True
            size = column.count_bytes(dump.committed) // max(1, dump.committed)
            self.row_bytes: int = max(1, size)
            self.step = max(1, BLOCK // self.row_bytes)
            return
        self._items = open_items(dump, address, by_sample=True)
        self.has_rows = self._items.has_rows
        self.row_bytes = max(1, self._items.item_bytes)
        self.step = self._items.step

    def read(self, rows: Array, buffer: Buffer) -> Array:
        """Read rows of one shape.

        Args:
            rows: Their numbers, in any order, at least one.
            buffer: Memory, which what is given may lie in until it is used again.

        Returns:
            An array of shape (rows, *shape).

        Raises:
            DumpError: The file ends before them.
            OSError: The file can't be read.
        """
        size = self._items.item_bytes
        memory = buffer.give(len(rows) * size)
        parts = [
            self._items.read(first, last, memory[begin * size :])
            for begin, first, last in _find_runs(rows)
        ]
        if len(parts) == 1:
            return parts[0]
        if not np.shares_memory(parts[0], memory):
            return np.concatenate(parts)
        # They lie one behind another.
        whole = memory[: len(rows) * size].view(parts[0].dtype)
        return whole.reshape(len(rows), *parts[0].shape[1:])

    def read_each(self, rows: Array, buffer: Buffer) -> Sequence[Array]:
        """Read rows of any shapes, texts as their bytes; otherwise as `read`."""
        if not self.is_ragged:
            return list(self.read(rows, buffer))
        runs = _find_runs(rows)
        return [row for _, first, last in runs for row in self._stored.read_stored(first, last)]


class Buffer:
    """Memory that is used again for what is read next."""

    def __init__(self) -> None:
        self._memory = np.zeros(BLOCK, np.uint8)

    def give(self, size: int) -> Array:
        """Give uint8 of so many bytes at least, with whatever they hold."""
        if self._memory.nbytes < size:
            self._memory = np.zeros(size, np.uint8)
        return self._memory


def _find_runs(rows: Array) -> Iterator[tuple[int, int, int]]:
    """Give where rows that follow each other begin among all, the first, and the one behind."""
    ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    start = 0
    for end in ends:
        first = int(rows[start])
        yield start, first, first + end - start
        start = end
