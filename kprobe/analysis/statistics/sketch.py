"""Quantiles and histograms from counts of values that are nearly the same.

A bin holds the finite values whose sign, exponent and first seven bits behind the point are the
same, so its number is the upper half of a float32. Bins are linear between powers of two, which is
the mapping of HdrHistogram, and that of DDSketch (Masson, Rim and Lee, "DDSketch: a fast and
fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019) with its logarithm
interpolated. Sketches are merged by adding counts, exactly and in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

KEYS = 1 << 16
_HALF = KEYS // 2
# How many bins of a sign are of finite values; those behind are of infinity and NaN.
_FINITE = 0x7F80
# Half a bin over its lower bound. Below 1.2e-38, where float32 has fewer bits, the error is up to
# 1e-40 whatever the value.
RELATIVE_ERROR = 2.0**-8
_FEW = 1 << 13  # keys, which are sorted faster than a table of all is gone through
_LARGEST = float(np.finfo(np.float32).max)


class Sketch:
    """How many values fell into each bin; those that aren't finite are left out.

    Attributes:
        keys: uint16, ascending: the numbers of the bins that hold something.
        counts: int64 of the same shape: how many values each of them holds.
    """

    def __init__(self) -> None:
        self.keys: Array = np.zeros(0, np.uint16)
        self.counts: Array = np.zeros(0, np.int64)

    def merge(self, other: Sketch) -> None:
        """Take in the counts of other values."""
        self.add_counts(other.keys, other.counts)

    def add_counts(self, keys: Array, counts: Array) -> None:
        """Add counts of bins.

        Args:
            keys: uint16, ascending; those of NaN and infinity are left out.
            counts: int64 of the same shape.
        """
        finite = (keys & np.uint16(_HALF - 1)) < _FINITE
        keys, counts = keys[finite], counts[finite]
        table = np.zeros(KEYS, np.int64)
        table[self.keys] = self.counts
        table[keys] += counts
        self.keys = np.flatnonzero(table).astype(np.uint16)
        self.counts = table[self.keys]

    def _sort(self) -> tuple[Array, Array, Array]:
        """Give the bins from the least to the largest: lower and upper bounds, and counts."""
        negative = np.searchsorted(self.keys, _HALF)
        order = np.r_[np.arange(len(self.keys) - 1, negative - 1, -1), np.arange(negative)]
        keys, counts = self.keys[order].astype(np.uint32), self.counts[order]
        near, far = (
            np.minimum(np.abs((bits << 16).view(np.float32).astype(np.float64)), _LARGEST)
            for bits in (keys, keys + 1)
        )
        below = keys >= _HALF
        return np.where(below, -far, near), np.where(below, -near, far), counts

    def find_quantiles(self, places: tuple[float, ...], whole: bool = False) -> list[float]:
        """Give the values that parts of all values lie below.

        Args:
            places: Which parts, from 0 to 1. Of n sorted values it is number floor(part * (n - 1)).
            whole: Whether all values are integers; then those below 256 are exact.

        Returns:
            The middle of the bin of each, which is at most `RELATIVE_ERROR` away; zero is exact.
            Empty where there are no values.
        """
        lower, upper, counts = self._sort()
        if not len(counts):
            return []
        ranks = np.floor(np.array(places) * (counts.sum() - 1))
        bins = np.searchsorted(np.cumsum(counts), ranks, side="right")
        middle = (lower + upper)[bins] / 2
        middle[(lower == 0)[bins] | (upper == 0)[bins]] = 0
        return [float(value) for value in (np.trunc(middle) if whole else middle)]

    def count_between(self, edges: Array) -> Array:
        """Count the values between edges, from the sketch: right but for the bins on edges.

        Args:
            edges: float64 of shape (any + 1,), ascending; no value lies beyond them.

        Returns:
            int64 of shape (any,), as many in all as there are values. A bin that an edge divides
            counts on both sides as if its values were spread evenly.
        """
        lower, upper, counts = self._sort()
        if not len(counts):
            return np.zeros(len(edges) - 1, np.int64)
        bounds = np.stack([lower, upper], 1).ravel()
        behind = np.cumsum(counts)
        below = np.interp(edges, bounds, np.stack([behind - counts, behind], 1).ravel())
        below[0], below[-1] = 0, behind[-1]
        return np.diff(np.rint(below).astype(np.int64))


def to_singles(values: Array) -> Array:
    """Give values as float32; what it can't hold as its largest, rather than as infinity."""
    if values.dtype == np.float32:
        return values
    finite = np.where(np.isinf(values), values, np.clip(values, -_LARGEST, _LARGEST))
    return finite.astype(np.float32)


def find_keys(values: Array) -> Array:
    """Give the number of each value's bin: uint16 of shape (any,), also for NaN and infinity."""
    bits = np.ascontiguousarray(to_singles(values)).reshape(-1).view(np.uint32)
    return (bits >> np.uint32(16)).astype(np.uint16)


def count_keys(keys: Array) -> tuple[Array, Array]:
    """Count keys: give those that there are, ascending, and how often each is there."""
    if keys.size < _FEW:
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys, minlength=KEYS)
    found = np.flatnonzero(counts)
    return found.astype(np.uint16), counts[found]
