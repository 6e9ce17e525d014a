"""The kernels that go through two arrays at once, compiled by numba.

Import this late: numba takes half a second, and a kernel two seconds when it is compiled for the
first time on a machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kprobe.analysis.compiling import compile_kernel, run_kernel

# Sums may be put together in any order, so that they are vectors'; NaN stays NaN.
_REORDERED = {"reassoc", "contract", "nsz"}
# Values: so many are looked at before the next, or the channels if they are more.
_PERIOD = 1024


def measure(a: Any, b: Any, channels: int) -> tuple[float, float, Any, float]:
    """Go through two flat arrays whose channels alternate.

    Args:
        a: float32 or float64, one-dimensional, contiguous; at least one value, whole channels.
        b: The same of the other side.
        channels: How many channels alternate.

    Returns:
        The mean of `a`, the sum of its squared deviations from that, the sums of squared
        differences, float64 of shape (channels,), and the largest absolute difference, which isn't
        finite if any difference isn't: nothing else is right then.
    """
    period = channels * max(1, _PERIOD // channels)
    sums = np.zeros(period)
    apart = np.empty(period, a.dtype)
    whole = np.int32 if a.dtype == np.float32 else np.int64
    bits = apart.view(whole)
    shift = float(a[0])
    magnitude = whole(np.iinfo(whole).max)
    total, squares, top = run_kernel(_measure, a, b, shift, sums, apart, bits, magnitude)
    mean = total / a.size
    largest = float(np.array(top, whole).view(a.dtype))
    squares = max(0.0, squares - total * mean)
    return shift + mean, squares, sums.reshape(-1, channels).sum(0), largest


@compile_kernel(fastmath=_REORDERED)
def _measure(
    a: Any, b: Any, shift: float, sums: Any, apart: Any, bits: Any, magnitude: Any
) -> tuple[float, float, Any]:
    total, squares, top = 0.0, 0.0, magnitude & 0
    for first in range(0, a.size, sums.size):
        size = min(sums.size, a.size - first)
        some_a, some_b = a[first : first + size], b[first : first + size]
        for i in range(size):
            difference = some_b[i] - some_a[i]
            apart[i] = difference
            wide = np.float64(difference)
            sums[i] += wide * wide
            value = np.float64(some_a[i]) - shift
            total += value
            squares += value * value
        # Magnitudes are ordered as their bits are, with infinity and NaN above all: the compiler
        # makes vectors of this, but not of the maximum of numbers that may be NaN.
        for i in range(size):
            top = max(top, bits[i] & magnitude)
    return total, squares, top
