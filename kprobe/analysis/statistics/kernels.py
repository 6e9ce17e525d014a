"""What is done with each value, compiled by numba.

Import this late: numba takes half a second, and the kernels some seconds when they are compiled for
the first time on a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.compiling import compile_kernel

if TYPE_CHECKING:
    from kprobe.analysis.statistics.moments import Array

# Values side by side, at least; channels are repeated to be as many. And values of a block, of
# which the moments are found before they are merged with others: a part of a core's own cache,
# since they are gone through twice.
_WIDTH = 64
_BLOCK = 1 << 16
_MOST_ROWS, _LARGEST_BLOCK = 128, 1 << 17  # where there are many channels
_AT_ONCE = 8  # rows, between which sums stay in registers
# Bins, of which most are empty: that many are looked at together.
_TOGETHER = 64
# Bins of a sign, the last ones, that are of infinity and NaN.
_NOT_FINITE = 128
# A product and a sum may be rounded once rather than twice. And what is given no NaN may compare in
# any order.
_FUSED = {"contract"}
_ORDERLESS = {"contract", "nnan", "nsz"}


@compile_kernel(keep=False, fastmath=_ORDERLESS)
def _find_least(values: Array) -> float:
    least = values[0]
    for i in range(len(values)):
        least = values[i] if values[i] < least else least
    return np.float64(least)


@compile_kernel(keep=False, fastmath=_ORDERLESS)
def _find_largest(values: Array) -> float:
    largest = values[0]
    for i in range(len(values)):
        largest = values[i] if values[i] > largest else largest
    return np.float64(largest)


@compile_kernel(keep=False, fastmath=_FUSED)
def _sum_block(values: Array, sums: Array, ends: Array, tally: Array) -> bool:
    """Sum up columns, shifted by their first value, and tell whether all values are finite.

    Args:
        values: Of shape (rows, columns).
        sums: float64 of shape (4, columns): the shifts, sums, squares and magnitudes are put here.
        ends: Of shape (2, columns) and the values' dtype: the least and the largest.
        tally: The same of shape (3, columns): how many are finite, zero and NaN.
    """
    shift, total, squares, magnitudes = sums[0], sums[1], sums[2], sums[3]
    least, largest, zeros = ends[0], ends[1], tally[1]
    one, none = values.dtype.type(1), values.dtype.type(0)
    rows, columns = values.shape
    sums[:] = 0
    tally[:] = 0
    for j in range(columns):
        shift[j] = np.float64(values[0, j])
        least[j] = largest[j] = values[0, j]
        tally[0, j] = rows
    for row in range(0, rows - rows % _AT_ONCE, _AT_ONCE):
        for j in range(columns):
            s = q = m = 0.0
            low, high, z = least[j], largest[j], zeros[j]
            for i in range(_AT_ONCE):
                value = values[row + i, j]
                apart = np.float64(value)
                m += abs(apart)
                apart -= shift[j]
                s += apart
                q += apart * apart
                low = value if value < low else low
                high = value if value > high else high
                z += one if value == 0 else none
            total[j] += s
            squares[j] += q
            magnitudes[j] += m
            least[j], largest[j], zeros[j] = low, high, z
    for row in range(rows - rows % _AT_ONCE, rows):
        for j in range(columns):
            value = values[row, j]
            apart = np.float64(value)
            magnitudes[j] += abs(apart)
            apart -= shift[j]
            total[j] += apart
            squares[j] += apart * apart
            least[j] = value if value < least[j] else least[j]
            largest[j] = value if value > largest[j] else largest[j]
            zeros[j] += one if value == 0 else none
    infinite = False
    for j in range(columns):
        infinite |= not squares[j] + magnitudes[j] < np.inf
    return not infinite


@compile_kernel(keep=False, fastmath=_FUSED)
def _sum_finite(values: Array, sums: Array, ends: Array, tally: Array) -> None:
    """Do the same where some values aren't finite: those are only counted."""
    shift, total, squares, magnitudes = sums[0], sums[1], sums[2], sums[3]
    one, none = values.dtype.type(1), values.dtype.type(0)
    infinity = values.dtype.type(np.inf)
    rows, columns = values.shape
    sums[:] = 0
    tally[:] = 0
    ends[0, :] = infinity
    ends[1, :] = -infinity
    for j in range(columns):
        for row in range(rows):
            if abs(values[row, j]) < infinity:
                shift[j] = np.float64(values[row, j])
                break
    for row in range(rows):
        for j in range(columns):
            value = values[row, j]
            finite = abs(value) < infinity
            apart = np.float64(value) - shift[j] if finite else 0.0
            total[j] += apart
            squares[j] += apart * apart
            magnitudes[j] += abs(np.float64(value)) if finite else 0.0
            ends[0, j] = value if finite and value < ends[0, j] else ends[0, j]
            ends[1, j] = value if finite and value > ends[1, j] else ends[1, j]
            tally[0, j] += one if finite else none
            tally[1, j] += one if value == 0 else none
            tally[2, j] += one if np.isnan(value) else none


@compile_kernel(keep=False, fastmath=_FUSED)
def _merge_sums(
    rows: int, sums: Array, ends: Array, tally: Array, floats: Array, counts: Array
) -> None:
    """Merge the sums of columns into the moments of channels (Chan, Golub and LeVeque 1979)."""
    channels = floats.shape[1]
    for begin in range(0, sums.shape[1], channels):
        for c in range(channels):
            j = begin + c
            m, n = np.float64(tally[0, j]), np.float64(counts[0, c])
            some = max(m, 1.0)
            m2 = sums[2, j] - sums[1, j] * sums[1, j] / some
            m2 = 0.0 if m2 < 0 else m2
            apart = sums[0, j] + sums[1, j] / some - floats[0, c] if m > 0 else 0.0
            part = m / max(m + n, 1.0)
            floats[1, c] += m2 + apart * apart * (n * part)
            floats[0, c] += apart * part
            floats[2, c] += sums[3, j]
            low, high = np.float64(ends[0, j]), np.float64(ends[1, j])
            floats[3, c] = low if low < floats[3, c] else floats[3, c]
            floats[4, c] = high if high > floats[4, c] else floats[4, c]
            counts[0, c] += np.int64(tally[0, j])
            counts[1, c] += np.int64(tally[1, j])
            counts[2, c] += np.int64(tally[2, j])
            counts[3, c] += rows - np.int64(tally[0, j]) - np.int64(tally[2, j])


@compile_kernel(keep=False, fastmath=_FUSED)
def _count_at(values: Array, ends: Array, tally: Array, extremes: Array, at: Array) -> None:
    """Count values at the extremes of all, if those of a block reach them."""
    for k in range(2):
        end = _find_least(ends[0]) if k == 0 else _find_largest(ends[1])
        if end < extremes[0] if k == 0 else end > extremes[1]:
            extremes[k] = end
            at[k] = 0
        if abs(end) == np.inf or end != extremes[k]:
            continue
        if end == 0:
            at[k] += np.int64(tally[1].sum())
            continue
        same, wanted = 0, values.dtype.type(end)
        for i in range(len(values)):
            same += 1 if values[i] == wanted else 0
        at[k] += same


@compile_kernel(keep=False, fastmath=_FUSED)
def _count_bins(bits: Array, table: Array) -> None:
    """Count values into bins by the first bits of each.

    Two tables are used in turn, since values that are alike, such as zeros, would wait for each
    other. More would drive each other out of the fastest cache.

    Args:
        bits: uint32 or uint64 of shape (any,).
        table: As for `scan`.
    """
    a, b = table[0], table[1]
    double = bits.dtype.type(-1) > 0xFFFFFFFF  # known when it is compiled
    shift = bits.dtype.type(45 if double else 16)
    pairs = bits[: len(bits) - len(bits) % 2].reshape(-1, 2)
    one = np.uint32(1)
    for i in range(len(pairs)):
        a[pairs[i, 0] >> shift] += one
        b[pairs[i, 1] >> shift] += one
    if len(bits) % 2:
        a[bits[-1] >> shift] += one


@compile_kernel(keep=False, fastmath=_FUSED)
def _scan_block(values: Array, bits: Array, width: int, state: Any, table: Array) -> int:
    floats, counts, extremes, at = state
    sums = np.empty((4, width))
    ends, tally = np.empty((2, width), values.dtype), np.empty((3, width), values.dtype)
    block = values.reshape(-1, width)
    found = 0
    if not _sum_block(block, sums, ends, tally):
        _sum_finite(block, sums, ends, tally)
        nan, infinite = tally[2].sum(), len(values) - tally[0].sum() - tally[2].sum()
        found = (1 if nan else 0) | (2 if infinite else 0)
    _merge_sums(len(block), sums, ends, tally, floats, counts)
    _count_at(values, ends, tally, extremes, at)
    if table.shape[1]:
        _count_bins(bits, table)
    return found


@compile_kernel(fastmath=_FUSED)
def scan(
    values: Array,
    bits: Array,
    floats: Array,
    counts: Array,
    extremes: Array,
    at: Array,
    table: Array,
) -> int:
    """Add values to all that is known of a tensor.

    Args:
        values: float32 or float64, of shape (any,): channels one after another, for each place.
        bits: The same memory as uint32 or uint64.
        floats: As in `Moments`, changed in place.
        counts: As in `Moments`, changed in place.
        extremes: As in `Extremes`, changed in place.
        at: How many values are exactly these, as in `Extremes`, changed in place.
        table: uint32 of shape (2, more than there are bins), changed in place; or (2, 0).

    Returns:
        1 if a value is NaN, and 2 more if one is infinite.
    """
    channels = floats.shape[1]
    width = channels * max(1, _WIDTH // channels)
    rows = max(2 * _AT_ONCE, _BLOCK // width, min(_MOST_ROWS, _LARGEST_BLOCK // width))
    step = width * rows
    whole = len(values) - len(values) % width
    state = floats, counts, extremes, at
    found = 0
    for begin in range(0, whole, step):
        end = min(begin + step, whole)
        found |= _scan_block(values[begin:end], bits[begin:end], width, state, table)
    if whole < len(values):
        found |= _scan_block(values[whole:], bits[whole:], channels, state, table)
    return found


@compile_kernel(fastmath=_FUSED)
def drain(table: Array, keys: Array, counts: Array, new_keys: Array, new_counts: Array) -> int:
    """Merge the counts of a table with those of a sketch, and clear the table.

    Args:
        table: As for `scan`; zero afterwards.
        keys: As in `Sketch`.
        counts: As in `Sketch`.
        new_keys: Of the dtype of `keys` and the shape (bins,), for the keys of both.
        new_counts: int64 of the same shape, for the counts of both.

    Returns:
        How many keys there are now.
    """
    half = len(new_keys) // 2
    size = old = 0
    for begin in range(0, len(new_keys), _TOGETHER):
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
            if key % half >= half - _NOT_FINITE:
                continue
            if old < len(keys) and keys[old] == key:
                count += counts[old]
                old += 1
            if count:
                new_keys[size], new_counts[size] = key, count
                size += 1
    return size
