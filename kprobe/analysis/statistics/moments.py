"""Moments, extremes and counts of channels: of a block of values, and merged."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# The rows of `floats` and of `counts`, in this order, also where they are stored.
MEAN, M2, L1, LEAST, LARGEST = range(5)
FINITE, ZEROS, NAN, INFINITE = range(4)
_WIDE = 128  # channels


class Moments:
    """What is known of the values of each channel.

    Means, squares, norms and extremes are of the finite values alone.

    Attributes:
        floats: float64 of shape (5, channels): the mean, the sum of squared deviations from it,
            the sum of magnitudes, the least value (infinity where there is none) and the largest
            (minus infinity where there is none).
        counts: int64 of shape (4, channels): the finite values, the zeros among them, NaN, and
            infinities of both signs.
    """

    def __init__(self, channels: int) -> None:
        self.floats: Array = np.zeros((5, channels))
        self.floats[LEAST] = np.inf
        self.floats[LARGEST] = -np.inf
        self.counts: Array = np.zeros((4, channels), np.int64)

    def merge(self, other: Moments) -> None:
        """Take in those of other values of the same channels (Chan, Golub and LeVeque 1979).

        Args:
            other: As many channels, or one to be taken in by all.
        """
        n, m = self.counts[FINITE], other.counts[FINITE]
        total = np.maximum(n + m, 1)
        # Squares of what float64 only just holds are infinite, as numpy's are.
        with np.errstate(over="ignore", invalid="ignore"):
            apart = np.where(m > 0, other.floats[MEAN] - self.floats[MEAN], 0)
            self.floats[M2] += other.floats[M2] + apart * apart * (n * (m / total))
            self.floats[MEAN] += apart * (m / total)
            self.floats[L1] += other.floats[L1]
        np.minimum(self.floats[LEAST], other.floats[LEAST], out=self.floats[LEAST])
        np.maximum(self.floats[LARGEST], other.floats[LARGEST], out=self.floats[LARGEST])
        self.counts += other.counts

    def fold(self, channels: int) -> Moments:
        """Give those of fewer channels, of which each stands for all that come `channels` apart."""
        floats, counts = self.floats.reshape(5, -1, channels), self.counts.reshape(4, -1, channels)
        whole = Moments(channels)
        whole.counts[:] = counts.sum(1)
        n, total = counts[FINITE], np.maximum(whole.counts[FINITE], 1)
        with np.errstate(over="ignore", invalid="ignore"):
            # From one of the means, so that means that are alike lose nothing.
            some = np.argmax(n > 0, 0)
            first = np.take_along_axis(floats[MEAN], some[None], 0)[0]
            apart = np.where(n > 0, floats[MEAN] - first, 0)
            shift = (n * apart).sum(0) / total
            apart = np.where(n > 0, apart - shift, 0)
            whole.floats[MEAN] = first + shift
            whole.floats[M2] = floats[M2].sum(0) + (n * apart * apart).sum(0)
            whole.floats[L1] = floats[L1].sum(0)
        whole.floats[LEAST] = floats[LEAST].min(0)
        whole.floats[LARGEST] = floats[LARGEST].max(0)
        return whole


def reduce_block(values: Array) -> Moments:
    """Give the moments of each channel of a block, by numpy.

    Args:
        values: float32 or float64 of shape (any, channels).
    """
    rows, channels = values.shape
    if channels < _WIDE <= rows:
        # numpy is slow where the last axis is short.
        times = _WIDE // channels
        whole = rows - rows % times
        wide = _reduce(values[:whole].reshape(-1, times * channels))
        moments = wide.fold(channels)
        if whole < rows:
            moments.merge(_reduce(values[whole:]))
        return moments
    return _reduce(values)


def _reduce(values: Array) -> Moments:
    finite = np.isfinite(values)
    if not finite.all():
        return _reduce_some(values, finite)
    moments = Moments(values.shape[1])
    if not len(values):
        return moments
    first = values[0].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        apart = values - first
        shift = apart.mean(0)
        apart -= shift
        moments.floats[MEAN] = first + shift
        moments.floats[M2] = np.einsum("ij,ij->j", apart, apart)
        moments.floats[L1] = np.abs(values).sum(0, dtype=np.float64)
    moments.floats[LEAST] = values.min(0)
    moments.floats[LARGEST] = values.max(0)
    moments.counts[FINITE] = len(values)
    moments.counts[ZEROS] = len(values) - np.count_nonzero(values, 0)
    return moments


def _reduce_some(values: Array, finite: Array) -> Moments:
    """Give the moments of a block in which not all values are finite."""
    moments = Moments(values.shape[1])
    n = finite.sum(0)
    some = n > 0
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.where(finite, values, 0).astype(np.float64)
        first = numbers[np.argmax(finite, 0), np.arange(len(n))]
        apart = np.where(finite, numbers - first, 0)
        shift = apart.sum(0) / np.maximum(n, 1)
        moments.floats[MEAN] = first + shift
        moments.floats[M2] = (np.where(finite, apart - shift, 0) ** 2).sum(0)
        moments.floats[L1] = np.abs(numbers).sum(0)
    moments.floats[LEAST, some] = numbers.min(0, where=finite, initial=np.inf)[some]
    moments.floats[LARGEST, some] = numbers.max(0, where=finite, initial=-np.inf)[some]
    moments.counts[FINITE] = n
    moments.counts[ZEROS] = (values == 0).sum(0)
    moments.counts[NAN] = np.isnan(values).sum(0)
    moments.counts[INFINITE] = len(values) - n - moments.counts[NAN]
    return moments
