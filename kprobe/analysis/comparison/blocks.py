"""What one block of values of two sides gives, by numpy or by compiled kernels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kprobe.analysis.comparison.sums import Sums, find_exponent, scale

Array = np.ndarray[Any, np.dtype[Any]]

# Values of a block: below it numpy is quick enough.
_SMALL = 1 << 12
# What squares of float64 hold without loss: of other values numpy takes the squares, scaled.
_LEAST, _MOST = 2.0**-460, 2.0**460
_HALF = 1 << 32
_EXACT = 1 << 53  # whole numbers up to it are exact in float64


def make_comparable(a: Array, b: Array) -> tuple[Array, Array, Array | None]:
    """Make both float32 or float64, whichever holds them.

    Args:
        a: Values of any dtype of numbers, of shape (any,), contiguous.
        b: As many.

    Returns:
        Both, where a complex number is its two parts; and their difference, float64, where those
        of whole numbers that float64 doesn't hold would lose it.
    """
    if a.dtype.kind == "c" or b.dtype.kind == "c":
        wide = np.result_type(a, b, np.complex64)
        a, b = (x.astype(wide).view(wide.type(0).real.dtype) for x in (a, b))
    if a.dtype == b.dtype and a.dtype in (np.float32, np.float64):
        return a, b, None
    narrow = np.can_cast(a.dtype, np.float32) and np.can_cast(b.dtype, np.float32)
    common = np.float32 if narrow else np.float64
    exact = _subtract_exactly(a, b) if any(map(_is_long, (a, b))) else None
    return a.astype(common), b.astype(common), exact


def _is_long(values: Array) -> bool:
    """Tell whether there are whole numbers that float64 doesn't hold."""
    if values.dtype not in (np.int64, np.uint64):
        return False
    return bool(values.max() > _EXACT or values.min() < -_EXACT)


def _subtract_exactly(a: Array, b: Array) -> Array:
    """Give b - a, rounded once: the upper and lower halves of whole numbers are exact."""
    with np.errstate(over="ignore", invalid="ignore"):
        (upper_a, lower_a), (upper_b, lower_b) = _split(a), _split(b)
        apart: Array = (upper_b - upper_a) * _HALF + (lower_b - lower_a)
    return apart


def _split(values: Array) -> tuple[Array, Array]:
    if values.dtype in (np.int64, np.uint64):
        upper, lower = np.divmod(values, values.dtype.type(_HALF))
        return upper.astype(np.float64), lower.astype(np.float64)
    wide = values.astype(np.float64)
    upper = np.floor(wide / _HALF)
    return upper, wide - upper * _HALF


def measure_block(
    a: Array, b: Array, channels: int, *, fast: bool, above: float, exact: Array | None = None
) -> Sums:
    """Measure a block.

    Args:
        a: A's values, float32 or float64, of shape (any,), at least one; channels alternate.
        b: B's.
        channels: How many there are.
        fast: Whether compiled kernels may be used.
        above: The place of the largest difference needn't be right where it is smaller.
        exact: The differences, where those of `a` and `b` aren't exact.
    """
    if fast and a.size >= _SMALL and exact is None:
        from kprobe.analysis.comparison.kernels import measure

        mean, squares, sums, top = measure(a, b, channels)
        if a.dtype == np.float32:
            told = math.isfinite(top)
        else:
            signal = math.sqrt(squares / a.size + mean * mean)
            told = (top == 0 or _LEAST < top < _MOST) and _LEAST < signal < _MOST
        if told:
            place = int(np.argmax(np.abs(b - a))) if top and top >= above else 0
            found = Sums(channels)
            found.count, found.mean, found.squares = a.size, mean, squares
            found.sums, found.counts[:] = sums, a.size // channels
            found.top, found.place = top, place
            found.signal_exponent = found.noise_exponent = 0
            found.forget_empty()
            return found
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return _measure_with_numpy(a, b, channels, exact)


def _measure_with_numpy(a: Array, b: Array, channels: int, exact: Array | None) -> Sums:
    finite_a, finite_b = np.isfinite(a), np.isfinite(b)
    good = finite_a & finite_b
    wide_a, wide_b = (np.where(good, x, 0).astype(np.float64) for x in (a, b))
    found = Sums(channels)
    found.count = int(np.count_nonzero(good))
    found.counts = good.reshape(-1, channels).sum(0)
    narrow = a.dtype == np.float32  # float64 holds the squares of all
    found.signal_exponent = 0 if narrow else find_exponent(wide_a)
    signal = scale(wide_a, -found.signal_exponent)
    # From a value of its own, so that a constant has no deviation.
    first = signal[np.argmax(good)]
    shifted = np.where(good, signal - first, 0)
    mean = shifted.sum() / max(found.count, 1)
    found.mean = float(first + mean)
    found.squares = float((np.where(good, shifted - mean, 0) ** 2).sum())

    whole = 0
    if exact is None:
        # Differences of the largest numbers are larger than any.
        whole = 0 if narrow else max(0, find_exponent(wide_a), find_exponent(wide_b))
        apart = scale(wide_b, -whole) - scale(wide_a, -whole)
    else:
        apart = np.where(good, exact, 0)
    magnitudes = np.abs(apart)
    found.place = int(np.argmax(magnitudes))
    found.top = float(scale(magnitudes[found.place], whole))
    exponent = 0 if narrow else find_exponent(magnitudes)
    apart = scale(apart, -exponent)
    found.noise_exponent = whole + exponent
    found.sums = (apart * apart).reshape(-1, channels).sum(0)
    found.forget_empty()
    if found.count < a.size:
        different = ~(finite_a | finite_b | (a == b) | (np.isnan(a) & np.isnan(b)))
        found.only_a = int(np.count_nonzero(finite_b & ~finite_a))
        found.only_b = int(np.count_nonzero(finite_a & ~finite_b))
        found.unlike = int(np.count_nonzero(different))
        odd = (finite_a != finite_b) | different
        found.odd = int(np.argmax(odd)) if odd.any() else None
    return found
