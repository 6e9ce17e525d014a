"""How values are distributed: quantiles, a histogram, and how many are at the extremes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kprobe.analysis.statistics.summary import Histogram

if TYPE_CHECKING:
    from kprobe.analysis.statistics.blocks import Extremes
    from kprobe.analysis.statistics.sketch import Sketch

QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
_BARS = 32
# A least or largest value is one of saturation if that many are exactly it, and one in a thousand.
_OFTEN = 3
_OFTEN_PART = 1e-3


def list_quantiles(sketch: Sketch, extremes: Extremes, whole: bool) -> dict[str, float]:
    """Give the quantiles of `QUANTILES`, none of which lies beyond the extremes.

    Args:
        sketch: That of the values.
        extremes: Those of the values.
        whole: Whether they are integers.
    """
    least, largest = extremes.values.tolist()
    values = sketch.find_quantiles(QUANTILES, whole=whole)
    return {
        str(part): min(max(value, least), largest)
        for part, value in zip(QUANTILES, values, strict=False)
    }


def find_saturated(extremes: Extremes, whole: bool, count: int) -> float | None:
    """Give the fraction of values that `TensorSummary` calls saturated.

    Args:
        extremes: Those of the values.
        whole: Whether they are integers.
        count: How many values there are.
    """
    if whole:
        return None
    at = dict(zip(extremes.values.tolist(), extremes.counts.tolist(), strict=True))
    least = max(_OFTEN, _OFTEN_PART * count)
    often: int = sum(n for value, n in at.items() if value and n >= least)
    return often / count if count else 0.0


def make_histogram(sketch: Sketch, extremes: Extremes) -> Histogram | None:
    """Give the histogram of all finite values; None where there are none."""
    if not len(sketch.counts):
        return None
    least, largest = extremes.values.tolist()
    if least == largest:
        least, largest = least - 0.5, largest + 0.5
    # Not by their distance, which float64 may not hold.
    parts = np.arange(_BARS + 1) / _BARS
    edges = least * (1 - parts) + largest * parts
    return Histogram(edges=edges.tolist(), counts=sketch.count_between(edges).tolist())
