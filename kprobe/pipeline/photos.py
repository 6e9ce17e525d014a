"""Image files as they are, and in the ratio in which a model takes them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from kprobe.errors import InputError, KprobeError
from kprobe.gate.opened import open_file
from kprobe.gate.rules import Fault
from kprobe.inputs.images.bounds import MOST_PIXELS
from kprobe.inputs.images.pillow import FORMATS

if TYPE_CHECKING:
    from pathlib import Path

    from kprobe.pictures.colour import Colours


def read_photo(path: Path, most: int | None = None) -> Colours:
    """Read an image file.

    Args:
        path: The file.
        most: How many pixels the longer side may have; a larger image is made smaller, in its
            ratio. None for any.

    Returns:
        uint8 of shape (height, width, 1 or 3).

    Raises:
        InputError: It is no image, or can't be read.
        KprobeError: There is no Pillow.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise KprobeError("images need Pillow", hint="pip install 'kprobe[plot]'") from error
    try:
        opened = open_file(path)
        if isinstance(opened, Fault):
            raise InputError(opened.text)
        # Not of any format that Pillow knows: some run programs.
        with (
            os.fdopen(os.dup(opened.descriptor), "rb") as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            if image.width * image.height > MOST_PIXELS:
                raise InputError(f"{image.width:,} x {image.height:,} pixels are too many")
            if most is not None:
                image.draft(None, (most, most))  # a JPEG is decoded smaller, which is faster
                image.thumbnail((most, most))
            pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except Exception as error:  # what decoders raise has no common class
        raise InputError(f"{path}: expected an image, received none: {error}") from None
    return pixels.reshape(*pixels.shape[:2], -1)


def fit_image(image: Colours, fit: str, size: tuple[int, int]) -> Colours:
    """Bring an image to the ratio of the model's input, as its own images were.

    Args:
        image: uint8 of shape (height, width, channels).
        fit: "stretch" leaves it alone; "crop" keeps the centre, "pad" adds black.
        size: Height and width of the model's input.
    """
    height, width = image.shape[:2]
    ratio = size[0] / size[1]
    if fit == "crop":
        kept = min(height, round(width * ratio)), min(width, round(height / ratio))
        top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
        return image[top : top + kept[0], left : left + kept[1]]
    if fit == "pad":
        whole = max(height, round(width * ratio)), max(width, round(height / ratio))
        padded = np.zeros((*whole, image.shape[2]), np.uint8)
        top, left = (whole[0] - height) // 2, (whole[1] - width) // 2
        padded[top : top + height, left : left + width] = image
        return padded
    return image
