"""Batches of rows as they are handed over: whether each fits, and which rows are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.dumps.contents import Contents


def take_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    """Take what a column is handed: an array, or anything with the buffer protocol.

    Raises:
        DumpError: It is neither.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError, BufferError) as error:
        raise DumpError(
            f"{name}: expected an array, received {type(value).__name__}: {error}"
        ) from error


class Batch:
    """What was handed over of some rows, by column.

    Args:
        values: For every column with rows what `Writer.write` takes.
        contents: What the dump is to hold.

    Attributes:
        even: By column an array, with a row for each sample.
        ragged: By ragged column an array for each row.
        rows: How many rows it has.

    Raises:
        DumpError: It is for other columns, or holds something else than arrays.
    """

    def __init__(self, values: Mapping[str, Any], contents: Contents) -> None:
        self._columns = contents.even
        ragged = contents.ragged
        if values.keys() != self._columns.keys() | ragged.keys():
            expected, received = [*self._columns, *ragged], [*values] or ["none"]
            raise DumpError(
                f"expected the columns {', '.join(expected)}, received {', '.join(received)}"
            )
        self.ragged = {name: [take_array(name, row) for row in values[name]] for name in ragged}
        self.even = {name: take_array(name, values[name]) for name in self._columns}
        first = next(iter(self.even.values()), None)
        if first is None:
            self.rows = max(map(len, self.ragged.values()), default=0)
        else:
            self.rows = first.shape[0] if first.ndim else 0

    def find_faults(self) -> list[str]:
        """Say what of it doesn't fit, a line each; the shapes of ragged rows aren't looked at."""
        faults = [
            f"{name}: expected {self.rows} rows, received {len(parts)}"
            for name, parts in self.ragged.items()
            if len(parts) != self.rows
        ]
        for name, array in self.even.items():
            column = self._columns[name]
            shape = (self.rows, *column.shape)
            if array.dtype != column.dtype or array.shape != shape:
                faults.append(
                    f"{name}: expected {column.dtype} of shape {shape}, "
                    f"received {array.dtype} of shape {array.shape}"
                )
            elif not array.flags.c_contiguous:
                faults.append(f"{name}: expected a C-contiguous array, received another")
        return faults


class Coverage:
    """Which rows were handed over: each once, in any order of batches.

    Args:
        rows: How many there are to be.
        start: The first that is to be handed over.

    Attributes:
        stop: The rows below it were handed over, all of them.
    """

    def __init__(self, rows: int, start: int) -> None:
        self.stop = start
        self._rows = rows
        self._ahead: dict[int, int] = {}  # start to stop of batches beyond a gap

    def find_fault(self, start: int, stop: int, *, in_order: bool) -> list[str]:
        """Say why rows can't be handed over, if they can't."""
        faults = []
        if in_order and start != self.stop:
            faults.append(f"expected rows from {self.stop} on, received row {start}")
        if not 0 <= start <= stop <= self._rows:
            faults.append(f"expected rows within 0 to {self._rows}, received {start} to {stop}")
        elif stop > start and (start < self.stop or start in self._ahead):
            faults.append(f"expected every row once, received row {start} again")
        return faults

    def add(self, start: int, stop: int) -> None:
        """Note that rows were handed over."""
        if stop > start:
            self._ahead[start] = stop
        while self.stop in self._ahead:
            self.stop = self._ahead.pop(self.stop)
