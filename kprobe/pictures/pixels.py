"""Rows of samples as images that can be drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.pictures.colour import Colours

Array = np.ndarray[Any, Any]

_CHANNELS = (1, 3, 4)
_WHITE = 255


def find_channels(shape: Sequence[int]) -> int | None:
    """Tell which axis of a row is that of channels, if the row can be an image.

    Args:
        shape: The shape of the row; -1 for sizes that differ from row to row.

    Returns:
        The number of the axis; -1 where a grey image has none. None for what is no image.
    """
    if len(shape) == 2:
        return -1
    if len(shape) != 3:
        return None
    return next((axis for axis in (2, 0) if shape[axis] in _CHANNELS), None)


def make_pixels(row: Array) -> Colours:
    """Turn a row into an image.

    Args:
        row: Numbers of a shape that `find_channels` knows. Whole numbers are taken as they are;
            others, too, unless they all lie from 0 to 1, which are black and white then. Where some
            lie below 0 or above 255, the least is black and the largest white.

    Returns:
        uint8 of shape (height, width, 1, 3 or 4). NaN and infinity are black.
    """
    channel = find_channels(row.shape)
    image = row[..., np.newaxis] if channel == -1 else np.moveaxis(row, channel or 0, -1)
    if image.dtype == np.uint8:
        return image
    values = np.nan_to_num(image.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > _WHITE:
        values = (values - low) / ((high - low) or 1) * _WHITE
    elif high <= 1 and image.dtype.kind in "fb":
        values *= _WHITE
    pixels: Colours = np.rint(values).astype(np.uint8)
    return pixels
