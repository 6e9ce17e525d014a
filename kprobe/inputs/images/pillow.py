"""Images of kinds that TensorFlow doesn't decode, such as WebP and TIFF: Pillow does."""

from __future__ import annotations

import io
import re
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError

if TYPE_CHECKING:
    from io import BufferedIOBase

INSTALL = "pip install 'kprobe[images]'"

# As Pillow calls them: others that it knows run programs, or can't be told by their first bytes.
_FORMATS = ("WEBP", "TIFF", "JPEG2000", "AVIF")
FORMATS = ("JPEG", "PNG", "GIF", "BMP", *_FORMATS)  # of all images that are samples
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Channels by Pillow's mode, where they aren't those of RGB: as of a PNG, `kprobe.inputs.images`.
_CHANNELS = {"1": 1, "L": 1, "LA": 4, "La": 4, "RGBA": 4, "RGBa": 4}
_SIXTEEN_BITS = "I;16"


class UndecodedError(ValueError):
    """An image that Pillow can't decode; its text is the reason, if there is one to be told."""


def has_pillow() -> bool:
    """Tell whether Pillow is installed."""
    return find_spec("PIL") is not None


def check_pillow(what: str) -> None:
    """Check that Pillow is installed.

    Args:
        what: What needs it.

    Raises:
        InputError: It isn't.
    """
    if not has_pillow():
        raise InputError(f"{what} need Pillow, which isn't installed", hint=INSTALL)


def decode_by_pillow(content: bytes, channels: int) -> npt.NDArray[np.uint8]:
    """Decode an image as `keras.utils.load_img` does; of 16 bits the upper 8 are kept, as of a PNG.

    Args:
        content: A WebP, TIFF, JPEG 2000 or AVIF image, whose first frame or page is taken.
        channels: 1 for grey, 3 for RGB, 4 for RGBA.

    Returns:
        uint8, shape (height, width, channels).

    Raises:
        UndecodedError: It is damaged, too large, of another kind, or holds numbers of 32 bits; or
            there is no Pillow.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise UndecodedError from error
    try:
        with _open(io.BytesIO(content)) as image:
            image.load()
            if image.mode in ("I", "F"):
                raise UndecodedError("expected 8 or 16 bits a channel, received 32")
            if image.mode.startswith(_SIXTEEN_BITS):
                image = _keep_upper_bits(image)
            pixels = np.asarray(image.convert(_MODES[channels]))
    except UndecodedError:
        raise
    except Image.DecompressionBombError as error:
        # Pillow's words are the number of pixels and the largest that it takes.
        received, largest = (int(number) for number in re.findall(r"\d+", str(error))[:2])
        raise UndecodedError(
            f"the image is too large: expected {largest:,} pixels at most, received {received:,}"
        ) from error
    # What the decoders raise has no common class.
    except Exception as error:
        raise UndecodedError from error
    return pixels.reshape(*pixels.shape[:2], channels)


def measure(file: BufferedIOBase) -> tuple[tuple[int, int], int] | None:
    """Read height and width, and the number of channels, without decoding.

    Returns:
        None where the image is damaged, or there is no Pillow.
    """
    try:
        with _open(file) as image:
            width, height = image.size
            grey = image.mode.startswith(_SIXTEEN_BITS)
            return (height, width), 1 if grey else _CHANNELS.get(image.mode, 3)
    except Exception:
        return None


def explain_undecoded(content: bytes, kind: str) -> str:
    """Tell why an image of a kind that Pillow decodes couldn't be decoded."""
    if not has_pillow():
        return f"{kind} images need Pillow: {INSTALL}"
    try:
        decode_by_pillow(content, 3)
    except UndecodedError as error:
        if str(error):
            return str(error)
    return f"the {kind} image is damaged or cut short"


def _open(file: Any) -> Any:
    from PIL import Image

    with warnings.catch_warnings():  # of many pixels, which are counted by ourselves
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=_FORMATS)


def _keep_upper_bits(image: Any) -> Any:
    from PIL import Image

    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
