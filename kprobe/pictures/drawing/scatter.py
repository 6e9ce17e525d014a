"""Samples as points, coloured by their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from kprobe.pictures.colour import CLASSES
from kprobe.pictures.drawing.figures import (
    HEADER,
    Picture,
    add_axes,
    fit_text,
    small_font,
    start,
    write_header,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from kprobe.pictures.subject import Points

Array = np.ndarray[Any, Any]

_SIDE = 4.4  # of the axes, in inches
_LEFT, _BOTTOM, _KEY, _RIGHT = 0.75, 0.55, 1.6, 0.2
_MARKERS = "osD^vP"  # with each the colours begin again
_MOST = (len(CLASSES) - 1) * len(_MARKERS)
_FEW = 1000  # points that may be large


def draw_points(points: Points) -> Picture:
    """Draw samples as points; each class has a colour and a marker, as far as there are any."""
    width = _LEFT + _SIDE + (_RIGHT if points.labels is None else _KEY)
    picture = start(width, HEADER + _SIDE + _BOTTOM)
    classes = [] if points.labels is None else np.unique(points.labels).tolist()
    notes = [*points.notes]
    if len(classes) > _MOST:
        notes.append(f"colours for the first {_MOST} of {len(classes):,} classes")
    write_header(picture, points.address, [points.about, " · ".join(notes)])
    axes = add_axes(picture, _LEFT, HEADER, _SIDE, _SIDE)
    _plot(axes, points, classes)
    axes.set_xlabel(points.axes[0])
    axes.set_ylabel(points.axes[1])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    axes.axhline(0, color="#dddddd", linewidth=0.5, zorder=0)
    axes.axvline(0, color="#dddddd", linewidth=0.5, zorder=0)
    if classes:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.01), handletextpad=0.3)
        for text in axes.get_legend().get_texts():  # type: ignore[union-attr]
            text.set_parse_math(False)
    return picture


def _plot(axes: Axes, points: Points, classes: Sequence[str]) -> None:
    style: dict[str, Any] = {"s": 22 if len(points.places) <= _FEW else 6, "linewidths": 0.3}
    many = len(points.places) > _FEW
    style |= {"edgecolors": "none" if many else "white", "rasterized": many}
    if points.labels is None or not classes:
        axes.scatter(*points.places.T, color=CLASSES[0], **style)
        return
    colours = CLASSES[:-1]
    for number, name in enumerate(classes):
        if number == _MOST:
            rest = np.isin(points.labels, classes[_MOST:])
            axes.scatter(*points.places[rest].T, color="#bbbbbb", label="others", **style)
            break
        marker = _MARKERS[number // len(colours)]
        title = fit_text(name or "''", _KEY - 0.4, small_font())
        chosen = points.places[points.labels == name]
        colour = colours[number % len(colours)]
        axes.scatter(*chosen.T, color=colour, marker=marker, label=title, **style)
