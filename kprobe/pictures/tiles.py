"""Many maps as one image, side by side: what is too small or too many for axes of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.pictures.colour import Colours, paint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.pictures.colour import Scale

Array = np.ndarray[Any, Any]

GAP = 2  # white pixels between maps
_LEAST = 24  # pixels of a map's longer side, so that gaps are thin beside it


def shrink(plane: Array, most: int) -> Array:
    """Give means of neighbours, where there are more values along a side than can be seen.

    Args:
        plane: Real numbers of shape (rows, columns).
        most: How many values a side may have.
    """
    shrunk = np.asarray(plane, np.float64)
    for axis in (0, 1):
        size = shrunk.shape[axis]
        if size > most:
            edges = np.linspace(0, size, most + 1).round().astype(int)
            counts = np.diff(edges)
            with np.errstate(invalid="ignore", over="ignore"):
                sums = np.add.reduceat(shrunk, edges[:-1], axis)
                shrunk = sums / (counts[:, None] if axis == 0 else counts)
    return shrunk


def shrink_image(image: Colours, most: int) -> Colours:
    """Give an image whose sides have so many pixels at most; each is shortened by itself.

    Args:
        image: uint8 of shape (height, width, channels).
        most: In pixels.
    """
    if max(image.shape[:2]) <= most:
        return image
    parts = [shrink(part, most) for part in np.moveaxis(image, -1, 0)]
    shrunk: Colours = np.rint(np.stack(parts, -1)).astype(np.uint8)
    return shrunk


def tile(planes: Sequence[Array], columns: int, scale: Scale) -> tuple[Colours, tuple[int, int]]:
    """Put maps side by side.

    Args:
        planes: Real numbers, each of the same shape (rows, columns).
        columns: How many maps stand beside each other.
        scale: Which values have which colours.

    Returns:
        uint8 of shape (height, width, 3), white between the maps; and the height and width of one,
        without the gap behind it.
    """
    height, width = planes[0].shape
    repeat = max(1, _LEAST // max(height, width))
    height, width = height * repeat, width * repeat
    lines = math.ceil(len(planes) / columns)
    shape = lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3
    canvas = np.full(shape, 255, np.uint8)
    for number, plane in enumerate(planes):
        row, column = divmod(number, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        painted = paint(plane, scale).repeat(repeat, 0).repeat(repeat, 1)
        canvas[top : top + height, left : left + width] = painted
    return canvas, (height, width)
