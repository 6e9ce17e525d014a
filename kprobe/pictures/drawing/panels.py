"""Feature maps and matrices: panels of colours that share a scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from kprobe.pictures.channels import choose_channels
from kprobe.pictures.colour import INFINITY, Scale, choose_scale
from kprobe.pictures.drawing.figures import (
    HEADER,
    MARGIN,
    Picture,
    add_axes,
    add_colour_bar,
    add_unfinite_key,
    fit_text,
    make_colours,
    small_font,
    start,
    write_header,
)
from kprobe.pictures.drawing.grid import Grid, choose_columns, tell_axis
from kprobe.pictures.overlay import overlay
from kprobe.pictures.texts import count_unfinite, describe_shape, name_places
from kprobe.pictures.tiles import GAP, shrink, shrink_image, tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from kprobe.pictures.colour import Colours
    from kprobe.pictures.kinds import Layout
    from kprobe.pictures.subject import Look, Subject

Array = np.ndarray[Any, Any]
Place: TypeAlias = tuple[float, float, float, float]  # left, top, width and height in inches

MOST_MAPS, MOST_HEADS, MOST_FRAMES = 16, 16, 6
_ROWS_WITH_FRAMES = 6
_APART = 64  # panels that have axes each
_TILE, _TILES_LEFT, _TILES_WIDTH = 96, 1.0, 7.0  # pixels of a side; inches
_SEEN = 640  # pixels of an image's side, behind maps
_PIXELS = 1024  # of a side: beyond it, means are drawn


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: What stands above it.
        plane: The values: real numbers of shape (rows, columns).
        line: What all panels beside it are of, where each line of them is of another channel.
    """

    title: str
    plane: Array
    line: str = ""


def draw_panels(subject: Subject, look: Look) -> Picture:
    """Draw the maps of the most active channels, or a matrix, or one for each head.

    Raises:
        InputError: A channel was asked for that isn't there.
    """
    layout = subject.lay_out(look.kind)
    panels, columns = cut_panels(subject, layout, look)
    scale = choose_scale(*(panel.plane for panel in panels))
    factor, unit = find_unit(scale)
    divided = Scale(scale.low / factor, scale.high / factor, scale.palette)
    image = subject.image if layout.kind == "maps" else None
    draw = _draw_tiles if len(panels) > _APART else _draw_apart
    planes = [panel.plane / factor for panel in panels]
    picture, bar = draw(subject, layout, panels, planes, columns, divided, image)
    write_header(
        picture, subject.address, [describe(subject), _count(subject, layout, look, len(panels))]
    )
    add_colour_bar(picture, bar, divided, f"{'value' if subject.samples else 'weight'}{unit}")
    add_unfinite_key(
        picture,
        scale,
        nan=any(np.isnan(plane).any() for plane in planes),
        infinite=any(np.isinf(plane).any() for plane in planes),
    )
    return picture


def _draw_apart(
    subject: Subject,
    layout: Layout,
    panels: Sequence[Panel],
    planes: Sequence[Array],
    columns: int | None,
    scale: Scale,
    image: Colours | None,
) -> tuple[Picture, Place]:
    """Draw panels in axes of their own; give where the colour bar stands, too."""
    rows = [f"{number}: {name}" for number, name in subject.samples]
    names = rows if subject.together else []
    shape = planes[0].shape if image is None else image.shape[:2]
    grid = Grid(len(panels), shape, columns, any(panel.title for panel in panels), names)
    picture = start(grid.width, grid.height)
    skipped = int(subject.together)
    across = tell_axis(subject.names, layout.across, skipped)
    down = tell_axis(subject.names, layout.down, skipped)
    pixels = "" if image is None else " (pixels)"
    for number, (panel, plane) in enumerate(zip(panels, planes, strict=True)):
        axes = grid.add(picture, number, panel.title)
        if image is not None:
            show_image(axes, overlay(shrink_image(image, _SEEN), plane, scale), image, grid.aspect)
        else:
            show_plane(axes, plane, scale, grid.aspect)
        line = f"{panel.line}\n" if panel.line else ""
        grid.label(axes, number, f"{across}{pixels}", f"{line}{down}{pixels}")
    return picture, grid.bar


def _draw_tiles(
    _subject: Subject,
    _layout: Layout,
    panels: Sequence[Panel],
    planes: Sequence[Array],
    columns: int | None,
    scale: Scale,
    _image: Colours | None,
) -> tuple[Picture, Place]:
    """Draw many panels as one image, with a title at the left of each line."""
    height, width = planes[0].shape
    columns = columns or choose_columns(len(planes), height / max(width, 1))
    small = [shrink(plane, _TILE) for plane in planes]
    canvas, (side, _) = tile(small, columns, scale)
    ratio = canvas.shape[0] / canvas.shape[1]
    size = _TILES_WIDTH, _TILES_WIDTH * min(ratio, 4)
    picture = start(_TILES_LEFT + size[0] + 1.05, HEADER + size[1] + 2 * MARGIN)
    axes = add_axes(picture, _TILES_LEFT, HEADER, *size)
    axes.imshow(canvas, aspect="auto")
    lines = range(math.ceil(len(planes) / columns))
    titles = [panels[line * columns] for line in lines]
    font = small_font(6)
    told = [fit_text(each.line or each.title, _TILES_LEFT - 0.25, font) for each in titles]
    axes.set_yticks([line * (side + GAP) + side / 2 - 0.5 for line in lines], told, fontsize=6)
    axes.tick_params(length=0)
    axes.set_xticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return picture, (_TILES_LEFT + size[0] + 0.1, HEADER, 0.12, min(size[1], 3.0))


def show_image(
    axes: Axes, shown: Colours, image: Colours, aspect: Any = "equal", *, edge: float = -0.5
) -> None:
    """Show what an image was made into, at the image's own pixels.

    Args:
        axes: Where it is shown.
        shown: What is shown.
        image: The image whose pixels count.
        aspect: Whether a pixel is as high as wide.
        edge: The number of the outer edges: -0.5 where a pixel's number is its centre.
    """
    height, width = image.shape[:2]
    extent = (edge, width + edge, height + edge, edge)
    flat = shown.squeeze(-1) if shown.shape[-1] == 1 else shown
    axes.imshow(flat, cmap="gray", vmin=0, vmax=255, extent=extent, aspect=aspect)


def show_plane(axes: Axes, plane: Array, scale: Scale, aspect: Any = "equal", **where: Any) -> None:
    """Show a plane of numbers in the colours of a scale; NaN and infinity in their own."""
    rows, columns = plane.shape
    where.setdefault("extent", (-0.5, columns - 0.5, rows - 0.5, -0.5))
    small = shrink(plane, _PIXELS)
    colours, norm = make_colours(scale)
    masked = np.ma.masked_invalid(small)
    axes.imshow(masked, cmap=colours, norm=norm, aspect=aspect, **where)
    if (infinite := np.isinf(small)).any():
        painted = np.zeros((*small.shape, 4))
        painted[infinite] = [*(part / 255 for part in INFINITY[scale.palette]), 1]
        axes.imshow(painted, aspect=aspect, **where)


def cut_panels(subject: Subject, layout: Layout, look: Look) -> tuple[list[Panel], int | None]:
    """Cut a tensor into the planes that are shown.

    Returns:
        The panels, and how many stand beside each other; None for as many as fit.
    """
    values = subject.values
    most = MOST_HEADS if layout.kind == "matrix" else MOST_MAPS
    frames = _choose_frames([values.shape[axis] for axis in layout.frames])
    if len(frames) > 1:
        most = _ROWS_WITH_FRAMES
    asked = look.channels
    if asked is None and layout.kind == "matrix" and layout.channels:
        asked = [slice(most)]  # heads come in their order
    channels = choose_channels(values, layout.channels, asked, most)
    names = subject.names
    panels = []
    for channel in channels:
        for frame in frames:
            index: list[Any] = [slice(None)] * values.ndim
            cut = (*layout.channels, *layout.frames)
            for axis, place in zip(cut, (*channel, *frame), strict=True):
                index[axis] = place
            plane = values[tuple(index)]
            if cast("int", layout.down) > cast("int", layout.across):
                plane = plane.T
            told = name_places(names, layout.channels, channel)
            if len(frames) > 1:
                panels.append(Panel(name_places(names, layout.frames, frame), plane, told))
            else:
                panels.append(Panel(told, plane))
    return panels, len(frames) if len(frames) > 1 else None


def find_unit(scale: Scale) -> tuple[float, str]:
    """Give what values are divided by where matplotlib couldn't draw them, and how that is told."""
    most = max(abs(scale.low), abs(scale.high))
    if most < 1e30 and scale.high - scale.low > 1e-30:
        return 1.0, ""
    power = math.floor(math.log10(most)) if most else 0
    return 10.0**power, f" / 1e{power:+d}"


def describe(subject: Subject) -> str:
    """Say in a line what a tensor is, and of which sample."""
    row = np.asarray(subject.rows[0])
    told = [subject.about, describe_shape(row.shape, list(subject.axes) or [None] * row.ndim)]
    told.append(str(row.dtype))
    if len(subject.samples) == 1:
        number, name = subject.samples[0]
        told.append(f"sample {number}: {name}")
    elif subject.samples:
        told.append(_tell_span([number for number, _ in subject.samples]))
    else:
        told.append("weight")
    return " · ".join(part for part in told if part)


def _tell_span(numbers: Sequence[int]) -> str:
    first, last = numbers[0], numbers[-1]
    span = f": {first} to {last}" if last - first == len(numbers) - 1 else ""
    return f"{len(numbers)} samples{span}"


def _count(subject: Subject, layout: Layout, look: Look, shown: int) -> str:
    """Say which of many channels are shown, and how many values of the tensor aren't finite."""
    values = subject.values
    told = []
    whole = math.prod(values.shape[axis] for axis in (*layout.channels, *layout.frames))
    if shown < whole:
        order = ", the most active channels first" if look.channels is None else ""
        thing = "matrices" if layout.kind == "matrix" else "maps"
        told.append(f"{shown} of {whole:,} {thing}{order if thing == 'maps' else ''}")
    if values.size > 1 and (values == values.flat[0]).all():
        told.append(f"all values are {values.flat[0]:.6g}")
    told += count_unfinite(int(np.isnan(values).sum()), int(np.isinf(values).sum()))
    return " · ".join(told)


def _choose_frames(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Choose places along axes of which a few are shown, at equal distances."""
    if not sizes:
        return [()]
    count = math.prod(sizes)
    places = np.unique(np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int))
    return [tuple(int(i) for i in np.unravel_index(place, sizes)) for place in places]
