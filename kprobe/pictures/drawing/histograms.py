"""Histograms: of the values that are drawn, or of statistics that were gathered elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.pictures.colour import CLASSES, Scale
from kprobe.pictures.drawing.figures import HEADER, Picture, add_axes, start, write_header
from kprobe.pictures.drawing.panels import describe, find_unit
from kprobe.pictures.subject import Distribution
from kprobe.pictures.texts import count_unfinite

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kprobe.pictures.subject import Subject

Array = np.ndarray[Any, Any]

_BARS = 32
_WIDTH, _HEIGHT = 5.6, 3.0  # of the axes, in inches
_LEFT, _BOTTOM, _RIGHT = 0.75, 0.55, 0.2
# From this many times the median count on, the largest would make the others vanish.
_STEEP = 50


def count_values(subject: Subject) -> Distribution:
    """Count the values of what is drawn, in bars of equal width."""
    values = np.asarray(subject.values, np.float64)
    finite = values[np.isfinite(values)]
    edges, counts, marks = np.zeros(0), np.zeros(0, np.int64), {}
    notes = count_unfinite(int(np.isnan(values).sum()), int(np.isinf(values).sum()))
    if finite.size:
        low, high = float(finite.min()), float(finite.max())
        if low == high:
            low, high = low - max(abs(low) / 2, 0.5), high + max(abs(high) / 2, 0.5)
        parts = np.arange(_BARS + 1) / _BARS
        edges = low * (1 - parts) + high * parts  # their distance may be too large for float64
        places = np.clip(np.searchsorted(edges, finite, side="right") - 1, 0, _BARS - 1)
        counts = np.bincount(places, minlength=_BARS)
        marks = {"mean": float((finite / finite.size).sum())}
        zeros = np.count_nonzero(finite == 0) / values.size
        notes = [f"{zeros:.1%} zeros", *notes]
    about = describe(subject)
    return Distribution(
        address=subject.address, edges=edges, counts=counts, marks=marks, about=about, notes=notes
    )


def draw_histogram(distribution: Distribution) -> Picture:
    """Draw a histogram, of counts on a logarithmic axis where one bar is far above all others."""
    edges = np.asarray(distribution.edges, np.float64)
    factor, unit = find_unit(Scale(edges[0], edges[-1])) if len(edges) else (1.0, "")
    picture = start(_LEFT + _WIDTH + _RIGHT, HEADER + _HEIGHT + _BOTTOM)
    told = [f"{name} {value:.4g}" for name, value in distribution.marks.items()]
    lines = [distribution.about, " · ".join([*told, *distribution.notes])]
    write_header(picture, distribution.address, lines)
    axes = add_axes(picture, _LEFT, HEADER, _WIDTH, _HEIGHT)
    plot_histogram(axes, edges / factor, distribution.counts)
    for name, value in distribution.marks.items():
        axes.axvline(value / factor, color=CLASSES[3], linewidth=1)
        axes.annotate(
            name,
            (value / factor, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(2, -8),
            textcoords="offset points",
            color=CLASSES[3],
            fontsize=7,
        )
    is_steep = _is_steep(distribution.counts)
    axes.set_yscale("log" if is_steep else "linear")
    if is_steep:
        axes.set_ylim(bottom=0.5)
    axes.set_xlabel(f"value{unit}")
    axes.set_ylabel("count, logarithmic" if is_steep else "count")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return picture


def plot_histogram(axes: Axes, edges: Array, counts: Array) -> None:
    """Draw the bars of a histogram into axes; of no value, that there is none."""
    if not len(counts):
        axes.text(0.5, 0.5, "no finite value", ha="center", transform=axes.transAxes)
        return
    axes.stairs(counts, edges, fill=True, color=CLASSES[0])
    axes.set_xlim(edges[0], edges[-1])


def _is_steep(counts: Array) -> bool:
    some = np.asarray(counts)[np.asarray(counts) > 0]
    return bool(some.size) and bool(some.max() > _STEEP * np.median(some))
