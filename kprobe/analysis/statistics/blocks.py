"""How blocks of values are gone through: by numpy while there are few, then by compiled kernels."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.compiling import run_kernel
from kprobe.analysis.statistics.moments import (
    FINITE,
    INFINITE,
    LARGEST,
    LEAST,
    NAN,
    Moments,
    reduce_block,
)
from kprobe.analysis.statistics.sketch import count_keys, find_keys

if TYPE_CHECKING:
    from kprobe.analysis.statistics.moments import Array
    from kprobe.analysis.statistics.sketch import Sketch

# Bytes of values, which numpy goes through in about as long as the kernels take to start: 0.6 s,
# once they were compiled on this machine.
ENOUGH = 1 << 28
BLOCK = 1 << 20  # bytes: what is gone through twice stays in a core's own cache
_LEAST_ROWS = 16  # of a block, where there are so many channels that it would be of fewer
_MOST = 1 << 31  # values that a table counts before they are moved to a sketch
# Between a bin of one table and the same of the other, which would be in one place of the cache.
_APART = 80
_NO_TABLE = np.zeros((2, 0), np.uint32)
_HALF, _SINGLE = 2, 4  # bytes

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
    """What goes through values; each thread needs its own.

    Args:
        compiled: Whether by compiled kernels, as `take_many` told; by default it is asked for each
            time.

    Attributes:
        compiled: As given; it may be changed between values.
    """

    def __init__(self, compiled: bool | None = None) -> None:
        self.compiled = compiled
        self._table: Array | None = None
        self._counted = 0

    def add(
        self, values: Array, moments: Moments, extremes: Extremes, sketch: Sketch | None = None
    ) -> tuple[bool, bool]:
        """Add values to all that is known of others.

        Args:
            values: float32 or float64 of shape (any, channels), in C order.
            moments: Of as many channels; changed in place.
            extremes: Changed in place.
            sketch: The same until `finish`, after which it holds them; None for none.

        Returns:
            Whether NaN is among them, and whether an infinity is.

        Raises:
            ValueError: The sketch is wide, and they aren't float64; or the other way round.
        """
        if sketch is not None and sketch.wide != (values.dtype == np.float64):
            expected = "float64" if sketch.wide else "float32"
            raise ValueError(f"expected {expected} as its bins are, received {values.dtype}")
        wanted = self.compiled
        if take_many(values.nbytes) if wanted is None else wanted:
            return self._scan(values, moments, extremes, sketch)
        nan = infinite = False
        step = count_rows(values.shape[1], values.itemsize)
        for begin in range(0, len(values), step):
            part = values[begin : begin + step]
            block = reduce_block(part)
            ends = Extremes()
            ends.values[:] = block.floats[LEAST].min(), block.floats[LARGEST].max()
            if block.counts[FINITE].any():
                ends.counts[:] = [np.count_nonzero(part == end) for end in ends.values]
            extremes.merge(ends)
            moments.merge(block)
            nan, infinite = nan or block.counts[NAN].any(), infinite or block.counts[INFINITE].any()
            if sketch is not None:
                sketch.add_counts(*count_keys(find_keys(part)))
        return bool(nan), bool(infinite)

    def _scan(
        self, values: Array, moments: Moments, extremes: Extremes, sketch: Sketch | None
    ) -> tuple[bool, bool]:
        flat = values.reshape(-1)
        bits = flat.view(np.uint32 if flat.itemsize == _SINGLE else np.uint64)
        table = _NO_TABLE
        if sketch is not None:
            if self._table is None or self._table.shape[1] != sketch.bins + _APART:
                self._table = np.zeros((2, sketch.bins + _APART), np.uint32)
            if self._counted + values.size > _MOST:
                self.finish(sketch)
            self._counted += values.size
            table = self._table
        of_channels, of_all = (moments.floats, moments.counts), (extremes.values, extremes.counts)
        found = run_kernel(_load_kernels().scan, flat, bits, *of_channels, *of_all, table)
        return bool(found & 1), bool(found & 2)

    def finish(self, sketch: Sketch) -> None:
        """Put what was counted into the sketch."""
        if self._table is None or not self._counted:
            return
        keys = np.empty(sketch.bins, sketch.keys.dtype)
        counts = np.empty(sketch.bins, np.int64)
        drain = _load_kernels().drain
        size = run_kernel(drain, self._table, sketch.keys, sketch.counts, keys, counts)
        sketch.keys, sketch.counts = keys[:size].copy(), counts[:size].copy()
        self._counted = 0


@cache
def _load_kernels() -> Any:
    from kprobe.analysis.statistics import kernels

    return kernels


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
    return values.astype(np.float32 if values.dtype.itemsize <= _HALF else np.float64)


@cache
def _list_halves() -> Array:
    """Give the value of every float16, by its bits."""
    with np.errstate(invalid="ignore"):
        return np.arange(_HALVES, dtype=np.uint16).view(np.float16).astype(np.float32)
