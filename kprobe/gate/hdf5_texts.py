"""How long texts of any length are, before HDF5 reads them.

Such a text is stored as its length and its place in a heap, and many may name one place: a few KB
of them can become gigabytes. Nor does HDF5 1.14.6 return from a heap that has a part of no size.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kprobe.gate.hdf5_header import UnreadableError

if TYPE_CHECKING:
    from kprobe.gate.hdf5_header import StoredAttribute
    from kprobe.hdf5 import Section

_VARIABLE = 9  # the class of types whose values are of any length


class Heaps:
    """The global heaps of a file, each read once.

    Args:
        file: The file.
    """

    def __init__(self, file: Section) -> None:
        self._file = file
        self._sizes: dict[int, dict[int, int]] = {}
        self._read = 0

    def measure(self, attribute: StoredAttribute) -> int:
        """Count the bytes that the values of an attribute take when they are read.

        Raises:
            UnreadableError: Some aren't where they should be.
        """
        if not attribute.datatype or attribute.datatype[0] & 0xF != _VARIABLE:
            return len(attribute.content)
        # The size of what there is many of: 1 for texts.
        return self.count(attribute.content, int.from_bytes(attribute.datatype[12:16], "little"))

    def count(self, content: bytes, each: int = 1) -> int:
        """Count the bytes of values of any length.

        Args:
            content: What is stored of them: of each one its length and its place.
            each: The bytes of what each of them has many of.

        Raises:
            UnreadableError: Some aren't where they should be.
        """
        total = len(content)
        if total % 16:
            raise UnreadableError("the places of texts are cut short")
        for length, address, number in struct.iter_unpack("<IQI", content):
            if not address:  # none
                continue
            size = length * each
            if self._list_sizes(address).get(number, -1) < size:
                raise UnreadableError("a text isn't where it should be")
            total += size
        return total

    def _list_sizes(self, address: int) -> dict[int, int]:
        """Give the sizes of the objects of a heap, by their numbers."""
        if (known := self._sizes.get(address)) is not None:
            return known
        head = self._file.read_at(address, 16)
        size = int.from_bytes(head[8:], "little")
        self._read += size
        if head[:5] != b"GCOL\1" or self._read > len(self._file):
            raise UnreadableError("a heap of texts isn't where it should be")
        content = self._file.read_at(address, size)
        if len(content) != size:
            raise UnreadableError("a heap of texts is cut short")
        sizes: dict[int, int] = {}
        at = 16
        while at + 16 <= size:
            number, _, long = struct.unpack_from("<HHxxxxQ", content, at)
            # Number 0 is what is free, and counts itself.
            taken = 16 + (long + 7) // 8 * 8 if number else long
            if taken < 16 or at + taken > size:
                raise UnreadableError("a heap of texts is damaged")
            sizes[number] = long
            at += taken
        self._sizes[address] = sizes
        return sizes
