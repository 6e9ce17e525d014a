"""What is done with each value, compiled by numba.

Import this late: numba takes half a second, and the kernels two seconds when they are compiled for
the first time on a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kprobe.analysis.compiling import compile_kernel

if TYPE_CHECKING:
    from kprobe.analysis.statistics.moments import Array

# Values side by side, at least; channels are repeated to be as many. And values of a block, of
# which the moments are found before they are merged with others: half a core's own cache.
_WIDTH = 64
_BLOCK = 1 << 16
_AT_ONCE = 8  # rows, between which sums stay in registers
# Bins, of which most are empty: that many are looked at together. NaN and infinity are in none.
_TOGETHER = 64
_SIGNLESS, _NOT_FINITE = 0x7FFF, 0x7F80


@compile_kernel()
def add_moments(
    values: Array, channels: int, floats: Array, counts: Array, extremes: Array, at: Array
) -> None:
    """Add values to moments, and to the counts of values that are exactly at the extremes.

    Args:
        values: float32 or float64, of shape (any,): channels one after another, for each place.
        channels: How many channels there are.
        floats: As in `Moments`, changed in place.
        counts: As in `Moments`, changed in place.
        extremes: float64 of shape (2,): the least and the largest finite value, changed in place.
        at: int64 of shape (2,): how many values are exactly these, changed in place.
    """
    width = channels * max(1, _WIDTH // channels)
    step = width * max(2 * _AT_ONCE, _BLOCK // width)
    whole = len(values) - len(values) % width
    sums = np.empty((3, width))
    ends = np.empty((3, width), values.dtype)
    for begin in range(0, whole, step):
        block = values[begin : min(begin + step, whole)]
        if _sum_block(block, width, sums, ends):
            _merge_block(block, width, channels, sums, ends, floats, counts, extremes, at)
        else:
            _add_one_by_one(block, channels, floats, counts, extremes, at)
    _add_one_by_one(values[whole:], channels, floats, counts, extremes, at)


@compile_kernel()
def _sum_block(values: Array, width: int, sums: Array, ends: Array) -> bool:
    """Sum up columns, shifted by their first value, and tell whether all values are finite."""
    total, squares, magnitudes = sums[0], sums[1], sums[2]
    least, largest, zeros = ends[0], ends[1], ends[2]
    rows = len(values) // width
    sums[:] = 0
    least[:] = values[:width]
    largest[:] = values[:width]
    zeros[:] = 0
    first = values[:width]
    for row in range(0, rows - rows % _AT_ONCE, _AT_ONCE):
        for j in range(width):
            shift = np.float64(first[j])
            s = q = m = 0.0
            low, high, z = least[j], largest[j], zeros[j]
            for i in range(_AT_ONCE):
                value = values[(row + i) * width + j]
                apart = np.float64(value) - shift
                s += apart
                q += apart * apart
                m += abs(np.float64(value))
                low = value if value < low else low
                high = value if value > high else high
                z += 1 if value == 0 else 0
            total[j] += s
            squares[j] += q
            magnitudes[j] += m
            least[j], largest[j], zeros[j] = low, high, z
    for row in range(rows - rows % _AT_ONCE, rows):
        for j in range(width):
            value = values[row * width + j]
            apart = np.float64(value) - np.float64(first[j])
            total[j] += apart
            squares[j] += apart * apart
            magnitudes[j] += abs(np.float64(value))
            least[j] = value if value < least[j] else least[j]
            largest[j] = value if value > largest[j] else largest[j]
            zeros[j] += 1 if value == 0 else 0
    whole = 0.0
    for j in range(width):
        whole += squares[j] + magnitudes[j]
    return bool(np.isfinite(whole))


@compile_kernel()
def _merge_block(
    values: Array,
    width: int,
    channels: int,
    sums: Array,
    ends: Array,
    floats: Array,
    counts: Array,
    extremes: Array,
    at: Array,
) -> None:
    """Merge the sums of a block into the moments (Chan, Golub and LeVeque 1979)."""
    rows = len(values) // width
    low, high = np.float64(ends[0, 0]), np.float64(ends[1, 0])
    for j in range(width):
        c = j % channels
        mean = np.float64(values[j]) + sums[0, j] / rows
        m2 = max(sums[1, j] - sums[0, j] * sums[0, j] / rows, 0.0)
        n = counts[0, c]
        apart = mean - floats[0, c]
        part = rows / (n + rows)
        floats[1, c] += m2 + apart * apart * (n * part)
        floats[0, c] += apart * part
        floats[2, c] += sums[2, j]
        floats[3, c] = min(floats[3, c], np.float64(ends[0, j]))
        floats[4, c] = max(floats[4, c], np.float64(ends[1, j]))
        counts[0, c] += rows
        counts[1, c] += np.int64(ends[2, j])
        low = min(low, np.float64(ends[0, j]))
        high = max(high, np.float64(ends[1, j]))
    _count_at(values, low, high, extremes, at)


@compile_kernel()
def _add_one_by_one(
    values: Array, channels: int, floats: Array, counts: Array, extremes: Array, at: Array
) -> None:
    """Add values of which some may not be finite (Welford 1962)."""
    low, high = np.inf, -np.inf
    for begin in range(0, len(values), channels):
        for c in range(channels):
            value = np.float64(values[begin + c])
            if np.isnan(value):
                counts[2, c] += 1
            elif np.isinf(value):
                counts[3, c] += 1
            else:
                counts[0, c] += 1
                counts[1, c] += 1 if value == 0 else 0
                apart = value - floats[0, c]
                floats[0, c] += apart / counts[0, c]
                floats[1, c] += apart * (value - floats[0, c])
                floats[2, c] += abs(value)
                floats[3, c] = min(floats[3, c], value)
                floats[4, c] = max(floats[4, c], value)
                low, high = min(low, value), max(high, value)
    _count_at(values, low, high, extremes, at)


@compile_kernel()
def _count_at(values: Array, low: float, high: float, extremes: Array, at: Array) -> None:
    """Count values at the extremes of all, if those of a block reach them."""
    for k, end in enumerate((low, high)):
        beyond = end < extremes[0] if k == 0 else end > extremes[1]
        if beyond:
            extremes[k] = end
            at[k] = 0
        if np.isfinite(end) and end == extremes[k]:
            same = 0
            wanted = values.dtype.type(end)
            for i in range(len(values)):
                same += 1 if values[i] == wanted else 0
            at[k] += same


@compile_kernel()
def count_bins(bits: Array, table: Array) -> None:
    """Count values into bins by the upper halves of their bits.

    Two tables are used in turn, since values that are alike, such as zeros, would wait for each
    other.

    Args:
        bits: uint32 of shape (any,).
        table: uint32 of shape (2, 65536), changed in place.
    """
    even = len(bits) - len(bits) % 2
    for i in range(0, even, 2):
        table[0, bits[i] >> np.uint32(16)] += np.uint32(1)
        table[1, bits[i + 1] >> np.uint32(16)] += np.uint32(1)
    if even < len(bits):
        table[0, bits[even] >> np.uint32(16)] += np.uint32(1)


@compile_kernel()
def drain_bins(table: Array, keys: Array, counts: Array, new_keys: Array, new_counts: Array) -> int:
    """Merge the counts of a table with those of a sketch, and clear the table.

    Args:
        table: As in `count_bins`; zero afterwards.
        keys: As in `Sketch`.
        counts: As in `Sketch`.
        new_keys: uint16 of shape (65536,), for the keys of both.
        new_counts: int64 of shape (65536,), for the counts of both.

    Returns:
        How many keys there are now.
    """
    size = old = 0
    for begin in range(0, table.shape[1], _TOGETHER):
        some = np.uint32(0)
        for key in range(begin, begin + _TOGETHER):
            some |= table[0, key] | table[1, key]
        while some == 0 and old < len(keys) and keys[old] < begin + _TOGETHER:
            new_keys[size], new_counts[size] = keys[old], counts[old]
            size += 1
            old += 1
        if some == 0:
            continue
        for key in range(begin, begin + _TOGETHER):
            count = np.int64(table[0, key]) + np.int64(table[1, key])
            table[0, key] = table[1, key] = 0
            if (key & _SIGNLESS) >= _NOT_FINITE:
                continue
            if old < len(keys) and keys[old] == key:
                count += counts[old]
                old += 1
            if count:
                new_keys[size], new_counts[size] = key, count
                size += 1
    return size
