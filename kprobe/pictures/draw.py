"""Draw a tensor, or several on a sheet: matplotlib is imported once something is drawn."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from kprobe.errors import InputError, KprobeError
from kprobe.pictures.subject import Distribution, Points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.figure import Figure

    from kprobe.pictures.files import PictureFormat
    from kprobe.pictures.subject import Look, Subject


def draw(thing: Subject | Distribution | Points, look: Look) -> Figure:
    """Draw one tensor.

    Raises:
        InputError: It can't be drawn as what was asked for.
        KprobeError: There is no matplotlib.
    """
    with _drawing():
        from kprobe.pictures.drawing.boxes import draw_boxes
        from kprobe.pictures.drawing.histograms import count_values, draw_histogram
        from kprobe.pictures.drawing.panels import draw_panels
        from kprobe.pictures.drawing.scatter import draw_points
        from kprobe.pictures.drawing.series import draw_bars, draw_lines

        if isinstance(thing, Points):
            return draw_points(thing)
        if isinstance(thing, Distribution):
            return draw_histogram(thing)
        with _naming(thing.address):
            kind = thing.lay_out(look.kind).kind
            if kind == "histogram":
                return draw_histogram(count_values(thing))
            if kind == "bars":
                return draw_bars(thing)
            if kind == "boxes":
                return draw_boxes(thing, look)
            return (draw_lines if kind == "lines" else draw_panels)(thing, look)


def draw_together(
    things: Iterable[Subject | Distribution | Points],
    titles: Sequence[str],
    look: Look,
    title: str,
    lines: Sequence[str],
) -> Figure:
    """Draw several tensors on one sheet: see `kprobe.pictures.drawing.sheet.draw_sheet`.

    Raises:
        InputError: One can't be drawn as what was asked for.
        KprobeError: There is no matplotlib.
    """
    with _drawing():
        from kprobe.pictures.drawing.sheet import draw_sheet

        return draw_sheet(things, titles, look, title, lines)


def encode(figure: Figure, form: PictureFormat) -> bytes:
    """Give a figure as the content of a file; equal figures are equal bytes.

    Raises:
        KprobeError: There is no matplotlib.
    """
    with _drawing():
        from kprobe.pictures.drawing import figures

        return figures.encode(figure, form)


@contextlib.contextmanager
def _drawing() -> Iterator[None]:
    """Import matplotlib quietly, and draw in kprobe's style.

    Raises:
        KprobeError: There is none.
    """
    log = logging.getLogger("matplotlib")
    level = log.level
    # It warns of a home that can't be written, and while it looks for fonts.
    log.setLevel(logging.ERROR)
    try:
        from kprobe.pictures.drawing.figures import styled
    except ImportError as error:
        raise KprobeError("drawing needs matplotlib", hint="pip install 'kprobe[plot]'") from error
    finally:
        log.setLevel(level)
    with styled():
        yield


@contextlib.contextmanager
def _naming(address: str) -> Iterator[Any]:
    """Say which tensor it is that can't be drawn."""
    try:
        yield
    except InputError as error:
        if all(fault.startswith(f"{address}: ") for fault in error.faults):
            raise
        faults = [f"{address}: {fault}" for fault in error.faults]
        raise InputError(*faults, hint=error.remedy) from None
