"""A contact sheet: a small picture of each tensor, on one page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from matplotlib.collections import LineCollection

from kprobe.pictures.boxes import find_corners
from kprobe.pictures.colour import CLASSES, choose_scale
from kprobe.pictures.drawing.figures import (
    HEADER,
    Picture,
    fit_text,
    small_font,
    start,
    write_header,
)
from kprobe.pictures.drawing.histograms import count_values
from kprobe.pictures.drawing.panels import cut_panels
from kprobe.pictures.drawing.series import cut_lines
from kprobe.pictures.overlay import overlay
from kprobe.pictures.subject import Distribution, Points
from kprobe.pictures.tiles import put_beside, shrink, shrink_image, tile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

    from kprobe.pictures.subject import Look, Subject

Array = np.ndarray[Any, Any]
Thing: TypeAlias = "Subject | Distribution | Points"

_CELL, _SMALL_CELL = 1.45, 1.0  # sides, in inches
_MANY = 300  # cells that are small
_GAP, _TEXT = 0.14, 0.46
_WIDER = 1.3
_TILES = 3  # maps beside each other in a cell
_GREY = "#555555"
_PIXELS = 64  # of a map's side
_NAMED = 10  # classes whose names stand among their points
_BEHIND = 128  # of an image's side, behind maps


def draw_sheet(
    things: Iterable[Thing], titles: Sequence[str], look: Look, title: str, lines: Sequence[str]
) -> Picture:
    """Draw a small picture of each of several tensors.

    Each has a scale of its own, whose ends stand below it.

    Args:
        things: What is drawn, in the order of reading; each may be gone when the next one comes.
        titles: What is written below each.
        look: What was asked for.
        title: What stands above them all.
        lines: What stands below the title.

    Raises:
        InputError: One of them can't be drawn as the kind that was asked for.
    """
    count = len(titles)
    cell = _CELL if count <= _MANY else _SMALL_CELL
    columns = min(count, math.ceil(math.sqrt(count * _WIDER)))
    rows = math.ceil(count / columns)
    width = max(4.2, columns * (cell + _GAP) + _GAP)
    height = HEADER + rows * (cell + _GAP + _TEXT)
    picture = start(width, height)
    write_header(picture, title, lines)
    axes = picture.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    for number, (thing, name) in enumerate(zip(things, titles, strict=True)):
        row, column = divmod(number, columns)
        left, top = _GAP + column * (cell + _GAP), HEADER + row * (cell + _GAP + _TEXT)
        told = _Cell(axes, left, top, cell).draw(thing, look)
        for place, (text, colour) in enumerate(
            [(name, "black"), *((line, _GREY) for line in told)]
        ):
            fitting = fit_text(text, cell, small_font(6.5))
            below = top + cell + 0.13 + 0.12 * place
            axes.text(left, below, fitting, fontsize=6.5, color=colour, parse_math=False)
    return picture


class _Cell:
    """A place in the sheet, in inches."""

    def __init__(self, axes: Axes, left: float, top: float, side: float) -> None:
        self._axes, self._left, self._top, self._side = axes, left, top, side

    def draw(self, thing: Thing, look: Look) -> tuple[str, str]:
        """Draw something small, and say in two short lines what it is."""
        if isinstance(thing, Points):
            return self._draw_points(thing), ""
        if isinstance(thing, Distribution):
            return self._draw_distribution(thing), "counts on a logarithmic axis"
        kind = thing.lay_out(look.kind).kind
        shape = "x".join(map(str, thing.values.shape)) or "a number"
        if kind == "histogram":
            return shape, self._draw_distribution(count_values(thing))
        if kind == "boxes":
            return shape, self._draw_boxes(thing, look)
        if kind == "bars" and thing.values.size == 1:
            return shape, self._write_number(thing)
        if kind in ("maps", "matrix"):
            span = self._draw_maps(thing, look)
        else:
            span = self._draw_series(thing, look)
        return shape, span

    def _draw_maps(self, subject: Subject, look: Look) -> str:
        layout = subject.lay_out(look.kind)
        panels, _ = cut_panels(subject, layout, look)
        planes = [shrink(panel.plane, _PIXELS) for panel in panels[: _TILES**2]]
        scale = choose_scale(*planes)
        image = subject.image if layout.kind == "maps" else None
        height, width = planes[0].shape if image is None else image.shape[:2]
        across = math.ceil(math.sqrt(len(planes))) if height <= 4 * width else len(planes)
        if image is None:
            canvas, _ = tile(planes, across, scale)
        else:
            small = shrink_image(image, _BEHIND)
            canvas = put_beside([overlay(small, plane, scale) for plane in planes], across)
        self._show(canvas)
        return _tell_span(np.concatenate([plane.ravel() for plane in planes]))

    def _show(self, image: Array) -> tuple[float, float, float]:
        """Show an image as large as fits; give where it begins, and how large a pixel is."""
        height, width = image.shape[:2]
        flat = not 1 / 8 <= height / width <= 8
        pixel = self._side / max(height, width)
        size = (self._side, self._side) if flat else (pixel * height, pixel * width)
        left, top = self._left, self._top + self._side - size[0]
        extent = (left, left + size[1], top + size[0], top)
        shown = image.squeeze(-1) if image.shape[-1] == 1 else image
        self._axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")
        return left, top, pixel

    def _draw_series(self, subject: Subject, look: Look) -> str:
        layout = subject.lay_out(look.kind)
        values = np.asarray(subject.values, np.float64)
        finite = values[np.isfinite(values)]
        low, high = (min(finite.min(), 0), max(finite.max(), 0)) if finite.size else (0.0, 1.0)
        if layout.kind == "bars":
            numbers = _keep_largest(np.where(np.isfinite(values), values, 0).reshape(-1))
            edges = self._x(np.linspace(0, 1, len(numbers) + 1))
            tops, base = self._y(numbers, low, high), float(self._y(np.zeros(1), low, high)[0])
            self._axes.stairs(tops, edges, baseline=base, fill=True, color=CLASSES[0])
        else:
            lines, _, _ = cut_lines(subject, layout, look)
            x = self._x(np.linspace(0, 1, max(lines.shape[1], 2))[: lines.shape[1]])
            y = self._y(np.where(np.isfinite(lines), lines, np.nan), low, high)
            segments = [np.stack([x, line], 1) for line in y]
            self._axes.add_collection(LineCollection(segments, colors=CLASSES, linewidths=0.8))
        self._frame()
        return _tell_span(values)

    def _write_number(self, subject: Subject) -> str:
        """Write what one bar wouldn't tell; it stands as large as fits, so nothing is below."""
        middle = self._left + self._side / 2, self._top + self._side / 2
        text = f"{subject.values.item():.4g}"
        where: Any = {"ha": "center", "va": "center", "parse_math": False}
        self._axes.text(*middle, text, fontsize=13, color="black", **where)
        self._frame()
        return ""

    def _draw_distribution(self, distribution: Distribution) -> str:
        counts, edges = np.asarray(distribution.counts), np.asarray(distribution.edges)
        if not len(counts):
            self._frame()
            return "no finite value"
        places = self._x(np.linspace(0, 1, len(edges)))
        heights = self._y(np.log1p(counts), 0, float(np.log1p(counts.max())) or 1)
        self._axes.stairs(
            heights, places, baseline=self._top + self._side, fill=True, color=CLASSES[0]
        )
        self._frame()
        return f"{edges[0]:.3g} to {edges[-1]:.3g}"

    def _draw_points(self, points: Points) -> str:
        low, high = points.places.min(0, initial=0), points.places.max(0, initial=0)
        parts = (points.places - low) / np.where(high > low, high - low, 1)
        colours: Any = CLASSES[0]
        if points.labels is not None:
            classes, numbers = np.unique(points.labels, return_inverse=True)
            colours = [CLASSES[number % (len(CLASSES) - 1)] for number in numbers]
        x, y = self._x(parts[:, 0] * 0.94 + 0.03), self._y(parts[:, 1] * 0.94 + 0.03, 0, 1)
        self._axes.scatter(
            x, y, s=8 if len(x) <= 100 else 2, c=colours, linewidths=0, rasterized=len(x) > 1000
        )
        if points.labels is not None and len(classes) <= _NAMED:
            for number, name in enumerate(classes.tolist()):
                own = numbers == number
                text = fit_text(name or "''", self._side / 3, small_font(6))
                where: Any = {"ha": "center", "va": "center", "parse_math": False}
                self._axes.text(x[own].mean(), y[own].mean(), text, fontsize=6, **where)
        self._frame()
        return f"{len(parts):,} samples"

    def _draw_boxes(self, subject: Subject, look: Look) -> str:
        image = subject.image
        if image is None:
            image = np.full((1, 1, 3), 240, np.uint8)
        small = shrink_image(image, 256)
        left, top, pixel = self._show(small)
        height, width = small.shape[:2]
        corners = find_corners(subject.values, look.boxes or "rel_xyxy", *image.shape[:2])
        corners = corners * np.tile([width / image.shape[1], height / image.shape[0]], 2) * pixel
        for number, (x0, y0, x1, y1) in enumerate(corners[:50]):
            colour = CLASSES[number % (len(CLASSES) - 1)]
            x, y = np.clip([x0, x1, x1, x0, x0], 0, width * pixel), [y0, y0, y1, y1, y0]
            y = np.clip(y, 0, height * pixel)
            self._axes.plot(left + x, top + y, color=colour, linewidth=0.8)
        return f"{len(corners)} boxes"

    def _x(self, parts: Array) -> Array:
        return np.asarray(self._left + parts * self._side)

    def _y(self, values: Array, low: float, high: float) -> Array:
        if not high > low:
            high = low + 1
        # By halves: the distance may be more than float64 holds.
        parts = (values / 2 - low / 2) / (high / 2 - low / 2)
        return np.asarray(self._top + self._side * (1 - parts))

    def _frame(self) -> None:
        right, bottom = self._left + self._side, self._top + self._side
        x = [self._left, right, right, self._left, self._left]
        y = [self._top, self._top, bottom, bottom, self._top]
        self._axes.plot(x, y, color="#bbbbbb", linewidth=0.5)


def _keep_largest(values: Array) -> Array:
    """Give the value of largest magnitude of neighbours, where there are more than can be seen."""
    if len(values) <= 2 * _PIXELS:
        return values
    parts = np.array_split(values, 2 * _PIXELS)
    return np.array([part[np.abs(part).argmax()] for part in parts])


def _tell_span(values: Array) -> str:
    """Say from where to where values reach, and that some aren't finite."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "no finite value"
    wrong = "" if finite.size == values.size else " (not all finite)"
    return f"{float(finite.min()):.3g} to {float(finite.max()):.3g}{wrong}"
