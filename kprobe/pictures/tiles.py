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
        shrunk = _shorten(shrunk, axis, most)
    return shrunk


def _shorten(plane: Array, axis: int, most: int) -> Array:
    size = plane.shape[axis]
    if size <= most:
        return plane
    edges = np.linspace(0, size, most + 1).round().astype(int)
    counts = np.diff(edges)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(plane, edges[:-1], axis)
        shortened: Array = sums / (counts[:, None] if axis == 0 else counts)
    return shortened


def shrink_image(image: Colours, most: int) -> Colours:
    """Give an image whose longer side has so many pixels at most, in the ratio that it has.

    Args:
        image: uint8 of shape (height, width, channels).
        most: In pixels.
    """
    longer = max(image.shape[:2])
    if longer <= most:
        return image
    height, width = (max(1, round(side * most / longer)) for side in image.shape[:2])
    planes = np.moveaxis(image, -1, 0).astype(np.float64)
    parts = [_shorten(_shorten(plane, 0, height), 1, width) for plane in planes]
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
    repeat = max(1, _LEAST // max(planes[0].shape))
    painted = [paint(plane, scale).repeat(repeat, 0).repeat(repeat, 1) for plane in planes]
    height, width = painted[0].shape[:2]
    return put_beside(painted, columns), (height, width)


def put_beside(images: Sequence[Colours], columns: int) -> Colours:
    """Put images side by side.

    Args:
        images: uint8, each of the same shape (height, width, 3).
        columns: How many stand beside each other.

    Returns:
        uint8 of shape (height, width, 3), white between the images.
    """
    height, width = images[0].shape[:2]
    lines = math.ceil(len(images) / columns)
    shape = lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3
    canvas = np.full(shape, 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        canvas[top : top + height, left : left + width] = image
    return canvas
