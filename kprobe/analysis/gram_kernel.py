"""The kernel of Gram matrices, compiled by numba.

Import this late: numba takes half a second, and the kernel a second when it is compiled for the
first time on a machine. numpy's product is as fast where nothing else runs; where something does,
the threads of its library wait for each other: measured, 6 times as much time of the processors.
"""

from __future__ import annotations

from typing import Any

from kprobe.analysis.compiling import compile_kernel

# Sums may be put together in any order, so that they are vectors'; NaN stays NaN.
_REORDERED = {"reassoc", "contract", "nsz"}
# Values of a row that are multiplied before the next: those of 256 rows stay in a core's own cache.
_AT_ONCE = 512


@compile_kernel(fastmath=_REORDERED)
def add_products(values: Any, gram: Any) -> None:
    """Add the inner products of all two rows, those of the upper triangle alone.

    Args:
        values: float64 of shape (rows, any), in C order; an even number of rows.
        gram: float64 of shape (rows, rows), changed in place.
    """
    rows, size = values.shape
    for begin in range(0, size, _AT_ONCE):
        end = min(size, begin + _AT_ONCE)
        # Two rows by two: their sums stay in registers.
        for i in range(0, rows, 2):
            a, b = values[i, begin:end], values[i + 1, begin:end]
            for j in range(i, rows, 2):
                c, d = values[j, begin:end], values[j + 1, begin:end]
                a_c = a_d = b_c = b_d = 0.0
                for k in range(end - begin):
                    a_c += a[k] * c[k]
                    a_d += a[k] * d[k]
                    b_c += b[k] * c[k]
                    b_d += b[k] * d[k]
                gram[i, j] += a_c
                gram[i, j + 1] += a_d
                gram[i + 1, j] += b_c
                gram[i + 1, j + 1] += b_d
