"""How blocks of values are gone through: by numpy while there are few, then by compiled kernels."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from kprobe.analysis.compiling import run_kernel
from kprobe.analysis.statistics.moments import FINITE, LARGEST, LEAST, Moments, reduce_block
from kprobe.analysis.statistics.sketch import KEYS, Sketch, count_keys, find_keys, to_singles

if TYPE_CHECKING:
    from kprobe.analysis.statistics.moments import Array

# Bytes of values, which numpy goes through in about as long as the kernels take to start: 0.6 s,
# once they were compiled on this machine.
ENOUGH = 1 << 28
BLOCK = 1 << 20  # bytes: what is gone through twice stays in a core's own cache
_LEAST_ROWS = 16  # of a block, where there are so many channels that it would be of fewer
_MOST = 1 << 31  # values that a table counts before they are moved to a sketch

_HALVES = 1 << 16
_LONG = 1 << 14  # values of a row

_seen = 0


def take_many(size: int) -> bool:
    """Count bytes of values that are gone through, and tell whether the kernels are worth it."""
    global _seen
    _seen += size
    return _seen >= ENOUGH


class Extremes:
    """The least and the largest value of all, and how many are exactly these.

    Attributes:
        values: float64 of shape (2,); infinities, the larger first, where there are none.
        counts: int64 of shape (2,).
    """

    def __init__(self) -> None:
        self.values: Array = np.array([np.inf, -np.inf])
        self.counts: Array = np.zeros(2, np.int64)

    def merge(self, other: Extremes) -> None:
        """Take in those of other values."""
        for k, best in enumerate((min, max)):
            value = best(self.values[k], other.values[k])
            self.counts[k] = sum(
                each.counts[k] for each in (self, other) if each.values[k] == value
            )
            self.values[k] = value


class Scanner:
    """What goes through blocks; each thread needs its own.

    Args:
        compiled: Whether by compiled kernels, as `take_many` told; by default it is asked for each
            block.

    Attributes:
        compiled: As given; it may be changed between blocks.
    """

    def __init__(self, compiled: bool | None = None) -> None:
        self.compiled = compiled
        self._compiled = bool(compiled)
        self._table: Array | None = None
        self._merged: tuple[Array, Array] | None = None
        self._counted = 0

    def add(self, values: Array, moments: Moments, extremes: Extremes) -> None:
        """Add a block to moments and extremes.

        Args:
            values: float32 or float64 of shape (any, channels), in C order.
            moments: Of as many channels; changed in place.
            extremes: Changed in place.
        """
        wanted = self.compiled
        self._compiled = take_many(values.nbytes) if wanted is None else wanted
        if self._compiled:
            from kprobe.analysis.statistics.kernels import add_moments

            channels = values.shape[1]
            state = (moments.floats, moments.counts, extremes.values, extremes.counts)
            run_kernel(add_moments, values.reshape(-1), channels, *state)
            return
        block = reduce_block(values)
        ends = Extremes()
        ends.values[:] = block.floats[LEAST].min(), block.floats[LARGEST].max()
        if block.counts[FINITE].any():
            ends.counts[:] = [np.count_nonzero(values == end) for end in ends.values]
        extremes.merge(ends)
        moments.merge(block)

    def count(self, values: Array, sketch: Sketch) -> None:
        """Count a block that was just added into a sketch, which holds it after `finish`.

        Args:
            values: float32 or float64, in C order.
            sketch: Changed in place; the same until `finish`.
        """
        if not self._compiled:
            sketch.add_counts(*count_keys(find_keys(values)))
            return
        from kprobe.analysis.statistics.kernels import count_bins

        if self._table is None:
            self._table = np.zeros((2, KEYS), np.uint32)
            self._merged = np.empty(KEYS, np.uint16), np.empty(KEYS, np.int64)
        if self._counted + values.size > _MOST:
            self.finish(sketch)
        run_kernel(count_bins, to_singles(values).reshape(-1).view(np.uint32), self._table)
        self._counted += values.size

    def finish(self, sketch: Sketch) -> None:
        """Put what was counted into the sketch."""
        if self._table is None or self._merged is None or not self._counted:
            return
        from kprobe.analysis.statistics.kernels import drain_bins

        size = run_kernel(drain_bins, self._table, sketch.keys, sketch.counts, *self._merged)
        sketch.keys, sketch.counts = (each[:size].copy() for each in self._merged)
        self._counted = 0


_own = threading.local()


def own_scanner() -> Scanner:
    """Give the scanner of this thread, for what is finished before anything else is begun."""
    if not hasattr(_own, "scanner"):
        _own.scanner = Scanner()
    scanner: Scanner = _own.scanner
    return scanner


def count_rows(channels: int, itemsize: int) -> int:
    """Tell how many places with a value for each channel are a block."""
    return max(_LEAST_ROWS, BLOCK // (channels * itemsize))


def reduce_rows(values: Array, scanner: Scanner) -> Moments:
    """Give the moments of each row of shape (rows, any), as of a channel."""
    rows, size = values.shape
    whole = Moments(rows)
    # One after another where each is work enough, else side by side.
    step = 1 if size >= _LONG else max(1, BLOCK // max(1, size * values.dtype.itemsize))
    for first in range(0, rows if size else 0, step):
        part = slice(first, first + step)
        block = np.ascontiguousarray(as_numbers(values[part]).T)
        moments = Moments(block.shape[1])
        scanner.add(block, moments, Extremes())
        whole.floats[:, part], whole.counts[:, part] = moments.floats, moments.counts
    return whole


def as_numbers(values: Array) -> Array:
    """Give real numbers as float32 where that holds them exactly, else as float64."""
    if values.dtype in (np.float32, np.float64):
        return values
    if values.dtype == np.float16 and values.size >= _HALVES:
        # Six times as fast as numpy's own way.
        return np.take(_list_halves(), np.ascontiguousarray(values).view(np.uint16))
    small = values.dtype.itemsize <= 2 and values.dtype.kind != "c"
    return values.astype(np.float32 if small else np.float64)


@cache
def _list_halves() -> Array:
    """Give the value of every float16, by its bits."""
    with np.errstate(invalid="ignore"):
        return np.arange(_HALVES, dtype=np.uint16).view(np.float16).astype(np.float32)
