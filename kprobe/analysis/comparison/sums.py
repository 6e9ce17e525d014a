"""The sums that a difference consists of, and how those of blocks are merged.

Squares of what float64 holds may be larger than all that it holds, or 0. So sums are kept with an
exponent of 2, which is 0 for all but such values.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# The exponent of sums that are 0: smaller than all others.
_NOTHING = -(1 << 14)
# The square of what is between these powers of 2 is held without loss, and sums of it.
_MODERATE = 460


class Sums:
    """What was measured of some values.

    Args:
        channels: How many channels there are.

    Attributes:
        count: How many values are finite on both sides; only of those is the rest.
        mean: The mean of A's, over 2 ** signal_exponent.
        squares: The sum of squared deviations of A's from it, over 4 ** signal_exponent.
        signal_exponent: See there.
        sums: The sums of squared differences by channel, float64, over 4 ** noise_exponent.
        counts: How many values each channel has, int64.
        noise_exponent: See there.
        top: The largest absolute difference.
        place: Of a block: which value has it, the first of equal ones; any if `top` is 0.
        only_a: As in `Deviation`.
        only_b: As in `Deviation`.
        unlike: As in `Deviation`.
        odd: Of a block the first value, else the first row, with one of these three; None without.
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = self.squares = 0.0
        self.sums: Array = np.zeros(channels)
        self.counts: Array = np.zeros(channels, np.int64)
        self.signal_exponent = self.noise_exponent = 0
        self.top = 0.0
        self.place = 0
        self.only_a = self.only_b = self.unlike = 0
        self.odd: int | None = None
        self.forget_empty()

    def forget_empty(self) -> None:
        """Let sums of nothing but zeros have any exponent."""
        if not (self.mean or self.squares):
            self.signal_exponent = _NOTHING
        if not self.top:
            self.noise_exponent = _NOTHING

    def merge(self, other: Sums) -> None:
        """Take in those of other values (Chan, Golub and LeVeque 1979)."""
        self._set_signal_exponent(max(self.signal_exponent, other.signal_exponent))
        total = self.count + other.count
        if other.count:
            below = other.signal_exponent - self.signal_exponent
            share = other.count / total
            apart = _scale(other.mean, below) - self.mean
            self.squares += _scale(other.squares, 2 * below)
            self.squares += apart * apart * (self.count * share)
            self.mean += apart * share
        self.count = total
        exponent = max(self.noise_exponent, other.noise_exponent)
        self.sums = scale(self.sums, 2 * (self.noise_exponent - exponent))
        self.sums = self.sums + scale(other.sums, 2 * (other.noise_exponent - exponent))
        self.noise_exponent = exponent
        self.counts += other.counts
        self.top = max(self.top, other.top)
        self.only_a += other.only_a
        self.only_b += other.only_b
        self.unlike += other.unlike
        self.odd = find_first(self.odd, other.odd)

    def find_spread(self) -> float:
        """Give A's standard deviation, over 2 ** signal_exponent; of a constant its magnitude."""
        spread = math.sqrt(self.squares / max(self.count, 1))
        # What rounding leaves of the deviation of a constant is none.
        return abs(self.mean) if spread <= 1e-12 * abs(self.mean) else spread

    def find_magnitude(self) -> float:
        """Give the root mean square of A's values, over 2 ** signal_exponent."""
        return math.hypot(self.mean, math.sqrt(self.squares / max(self.count, 1)))

    def find_noise(self) -> float:
        """Give the root mean square of the differences, over 2 ** noise_exponent."""
        return math.sqrt(float(self.sums.sum()) / max(self.count, 1))

    def relate(self, noise: float) -> float:
        """Give a root mean square of differences relative to A's spread; infinity where that is 0.

        Args:
            noise: It, over 2 ** noise_exponent.
        """
        if not noise:
            return 0.0
        spread = self.find_spread()
        if not spread:
            return math.inf
        return _scale(noise / spread, self.noise_exponent - self.signal_exponent)

    def find_decibels(self) -> float | None:
        """Give the mean square of A's values over that of the differences; None if either is 0."""
        magnitude, noise = self.find_magnitude(), self.find_noise()
        if not (magnitude and noise):
            return None
        powers = self.signal_exponent - self.noise_exponent
        return 20 * (math.log10(magnitude) - math.log10(noise) + powers * math.log10(2))

    def _set_signal_exponent(self, exponent: int) -> None:
        below = self.signal_exponent - exponent
        self.mean = _scale(self.mean, below)
        self.squares = _scale(self.squares, 2 * below)
        self.signal_exponent = exponent


def find_exponent(values: Array) -> int:
    """Give the exponent of 2 to scale values by before they are squared; mostly 0.

    Args:
        values: float64, finite, at least one.
    """
    exponent = math.frexp(max(float(values.max()), -float(values.min())))[1]
    # A zero has the exponent 0.
    return 0 if abs(exponent) < _MODERATE else exponent


def scale(values: Any, exponent: int) -> Any:
    """Multiply values by a power of 2."""
    return np.ldexp(values, exponent) if exponent else values


def find_first(one: int | None, other: int | None) -> int | None:
    """Give the smaller of two numbers, either of which may not be there."""
    known = [number for number in (one, other) if number is not None]
    return min(known, default=None)


def _scale(value: float, exponent: int) -> float:
    return float(np.ldexp(value, exponent)) if exponent else value
