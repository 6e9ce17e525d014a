"""What is told of a tensor, a channel or a sample: plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any, Literal

from kprobe.analysis.statistics.moments import (
    FINITE,
    INFINITE,
    L1,
    LARGEST,
    LEAST,
    M2,
    MEAN,
    NAN,
    ZEROS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.analysis.statistics.moments import Moments


By = Literal["tensor", "channel", "sample"]
BY: tuple[By, ...] = ("tensor", "channel", "sample")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is known of some values.

    Numbers are None where no value is finite, or where float64 can't hold them, such as squares of
    1e200.

    Attributes:
        count: How many values there are, NaN and infinities among them.
        mean: The mean of the finite values, as the following are of those alone.
        std: Their standard deviation, divided by their number rather than by one less.
        min: The least.
        max: The largest.
        l1: The sum of magnitudes.
        l2: The root of the sum of squares.
        rms: The root of the mean of squares.
        zeros: The fraction of all values that is zero, from 0 to 1.
        nan: How many are NaN.
        inf: How many are infinite, of either sign.
    """

    count: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    l1: float | None
    l2: float | None
    rms: float | None
    zeros: float
    nan: int
    inf: int


@dataclass(frozen=True, kw_only=True)
class ChannelSummary(Summary):
    """What is known of the values of one channel.

    Attributes:
        channel: Its number.
        dead: Whether it is zero for every sample; None of a weight, which has no samples.
    """

    channel: int
    dead: bool | None


@dataclass(frozen=True, kw_only=True)
class SampleSummary(Summary):
    """What is known of the values of one sample.

    Attributes:
        row: Its row.
    """

    row: int


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How many finite values lie between edges of equal distance.

    Attributes:
        edges: From the least value to the largest; one more than there are counts.
        counts: How many values lie between them. Near an edge, values within `quantile_error` of
            it may count on its other side.
    """

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True, kw_only=True)
class TensorSummary(Summary):
    """What is known of the values of one tensor.

    Attributes:
        address: What it was asked for by.
        shape: The shape of a row; -1 where rows differ.
        dtype: The dtype of its values, such as "float32".
        rows: How many rows were counted.
        quantiles: By the part of the finite values that lies below, such as "0.01", the value;
            empty where quantiles weren't asked for.
        quantile_error: How far they are away at most, over their magnitude.
        first_nan: The first row with NaN, or None.
        first_inf: The first row with an infinity, or None.
        channels: How many channels it has; None without an axis of channels.
        dead_channels: How many of them are zero for every sample; None of a weight, too.
        dead: The same as a fraction, from 0 to 1.
        saturated: The fraction of all values at the least or the largest value, where that
            stands for at least three values and one in a thousand, and isn't zero: 6 of ReLU6, -1
            and 1 of tanh. None of integers.
        histogram: Their histogram, or None.
    """

    address: str
    shape: tuple[int, ...]
    dtype: str
    rows: int
    quantiles: Mapping[str, float] = field(default_factory=dict)
    quantile_error: float | None
    first_nan: int | None
    first_inf: int | None
    channels: int | None
    dead_channels: int | None
    dead: float | None
    saturated: float | None
    histogram: Histogram | None


def describe(moments: Moments, channel: int = 0) -> dict[str, Any]:
    """Give the fields of a `Summary` of one channel."""
    finite, zeros, nan, infinite = (
        int(moments.counts[k, channel]) for k in (FINITE, ZEROS, NAN, INFINITE)
    )
    mean, m2, l1, least, largest = (
        float(moments.floats[k, channel]) for k in (MEAN, M2, L1, LEAST, LARGEST)
    )
    count = finite + nan + infinite
    numbers: dict[str, float | None] = dict.fromkeys(
        ("mean", "std", "min", "max", "l1", "l2", "rms")
    )
    if finite:
        squares = m2 + finite * mean * mean
        numbers = {
            "mean": mean,
            "std": sqrt(m2 / finite),
            "min": least,
            "max": largest,
            "l1": l1,
            "l2": sqrt(squares),
            "rms": sqrt(squares / finite),
        }
    # NaN and infinity, which JSON doesn't have.
    numbers = {k: v if v is not None and isfinite(v) else None for k, v in numbers.items()}
    return {
        "count": count,
        **numbers,
        "zeros": zeros / count if count else 0.0,
        "nan": nan,
        "inf": infinite,
    }


def find_dead(moments: Moments) -> list[bool]:
    """Tell of each channel whether it is zero for every sample."""
    whole = moments.counts[FINITE] + moments.counts[NAN] + moments.counts[INFINITE]
    dead: list[bool] = ((moments.counts[ZEROS] == whole) & (whole > 0)).tolist()
    return dead
