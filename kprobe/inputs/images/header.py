"""The kind, the size and the channels of an encoded image, from its first bytes."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.inputs.images.pillow import measure

if TYPE_CHECKING:
    from io import BufferedIOBase

# How the content of each kind begins.
_BEGINNINGS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8",
    "BMP": rb"BM",
    "WebP": rb"RIFF.{4}WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",  # with + BigTIFF
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "AVIF": rb".{4}ftypavi[fs]",
    "HEIF": rb".{4}ftyp(?:hei|hev|mif1|msf1)",
    "JPEG XL": rb"\0\0\0\x0cJXL \r\n\x87\n",
}
_PATTERNS = {kind: re.compile(text, re.DOTALL) for kind, text in _BEGINNINGS.items()}
_LONGEST_BEGINNING = 12  # bytes

# The kinds that TensorFlow decodes, and those that Pillow does.
TENSORFLOW_KINDS = ("JPEG", "PNG", "GIF", "BMP")
PILLOW_KINDS = ("WebP", "TIFF", "JPEG 2000", "AVIF")

# Start-of-frame markers; the three between them are tables (ISO/IEC 10918-1, table B.1).
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# Those that no length follows, and those behind which there are pixels or nothing.
_ALONE = {0x01, *range(0xD0, 0xD8)}
_PIXELS = {0xD8, 0xD9, 0xDA}
# Channels by a PNG's colour type (ISO/IEC 15948, table 11.1): grey, RGB, palette, grey and RGB
# with alpha. Grey with alpha has no channels of its own among those that images are made into.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 4, 6: 4}


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image tells.

    Attributes:
        size: Height and width in pixels.
        channels: 1 for grey, 3 for colours, 4 for those with alpha.
    """

    size: tuple[int, int]
    channels: int


def find_kind(start: bytes) -> str | None:
    """Name the kind of an image by its first bytes, such as "JPEG"; some aren't decoded."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.match(start)), None)


def read_kind(file: BufferedIOBase) -> str | None:
    """Name the kind of an image from a file at its beginning."""
    return find_kind(file.read(_LONGEST_BEGINNING))


def read_header(file: BufferedIOBase) -> ImageHeader | None:
    """Read an image's size and channels from a file at its beginning.

    Returns:
        None where the header is cut short or of a kind that isn't decoded.
    """
    kind = read_kind(file)
    file.seek(0)
    channels = 3  # a GIF's and a BMP's colours lie in a palette, or are RGB
    try:
        if kind == "PNG":
            width, height, color = struct.unpack(">16xIIxB", file.read(26))
            channels = _PNG_CHANNELS.get(color, 3)
        elif kind == "GIF":
            width, height = struct.unpack("<6xHH", file.read(10))
        elif kind == "BMP":
            width, height = struct.unpack("<18xii", file.read(26))
        elif kind == "JPEG":
            height, width, components = _read_jpeg_frame(file)
            channels = 1 if components == 1 else 3
        elif kind in PILLOW_KINDS:
            measured = measure(file)
            return None if measured is None else ImageHeader(*measured)
        else:
            return None
    except struct.error:
        return None
    # A BMP's height is negative where its rows begin at the top.
    return ImageHeader((abs(height), width), channels)


def _read_jpeg_frame(file: BufferedIOBase) -> tuple[int, int, int]:
    """Give height, width and the number of components."""
    file.seek(2)
    while True:
        # As libjpeg does: what lies between two segments is passed over.
        marker = _find_marker(file)
        if marker in _ALONE:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _FRAMES:
            height, width, components = struct.unpack(">xHHB", file.read(6))
            return height, width, components
        if marker in _PIXELS or length < 2:
            raise struct.error
        file.seek(length - 2, 1)


def _find_marker(file: BufferedIOBase) -> int:
    before = 0
    while byte := file.read(1):
        if before == 0xFF and byte[0] not in (0, 0xFF):
            return byte[0]
        before = byte[0]
    raise struct.error
