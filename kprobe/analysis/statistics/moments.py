"""Moments, extremes and counts of channels: of a block of values, and merged."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# The rows of `floats` and of `counts`, in this order, also where they are stored.
MEAN, M2, L1, LEAST, LARGEST = range(5)
FINITE, ZEROS, NAN, INFINITE = range(4)


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

    def collapse(self) -> Moments:
        """Give those of all channels together, as of one."""
        whole = Moments(1)
        whole.counts[:, 0] = self.counts.sum(1)
        n, total = self.counts[FINITE], whole.counts[FINITE, 0]
        if not total:
            return whole
        with np.errstate(over="ignore", invalid="ignore"):
            # From the mean of a channel, so that means that are alike lose nothing.
            first = self.floats[MEAN, np.argmax(n > 0)]
            mean = first + (n * (self.floats[MEAN] - first)).sum(where=n > 0) / total
            apart = np.where(n > 0, self.floats[MEAN] - mean, 0)
            whole.floats[MEAN, 0] = mean
            whole.floats[M2, 0] = self.floats[M2].sum() + (n * apart * apart).sum()
            whole.floats[L1, 0] = self.floats[L1].sum()
        whole.floats[LEAST, 0] = self.floats[LEAST].min()
        whole.floats[LARGEST, 0] = self.floats[LARGEST].max()
        return whole


def reduce_block(values: Array) -> Moments:
    """Give the moments of each channel of a block, by numpy.

    Args:
        values: float32 or float64 of shape (any, channels).
    """
    moments = Moments(values.shape[1])
    finite = np.isfinite(values)
    n = finite.sum(0)
    some = n > 0
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.where(finite, values, 0).astype(np.float64)
        first = numbers[np.argmax(finite, 0), np.arange(len(n))] if len(values) else 0
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
