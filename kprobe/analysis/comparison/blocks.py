"""What one block of values of two sides gives, by numpy or by compiled kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Values of a block: below it numpy is quick enough.
_SMALL = 1 << 12


@dataclass
class Block:
    """What was measured of a block, whose values lie in one dimension.

    Attributes:
        count: How many values are finite on both sides; only of those is the rest.
        mean: The mean of A's.
        squares: The sum of squared deviations of A's from it.
        sums: The sums of squared differences by channel, float64.
        counts: How many values each channel has, int64, or all alike.
        top: The largest absolute difference.
        place: Which value has it, the first of equal ones; any if `top` is 0.
        only_a: As in `Deviation`.
        only_b: As in `Deviation`.
        unlike: As in `Deviation`.
        odd: The first value that isn't finite, and isn't so on the other side; None without one.
    """

    count: int
    mean: float
    squares: float
    sums: Array
    counts: Array | int
    top: float
    place: int = 0
    only_a: int = 0
    only_b: int = 0
    unlike: int = 0
    odd: int | None = None


def make_comparable(a: Array, b: Array) -> tuple[Array, Array, Array | None]:
    """Make both float32 or float64, whichever holds them.

    Args:
        a: Values of any dtype of numbers, of shape (any,), contiguous.
        b: As many.

    Returns:
        Both, where a complex number is its two parts; and their exact difference, float64, where
        float64 doesn't hold them.
    """
    if a.dtype.kind == "c" or b.dtype.kind == "c":
        wide = np.result_type(a, b, np.complex64)
        a, b = (x.astype(wide).view(wide.type(0).real.dtype) for x in (a, b))
    if a.dtype == b.dtype and a.dtype in (np.float32, np.float64):
        return a, b, None
    narrow = np.can_cast(a.dtype, np.float32) and np.can_cast(b.dtype, np.float32)
    exact = None
    if all(x.dtype.kind in "iub" for x in (a, b)) and not narrow:
        # The longest float of this machine has as many digits as the longest integer.
        exact = (b.astype(np.longdouble) - a.astype(np.longdouble)).astype(np.float64)
    common = np.float32 if narrow else np.float64
    return a.astype(common), b.astype(common), exact


def measure_block(
    a: Array, b: Array, channels: int, *, fast: bool, above: float, exact: Array | None = None
) -> Block:
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
        if math.isfinite(top):
            place = int(np.argmax(np.abs(b - a))) if top and top >= above else 0
            return Block(a.size, mean, squares, sums, a.size // channels, top, place)
    return _measure_with_numpy(a, b, channels, exact)


def _measure_with_numpy(a: Array, b: Array, channels: int, exact: Array | None) -> Block:
    with np.errstate(over="ignore", invalid="ignore"):
        return _measure_quietly(a, b, channels, exact)


def _measure_quietly(a: Array, b: Array, channels: int, exact: Array | None) -> Block:
    finite_a, finite_b = np.isfinite(a), np.isfinite(b)
    good = finite_a & finite_b
    wide = np.where(good, a, 0).astype(np.float64)
    apart = np.where(good, b, 0).astype(np.float64) - wide if exact is None else exact
    count = int(np.count_nonzero(good))
    # From a value of its own, so that a constant has no deviation.
    first = wide[np.argmax(good)]
    shifted = np.where(good, wide - first, 0)
    mean = shifted.sum() / max(count, 1)
    squares = (np.where(good, shifted - mean, 0) ** 2).sum()
    magnitudes = np.abs(apart)
    place = int(np.argmax(magnitudes))
    block = Block(
        count,
        float(first + mean),
        float(squares),
        (apart * apart).reshape(-1, channels).sum(0),
        good.reshape(-1, channels).sum(0),
        float(magnitudes[place]),
        place,
    )
    if count < a.size:
        different = ~(finite_a | finite_b | (a == b) | (np.isnan(a) & np.isnan(b)))
        block.only_a = int(np.count_nonzero(finite_b & ~finite_a))
        block.only_b = int(np.count_nonzero(finite_a & ~finite_b))
        block.unlike = int(np.count_nonzero(different))
        odd = (finite_a != finite_b) | different
        block.odd = int(np.argmax(odd)) if odd.any() else None
    return block
