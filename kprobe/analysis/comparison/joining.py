"""Which rows of two sides are of the same sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from kprobe.errors import InputError
from kprobe.naming import list_names

Array = np.ndarray[Any, np.dtype[Any]]

_SHOWN = 8


def join_rows(
    samples_a: Array, samples_b: Array, a: str = "A", b: str = "B"
) -> tuple[Array, Array]:
    """Find the rows of two sides that are of the same sample.

    Args:
        samples_a: The names of A's samples, str of shape (rows,).
        samples_b: The names of B's.
        a: What A is called in messages.
        b: What B is called.

    Returns:
        The numbers of A's rows and of B's that belong together, int64, in A's order. A name that
        each side has several times belongs together in its order.

    Raises:
        InputError: A sample is on one side only, or more often on one. All are counted, and the
            first are listed.
    """
    every = np.arange(len(samples_a), dtype=np.int64)
    samples_a, samples_b = _narrow(samples_a), _narrow(samples_b)
    if np.array_equal(samples_a, samples_b):
        return every, every
    order_a, order_b = (np.argsort(names, kind="stable") for names in (samples_a, samples_b))
    sorted_a, sorted_b = samples_a[order_a], samples_b[order_b]
    if not np.array_equal(sorted_a, sorted_b):
        raise _explain(sorted_a, sorted_b, a, b)
    rows_b = np.empty(len(every), np.int64)
    rows_b[order_a] = order_b
    return every, rows_b


def _narrow(names: Array) -> Array:
    """Write names in UTF-8, which takes a quarter of the memory and sorts ten times as fast."""
    if not names.size:
        return names.astype("S1")
    points = np.ascontiguousarray(names).view(np.uint32)
    if points.size and points.max() < 128:
        return points.astype(np.uint8).view(f"S{names.dtype.itemsize // 4}")
    return np.char.encode(names, "utf-8")


def _explain(sorted_a: Array, sorted_b: Array, a: str, b: str) -> InputError:
    names_a, times_a = np.unique(sorted_a, return_counts=True)
    names_b, times_b = np.unique(sorted_b, return_counts=True)
    both, in_a, in_b = np.intersect1d(names_a, names_b, assume_unique=True, return_indices=True)
    faults = []
    for here, there, names, common in ((a, b, names_a, in_a), (b, a, names_b, in_b)):
        only = np.char.decode(np.delete(names, common), "utf-8")
        if len(only):
            shown = list_names(only[:_SHOWN].tolist())
            more = f" and {len(only) - _SHOWN:,} more" if len(only) > _SHOWN else ""
            faults.append(
                f"expected the same samples on both sides, received {len(only):,} that {there} "
                f"hasn't in {here}: {shown}{more}"
            )
    unequal = times_a[in_a] != times_b[in_b]
    if unequal.any():
        named = np.char.decode(both[unequal], "utf-8")
        counted = zip(named, times_a[in_a][unequal], times_b[in_b][unequal], strict=True)
        shown = list_names(
            (f"{name} ({times} in {a}, {others} in {b})" for name, times, others in counted), _SHOWN
        )
        faults.append(f"expected samples as often on both sides, received {shown}")
    return InputError(*faults)
