"""Rows of numbers: bars, and lines over the steps of a sequence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, MaxNLocator

from kprobe.pictures.channels import choose_channels
from kprobe.pictures.colour import CLASSES, NAN, Scale
from kprobe.pictures.drawing.figures import (
    HEADER,
    Picture,
    add_axes,
    as_colour,
    start,
    write_header,
)
from kprobe.pictures.drawing.panels import describe, find_unit
from kprobe.pictures.texts import count_unfinite, name_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kprobe.pictures.kinds import Layout
    from kprobe.pictures.subject import Look, Subject

Array = np.ndarray[Any, Any]

_WIDTH, _HEIGHT = 5.6, 3.0  # of the axes, in inches
_LEFT, _BOTTOM, _RIGHT = 0.75, 0.55, 0.2
_KEY = 1.25
_FEW = 48  # bars that stand apart
_RIM = 0.6  # points around bars that touch
_LABELLED = 16  # bars that have a number each
_NAMED = 5  # of the largest
MOST_LINES = 8
_PALE = 256  # lines of other channels, behind those that are named


def draw_bars(subject: Subject) -> Picture:
    """Draw a row of numbers as bars, and name the largest."""
    values = np.asarray(subject.values, np.float64).reshape(-1)
    layout = subject.lay_out("bars")
    axis = None if layout.across is None else subject.names[layout.across]
    factor, unit = _find_factor(values)
    picture = start(_LEFT + _WIDTH + _RIGHT, HEADER + _HEIGHT + _BOTTOM)
    write_header(picture, subject.address, [describe(subject), _name_largest(values, axis)])
    axes = add_axes(picture, _LEFT, HEADER, _WIDTH, _HEIGHT)
    plot_bars(axes, values / factor)
    axes.set_xlabel(axis or "axis 0")
    axes.set_ylabel(f"{'value' if subject.samples else 'weight'}{unit}")
    _strip(axes)
    return picture


def plot_bars(axes: Axes, values: Array) -> None:
    """Draw bars into axes; where NaN or infinity is, a mark stands at 0."""
    finite = np.isfinite(values)
    heights = np.where(finite, values, 0)
    places = np.arange(len(values))
    if len(values) <= _FEW:
        axes.bar(places, heights, color=CLASSES[0], width=0.8)
    else:
        edges = np.arange(len(values) + 1) - 0.5
        # With a line around, so that what is thinner than a pixel is seen.
        blue = CLASSES[0]
        axes.stairs(heights, edges, fill=True, facecolor=blue, edgecolor=blue, linewidth=_RIM)
    _mark_unfinite(axes, places[~finite])
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_xlim(-0.5 - 0.01 * len(values), len(values) - 0.5 + 0.01 * len(values))
    few = len(values) <= _LABELLED
    axes.xaxis.set_major_locator(
        FixedLocator(places.tolist()) if few else MaxNLocator(8, integer=True, steps=[1, 2, 5, 10])
    )


def draw_lines(subject: Subject, look: Look) -> Picture:
    """Draw the most active channels as lines over steps, and the others pale behind them.

    Raises:
        InputError: A channel was asked for that isn't there.
    """
    layout = subject.lay_out(look.kind or "lines")
    lines, titles, others = cut_lines(subject, layout, look)
    values = np.asarray(subject.values, np.float64)
    factor, unit = _find_factor(values)
    keyed = bool(titles[0])
    width = _LEFT + _WIDTH + (_KEY if keyed else _RIGHT)
    picture = start(width, HEADER + _HEIGHT + _BOTTOM)
    told = (
        [f"{len(lines)} of {len(lines) + len(others):,} in colour, the most active"]
        if len(others)
        else []
    )
    told += count_unfinite(int(np.isnan(values).sum()), int(np.isinf(values).sum()))
    write_header(picture, subject.address, [describe(subject), " · ".join(told)])
    axes = add_axes(picture, _LEFT, HEADER, _WIDTH, _HEIGHT)
    plot_lines(axes, lines / factor, others / factor, titles)
    if keyed:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), handlelength=1.2)
    across = layout.across or 0
    axes.set_xlabel(subject.names[across] or f"axis {across}")
    axes.set_ylabel(f"{'value' if subject.samples else 'weight'}{unit}")
    _strip(axes)
    return picture


def cut_lines(subject: Subject, layout: Layout, look: Look) -> tuple[Array, list[str], Array]:
    """Give the lines that are named, their names, and some of the others, pale."""
    values = np.asarray(subject.values, np.float64)
    across = layout.across or 0
    chosen = choose_channels(values, layout.channels, look.channels, MOST_LINES)
    moved = np.moveaxis(values, across, -1)
    shape = moved.shape[:-1]
    flat = moved.reshape(math.prod(shape), -1)
    places = [int(np.ravel_multi_index(place, shape)) if shape else 0 for place in chosen]
    titles = [name_places(subject.names, layout.channels, place) for place in chosen]
    rest = np.setdiff1d(np.arange(len(flat)), places)
    if look.channels is not None:
        rest = rest[:0]
    return flat[places], titles, flat[rest]


def plot_lines(axes: Axes, lines: Array, others: Array, titles: list[str]) -> None:
    """Draw lines into axes; NaN and infinity are gaps, and marks at the bottom."""
    steps = np.arange(lines.shape[-1])
    if len(others):
        shown = others[:: math.ceil(len(others) / _PALE)]
        segments = [
            np.stack([steps, np.where(np.isfinite(line), line, np.nan)], 1) for line in shown
        ]
        axes.add_collection(LineCollection(segments, colors="#cccccc", linewidths=0.5))
    for number, (line, title) in enumerate(zip(lines, titles, strict=True)):
        style = "-" if number < len(CLASSES) else "--"
        axes.plot(
            steps,
            np.where(np.isfinite(line), line, np.nan),
            style,
            color=CLASSES[number % len(CLASSES)],
            linewidth=1.2,
            marker="." if len(steps) <= _FEW else None,
            markersize=3,
            label=title,
        )
    axes.autoscale_view()
    wrong = ~np.isfinite(lines).all(0)
    if len(others):
        wrong |= ~np.isfinite(others).all(0)
    _mark_unfinite(axes, steps[wrong])
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def _mark_unfinite(axes: Axes, places: Array) -> None:
    """Mark places at the lower edge."""
    if len(places):
        axes.plot(
            places,
            np.zeros(len(places)),
            "x",
            color=as_colour(NAN),
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            markersize=5,
            label="not finite",
        )


def _name_largest(values: Array, axis: str | None) -> str:
    """Say which places have the largest values."""
    told = []
    if len(values) > 1:
        finite = np.where(np.isfinite(values), values, -np.inf)
        largest = np.argsort(-finite, kind="stable")[:_NAMED]
        each = [f"{place} ({values[place]:.3g})" for place in largest if np.isfinite(values[place])]
        told = [f"largest: {axis or 'place'} {', '.join(each)}"] if each else []
    told += count_unfinite(int(np.isnan(values).sum()), int(np.isinf(values).sum()))
    return " · ".join(told)


def _find_factor(values: Array) -> tuple[float, str]:
    """Give what values are divided by to be drawn, and how that is told."""
    finite = np.abs(values[np.isfinite(values)])
    most = float(finite.max()) if finite.size else 0.0
    return find_unit(Scale(-most, most)) if most else (1.0, "")


def _strip(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
