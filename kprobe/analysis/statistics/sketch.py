"""Quantiles and histograms from counts of values that are nearly the same.

A bin holds the finite values whose sign, exponent and first seven bits behind the point are the
same, so its number is the first bits of a float32, or of a float64. Bins are linear between powers
of two, which is the mapping of HdrHistogram, and that of DDSketch (Masson, Rim and Lee, "DDSketch:
a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019) with its
logarithm interpolated. Sketches are merged by adding counts, exactly and in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_SIGNS_AND_PLACES = 8  # bits of a number beside its exponent
_NOT_FINITE = 1 << 7  # bins of a sign, the last ones, that are of infinity and NaN
# Half a bin over its lower bound. Below 1.2e-38, where float32 has fewer bits, the error is up to
# 1e-40 whatever the value.
RELATIVE_ERROR = 2.0**-8
_FEW = 1 << 13  # keys, which are sorted faster than a table of all is gone through
_LARGEST, _LARGEST_DOUBLE = (float(np.finfo(kind).max) for kind in (np.float32, np.float64))


class Sketch:
    """How many values fell into each bin; those that aren't finite are left out.

    Args:
        wide: Whether values are as large, or small, as float64 can hold: then the number of a bin
            is the first 19 bits of a float64, else the first 16 of a float32.

    Attributes:
        wide: As given.
        bins: How many numbers there are.
        keys: uint32 if `wide`, else uint16, ascending: the numbers of the bins that hold something.
        counts: int64 of the same shape: how many values each of them holds.
    """

    def __init__(self, *, wide: bool = False) -> None:
        self.wide = wide
        self.bins = 1 << (_SIGNS_AND_PLACES + (11 if wide else 8))
        self.keys: Array = np.zeros(0, np.uint32 if wide else np.uint16)
        self.counts: Array = np.zeros(0, np.int64)

    def merge(self, other: Sketch) -> None:
        """Take in the counts of other values."""
        self.add_counts(other.keys, other.counts)

    def add_counts(self, keys: Array, counts: Array) -> None:
        """Add counts of bins.

        Args:
            keys: Of the dtype of `keys`, each once; those of NaN and infinity are left out.
            counts: int64 of the same shape.
        """
        half = self.bins // 2
        finite = keys % half < half - _NOT_FINITE
        keys, counts = keys[finite], counts[finite]
        whole = np.union1d(self.keys, keys)
        total = np.zeros(len(whole), np.int64)
        total[np.searchsorted(whole, self.keys)] = self.counts
        total[np.searchsorted(whole, keys)] += counts
        self.keys, self.counts = whole, total

    def _sort(self) -> tuple[Array, Array, Array]:
        """Give the bins from the least to the largest: lower and upper bounds, and counts."""
        half = self.bins // 2
        negative = np.searchsorted(self.keys, half)
        order = np.r_[np.arange(len(self.keys) - 1, negative - 1, -1), np.arange(negative)]
        keys, counts = self.keys[order], self.counts[order]
        near, far = (self._find_bound(bits % half) for bits in (keys, keys + 1))
        below = keys >= half
        return np.where(below, -far, near), np.where(below, -near, far), counts

    def _find_bound(self, keys: Array) -> Array:
        """Give the magnitude at which bins begin."""
        if self.wide:
            return np.minimum((keys.astype(np.uint64) << 45).view(np.float64), _LARGEST_DOUBLE)
        singles = (keys.astype(np.uint32) << 16).view(np.float32)
        return np.minimum(singles.astype(np.float64), _LARGEST)

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
        middle = (lower + (upper - lower) / 2)[bins]
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


def find_keys(values: Array) -> Array:
    """Give the number of each value's bin, also for NaN and infinity.

    Args:
        values: float32, or float64 for a wide sketch.

    Returns:
        uint16 or uint32 of shape (any,).
    """
    values = np.ascontiguousarray(values).reshape(-1)
    if values.dtype == np.float32:
        return (values.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return (values.view(np.uint64) >> np.uint64(45)).astype(np.uint32)


def count_keys(keys: Array) -> tuple[Array, Array]:
    """Count keys: give those that there are, ascending, and how often each is there."""
    if keys.size < _FEW:
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys)
    found = np.flatnonzero(counts)
    return found.astype(keys.dtype), counts[found]
