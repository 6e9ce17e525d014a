"""What decoding an image may cost, as far as its bytes tell; of a GIF only the first frame."""

from __future__ import annotations

import io
import struct

from kprobe.inputs.images.header import TENSORFLOW_KINDS, find_kind, read_header

# As many as Pillow takes without a warning: 256 MB in RGB.
MOST_PIXELS = (1 << 30) // 4 // 3
# A pixel takes 8 bytes at most, in RGBA of 16 bits; beside it there is room for what is told of it.
_PIXEL_BYTES = 8
_BESIDE = 64 << 20
# Each goes over the whole image once more. Encoders make about ten.
_MOST_SCANS = 64
_SCAN = b"\xff\xda"
# What lies compressed beside the pixels; libpng unpacks up to 8 MB of each, in 0.1 s.
_MOST_PACKED = 16
_PACKED = (b"zTXt", b"iTXt", b"iCCP")


def find_excess(content: bytes, most: int | None = None) -> str | None:
    """Tell what of an encoded image would cost too much to decode.

    Args:
        content: The image; what is none has no excess.
        most: How many pixels it may have; None for the usual limit.

    Returns:
        What was expected and received; None where all is within bounds.
    """
    most = MOST_PIXELS if most is None else most
    kind = find_kind(content)
    if kind is None:
        return None
    header = read_header(io.BytesIO(content))
    if header is None:
        # What Pillow decodes it measures by itself, and tells why it can't.
        return None if kind not in TENSORFLOW_KINDS else f"the {kind} image is damaged or cut short"
    height, width = header.size
    if kind == "GIF":
        _, *frame = _find_frame(content)
        height, width = max(height, frame[0]), max(width, frame[1])
    if height * width > most:
        return (
            f"the image is too large: expected {most:,} pixels at most (max_pixels), received "
            f"{height:,} x {width:,}"
        )
    if kind == "JPEG" and content.count(_SCAN) > _MOST_SCANS:
        scans = content.count(_SCAN)
        return f"expected {_MOST_SCANS} scans at most in a JPEG image, received {scans:,}"
    if kind == "PNG" and (packed := _count_packed(content)) > _MOST_PACKED:
        return (
            f"expected {_MOST_PACKED} compressed texts at most in a PNG image, received {packed:,}"
        )
    return None


def find_largest(most: int | None) -> int:
    """Give how many bytes an encoded image may have at most, for so many pixels."""
    return (MOST_PIXELS if most is None else most) * _PIXEL_BYTES + _BESIDE


def keep_first_frame(content: bytes) -> bytes:
    """Cut a GIF behind its first frame; all that follow would be decoded, too.

    Args:
        content: Any image; all but a GIF stays as it is.
    """
    if not content.startswith(b"GIF8"):
        return content
    end = _find_frame(content)[0]
    return content if end is None else content[:end] + b";"


def _find_frame(content: bytes) -> tuple[int | None, int, int]:
    """Find the first frame of a GIF (GIF89a Specification, sections 17 to 24).

    Returns:
        Where it ends, None where it is cut short; and its height and width, 0 for none.
    """
    place = 13 + _measure_table(content[10:11])
    while content[place : place + 1] == b"!":  # an extension
        place = _pass_blocks(content, place + 2)
    frame = content[place : place + 10]
    if len(frame) < 10 or frame[:1] != b",":
        return None, 0, 0
    left, top, width, height = struct.unpack("<HHHH", frame[1:9])
    # Behind its colours, the size of a code.
    end = _pass_blocks(content, place + 10 + _measure_table(frame[9:]) + 1)
    return (end if end <= len(content) else None), top + height, left + width


def _measure_table(flags: bytes) -> int:
    """Give the bytes of a table of colours, as the byte before it tells."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _pass_blocks(content: bytes, place: int) -> int:
    """Give the place behind blocks, the last of which is empty; beyond the end where it lacks."""
    while place < len(content) and (size := content[place]):
        place += size + 1
    return place + 1


def _count_packed(content: bytes) -> int:
    count, place = 0, 8
    while len(head := content[place : place + 8]) == 8:
        count += head[4:] in _PACKED
        place += int.from_bytes(head[:4], "big") + 12
    return count
