"""Boxes of a detector, drawn onto the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from kprobe.errors import Hint, InputError, Setting
from kprobe.pictures.boxes import find_corners
from kprobe.pictures.colour import CLASSES
from kprobe.pictures.drawing.figures import HEADER, Picture, add_axes, start, write_header
from kprobe.pictures.drawing.panels import describe, show_image
from kprobe.pictures.tiles import shrink_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kprobe.pictures.subject import Look, Subject

Array = np.ndarray[Any, Any]

_SIDE = 5.0  # the longer one of the axes, in inches
_LEFT, _BOTTOM, _RIGHT = 0.62, 0.55, 0.2
_PIXELS = 1024  # of a side of the image
_MOST = 200
_NUMBERED = 40


def draw_boxes(subject: Subject, look: Look) -> Picture:
    """Draw boxes onto the image, or without one where they lie.

    Raises:
        InputError: The tensor holds no boxes; or nothing says how they are meant.
    """
    subject.lay_out("boxes")
    if look.boxes is None:
        raise InputError(
            f"{subject.address}: expected what the numbers of a box mean, received nothing",
            hint=Hint("say it with ", Setting("boxes", "xyxy")),
        )
    image = subject.image
    relative = look.boxes.startswith("rel_")
    height, width = (1, 1) if image is None else image.shape[:2]
    corners = find_corners(subject.values, look.boxes, height, width)
    if image is None and not relative:
        width, height = corners[:, 2:].max(0, initial=1)
    longest = max(height, width)
    size = _SIDE * width / longest, _SIDE * height / longest
    picture = start(max(4.2, _LEFT + size[0] + _RIGHT), HEADER + size[1] + _BOTTOM)
    told = f"{min(len(corners), _MOST):,} of {subject.values.size // 4:,} boxes"
    write_header(picture, subject.address, [describe(subject), f"{told} · {look.boxes}"])
    axes = add_axes(picture, _LEFT, HEADER, *size)
    if image is not None:
        show_image(axes, shrink_image(image, _PIXELS), image, edge=0)
    plot_boxes(axes, corners[:_MOST])
    # Numbers are those of the edges of pixels, as boxes count; boxes alone need a rim.
    rim = 0.0 if image is not None else 0.02 * longest
    axes.set_xlim(-rim, width + rim)
    axes.set_ylim(height + rim, -rim)
    unit = "part of the image" if image is None and relative else "pixels"
    axes.set_xlabel(f"width ({unit})")
    axes.set_ylabel(f"height ({unit})")
    return picture


def plot_boxes(axes: Axes, corners: Array) -> None:
    """Draw boxes into axes; the first ones with their numbers."""
    for number, (left, top, right, bottom) in enumerate(corners):
        colour = CLASSES[number % (len(CLASSES) - 1)]
        # A white rim, so that they are seen on any image.
        for rim, width in (("white", 2.4), (colour, 1.2)):
            axes.add_patch(
                Rectangle(
                    (left, top), right - left, bottom - top, fill=False, color=rim, linewidth=width
                )
            )
        if number < _NUMBERED and len(corners) > 1:
            axes.text(
                left,
                top,
                str(number),
                fontsize=6,
                color="white",
                verticalalignment="top",
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 1},
                clip_on=True,
            )
