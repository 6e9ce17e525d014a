"""Heat laid over an image, as class activation maps and feature maps are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.pictures.colour import Colours, paint

if TYPE_CHECKING:
    from kprobe.pictures.colour import Scale

Array = np.ndarray[Any, Any]

_OPACITY = 0.75


def overlay(image: Colours, heat: Array, scale: Scale) -> Colours:
    """Lay a map over an image: what is high is covered most, and what is low, or near 0, shows it.

    Args:
        image: uint8 of shape (height, width, 3), or (height, width) and (height, width, 1) of grey;
            of more channels the first three.
        heat: Real numbers of shape (rows, columns), in any ratio: they are stretched over the
            whole image, and between them values run linearly.
        scale: Which values have which colours; the palette's middle is 0 in red and blue.

    Returns:
        uint8 of shape (height, width, 3). NaN and infinity have their colours, uncovered.
    """
    pixels = image[..., np.newaxis] if image.ndim == 2 else image
    pixels = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
    stretched = stretch(heat, *pixels.shape[:2])
    painted = paint(stretched, scale).astype(np.float32)
    base = scale.low if scale.palette == "viridis" else 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        strength = np.abs(stretched / 2 - base / 2) / (scale.high / 2 - base / 2)
    opacity = _OPACITY * np.sqrt(np.clip(strength, 0, 1))
    opacity = np.where(np.isfinite(stretched), opacity, 1)[..., np.newaxis].astype(np.float32)
    mixed: Colours = np.rint(pixels * (1 - opacity) + painted * opacity).astype(np.uint8)
    return mixed


def stretch(heat: Array, height: int, width: int) -> Array:
    """Make a map as large as an image, with values that run linearly between its own.

    Args:
        heat: Real numbers of shape (rows, columns).
        height: In pixels.
        width: In pixels.

    Returns:
        float64 of shape (height, width). The centre of each value lies in the centre of the part
        of the image that it stands for. Beside a value that isn't finite there are none that are.
    """
    values = np.asarray(heat, np.float64)
    for axis, size in ((0, height), (1, width)):
        places = (np.arange(size) + 0.5) * values.shape[axis] / size - 0.5
        places = np.clip(places, 0, values.shape[axis] - 1)
        before = np.floor(places).astype(np.intp)
        after = np.minimum(before + 1, values.shape[axis] - 1)
        part = (places - before)[:, None] if axis == 0 else places - before
        low, high = values.take(before, axis), values.take(after, axis)
        with np.errstate(invalid="ignore", over="ignore"):
            # Where nothing is taken of a neighbour, its NaN isn't, either.
            values = np.where(part == 0, low, low * (1 - part) + high * part)
    return values
