"""The kind and the size of an encoded image, from its first bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedIOBase

# The kinds that are decoded, by how their content begins.
KINDS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"BM": "BMP"}

_LONGEST_MAGIC = max(map(len, KINDS))
# Start-of-frame markers; the three between them are tables (ISO/IEC 10918-1, table B.1).
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def find_kind(start: bytes) -> str | None:
    """Name the kind of an image by its first bytes: "JPEG", "PNG", "GIF" or "BMP"."""
    return next((kind for magic, kind in KINDS.items() if start.startswith(magic)), None)


def read_kind(file: BufferedIOBase) -> str | None:
    """Name the kind of an image from a file at its beginning."""
    return find_kind(file.read(_LONGEST_MAGIC))


def read_size(file: BufferedIOBase) -> tuple[int, int] | None:
    """Read an image's height and width from a file at its beginning.

    Returns:
        Pixels; None where the header is cut short or of another kind.
    """
    kind = read_kind(file)
    file.seek(0)
    try:
        if kind == "PNG":
            width, height = struct.unpack(">16xII", file.read(24))
        elif kind == "GIF":
            width, height = struct.unpack("<6xHH", file.read(10))
        elif kind == "BMP":
            width, height = struct.unpack("<18xii", file.read(26))
        elif kind == "JPEG":
            return _read_jpeg_size(file)
        else:
            return None
    except struct.error:
        return None
    return abs(height), width  # a BMP's height is negative where its rows begin at the top


def _read_jpeg_size(file: BufferedIOBase) -> tuple[int, int]:
    file.seek(2)
    while True:
        marker, length = struct.unpack(">HH", file.read(4))
        if marker & 0xFF in _FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return height, width
        if marker >> 8 != 0xFF or length < 2:
            raise struct.error
        file.seek(length - 2, 1)
