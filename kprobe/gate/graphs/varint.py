"""Numbers of as many bytes as they need, as protobuf and LevelDB write them."""

from __future__ import annotations

_LONGEST = 10


def read_varint(content: bytes | memoryview, at: int, end: int) -> tuple[int, int] | None:
    """Read a number.

    Args:
        content: The bytes.
        at: Where it begins.
        end: Where what it is a part of ends.

    Returns:
        The number, below 2 ** 64, and where what follows begins; None where it doesn't end.
    """
    value = 0
    for place in range(min(_LONGEST, end - at)):
        byte = content[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + place + 1
    return None
