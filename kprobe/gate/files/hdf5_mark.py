"""HDF5's mark that a file is open for writing, which bars its own reader: it is looked past.

Whether a marked file may be read is settled where it is read (`kprobe.hdf5`): whoever has it open
in the same process may go on. What it holds is judged as it is on the disk.
"""

from __future__ import annotations

from typing import Any

from kprobe.hdf5 import Section

# In a superblock of version 2 or 3 (HDF5 File Format Specification, "Disk Format: Level 0A"): where
# its version and its flags are, and which flags mark it: written to, and written to under SWMR.
_VERSION, _FLAGS, _MARKS = 8, 11, 0b101
_CHECKED = 44  # bytes, behind which their checksum is
_WORD = 0xFFFF_FFFF


class UnmarkedSection(Section):
    """A part of an open file in which HDF5 finds no mark: see `kprobe.hdf5.Section`."""

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        super().__init__(descriptor, start, length)
        self._head = _unmark(super().read_at(0, _CHECKED + 4))

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, and tell how many bytes of it are the file's."""
        place, done = self.tell(), super().readinto(buffer)
        if place < len(self._head):
            part = self._head[place : place + done]
            memoryview(buffer).cast("B")[: len(part)] = part
        return done

    def read_at(self, place: int, count: int) -> bytes:
        """Read `count` bytes from `place` on, or as many as there are; nothing is moved."""
        content = super().read_at(place, count)
        if place >= len(self._head):
            return content
        part = self._head[place : place + len(content)]
        return part + content[len(part) :]


def _unmark(head: bytes) -> bytes:
    """Take the marks off a superblock; what isn't a sound one stays as it is."""
    if len(head) < _CHECKED + 4 or head[_VERSION] not in (2, 3) or not head[_FLAGS] & _MARKS:
        return head
    if _sum(head[:_CHECKED]) != int.from_bytes(head[_CHECKED:], "little"):
        return head
    flags = bytes([head[_FLAGS] & ~_MARKS])
    unmarked = head[:_FLAGS] + flags + head[_FLAGS + 1 : _CHECKED]
    return unmarked + _sum(unmarked).to_bytes(4, "little")


def _sum(content: bytes) -> int:
    """Compute HDF5's checksum of metadata: lookup3 of Bob Jenkins (burtleburtle.net/bob/hash).

    Args:
        content: Of a whole number of words of four bytes, and not of whole blocks of three words.
    """
    words = [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)]
    a = b = c = (0xDEAD_BEEF + len(content)) & _WORD
    while len(words) > 3:
        a, b, c = a + words[0], b + words[1], c + words[2]
        for turn in (4, 6, 8, 16, 19, 4):
            # In each step one of three is mixed, and the next step is about the next one.
            a = ((a - c) & _WORD) ^ _turn(c, turn)
            c = (c + b) & _WORD
            a, b, c = b, c, a
        words = words[3:]
    a, b, c = (
        (value + word) & _WORD for value, word in zip((a, b, c), [*words, 0, 0], strict=False)
    )
    for turn in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _turn(b, turn)) & _WORD
        a, b, c = b, c, a
    return b


def _turn(word: int, count: int) -> int:
    word &= _WORD
    return ((word << count) | (word >> (32 - count))) & _WORD
