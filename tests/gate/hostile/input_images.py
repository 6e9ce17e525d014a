"""Images that somebody could send, and honest ones that look odd."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from gate.hostile.input_case import IMAGE, InputCase, chunk, put

if TYPE_CHECKING:
    from pathlib import Path


def make_png(width: int, height: int, *, beside: bytes = b"", pixels: bytes | None = None) -> bytes:
    """Make a PNG of any size on paper."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(pixels or b"")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + beside
        + chunk(b"IDAT", packed)
        + chunk(b"IEND", b"")
    )


def plain_png(beside: bytes = b"") -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in IMAGE)
    return make_png(8, 8, beside=beside, pixels=rows)


def _encode(kind: str, image: Any = IMAGE, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    made = image if isinstance(image, Image.Image) else Image.fromarray(image)
    made.save(file, kind, **options)
    return file.getvalue()


def _frames(count: int, size: int) -> bytes:
    """Make a GIF of many frames, the first 8 x 8, the others of any size."""
    grey = np.repeat(IMAGE[..., :1], 3, -1)
    content = _encode("GIF", grey)
    later = _encode("GIF", np.zeros((size, size), np.uint8))
    frame = later[later.index(b",", 13 + 3) : -1]
    return content[:-1] + frame * count + b";"


def _many_scans() -> bytes:
    content = _encode("JPEG", np.zeros((64, 64, 3), np.uint8), progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * 1000 + content[-2:]


def _sized_jpeg(height: int, width: int) -> bytes:
    content = _encode("JPEG")
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def _sized_gif() -> bytes:
    content = _frames(0, 8)
    place = 13 + (3 << (content[10] & 7) + 1)
    while content[place : place + 1] != b",":
        place += 1
    return content[: place + 5] + struct.pack("<HH", 30_000, 30_000) + content[place + 9 :]


def _sized_bmp() -> bytes:
    content = _encode("BMP")
    return content[:18] + struct.pack("<ii", 30_000, -30_000) + content[26:]


def _sized_tiff() -> bytes:
    content = _encode("TIFF")
    # Width and height are the tags 256 and 257, of one number each.
    for tag in (256, 257):
        place = content.index(struct.pack("<HHI", tag, 4, 1)) + 8
        content = content[:place] + struct.pack("<I", 12_000) + content[place + 4 :]
    return content


_POSTSCRIPT = b"%%!PS-Adobe-3.0 EPSF-3.0\n%%%%BoundingBox: 0 0 8 8\n(%s) (w) file\n"


def _postscript(folder: Path, marker: Path) -> Path:
    (folder / "x.png").write_bytes(_POSTSCRIPT % bytes(marker))
    return folder / "x.png"


def _image_cases() -> list[InputCase]:
    packed = zlib.compress(bytes(7_900_000), 9)
    texts = b"".join(chunk(b"zTXt", b"%d\0\0" % number + packed) for number in range(200))
    large = "expected 89,478,485 pixels at most"
    told: dict[str, tuple[bytes, str | None]] = {
        "png-of-3-gb": (make_png(30_000, 30_000), large),
        "png-of-one-row": (make_png(2**31 - 1, 1), large),
        "png-texts": (plain_png(texts), "expected 16 compressed texts at most"),
        "jpeg-of-12-gb": (_sized_jpeg(65_500, 65_500), large),
        "jpeg-scans": (_many_scans(), "expected 64 scans at most"),
        "gif-of-3-gb": (_sized_gif(), large),
        "bmp-of-3-gb": (_sized_bmp(), large),
        "tiff-of-400-mb": (_sized_tiff(), "pixels at most"),
        "png-cut": (plain_png()[:20], "damaged or cut short"),
    }
    cases = [
        InputCase(f"image-{name}", put(content, "x.png"), said, "images")
        for name, (content, said) in told.items()
    ]
    right = IMAGE[None].astype(np.float32)
    grey = np.repeat(IMAGE[None, ..., :1], 3, -1).astype(np.float32)
    return [
        *cases,
        InputCase(
            "image-allowed",
            put(make_png(20_000, 5_000), "x.png"),
            "the PNG image is damaged",  # no longer too large
            "images",
            settings={"max_pixels": 10**8},
        ),
        InputCase("image-of-another-name", put(plain_png(), "x.jpg"), None, "images", right),
        InputCase(
            "image-gif-of-many-frames", put(_frames(20_000, 20), "x.gif"), None, "images", grey
        ),
        InputCase("image-postscript", _postscript, "expected a file of arrays", "images"),
    ]


CASES = (*_image_cases(),)
