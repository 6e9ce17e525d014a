"""Differences in units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_WHOLE = {"float16": np.int16, "float32": np.int32, "float64": np.int64}


def count_ulps(a: Array, b: Array, dtype: str) -> int:
    """Give the largest distance of two arrays' values: how many numbers of a dtype lie between.

    Args:
        a: Finite values count; others don't.
        b: Of the same shape.
        dtype: "float16", "bfloat16", "float32" or "float64", to which both are rounded.
    """
    good = np.isfinite(a) & np.isfinite(b)
    places_a, places_b = (_find_places(values[good], dtype) for values in (a, b))
    if not places_a.size:
        return 0
    larger, smaller = np.maximum(places_a, places_b), np.minimum(places_a, places_b)
    # Unsigned, the difference of any two is right.
    return int((larger.view(np.uint64) - smaller.view(np.uint64)).max())


def _find_places(values: Array, dtype: str) -> Array:
    """Number the values in their order, both zeros alike: int64."""
    if dtype == "bfloat16":
        bits = values.astype(np.float32).view(np.uint32).astype(np.int64)
        # To the nearest, and to the even one of two: bfloat16 is the upper half.
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return np.where(bits & 0x8000, -(bits & 0x7FFF), bits)
    with np.errstate(over="ignore"):
        bits = values.astype(dtype).view(_WHOLE[dtype])
    least = np.iinfo(bits.dtype).min
    return np.where(bits < 0, least - bits, bits).astype(np.int64)
