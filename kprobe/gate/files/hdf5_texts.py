"""How long texts of any length are, before HDF5 reads them.

Such a text is stored as its length and its place in a heap, and many may name one place: a few KB
of them can become gigabytes. Nor does HDF5 1.14.6 return from a heap that has a part of no size.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from h5py import h5a, h5o

from kprobe.gate.files.hdf5_header import UnreadableError, read_attributes
from kprobe.hdf5 import read_beside

if TYPE_CHECKING:
    import os

    from kprobe.gate.files.hdf5_header import StoredAttribute
    from kprobe.hdf5 import Section

# Bytes of an attribute, some of which are JSON, and of all of them: those of the widest dumps take
# a tenth of it.
_LARGEST, _MOST = 16 << 20, 256 << 20
_KEPT = 1024  # heaps, most of which hold some 4 KB
_VARIABLE = 9  # the class of types whose values are of any length


class Heaps:
    """The global heaps of a file, of which the last ones are remembered.

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
        if len(self._sizes) >= _KEPT:
            self._sizes.clear()
            self._read = 0
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


class AttributeSizes:
    """The sizes of the attributes of an open file, which are checked before they are read.

    Args:
        file: The file, an `h5py.File`.
        path: Its path.
    """

    def __init__(self, file: Any, path: str | os.PathLike[str]) -> None:
        self._bytes = read_beside(file, path)
        self._heaps = Heaps(self._bytes)
        self._said = 0
        # What is written to in this process is nobody else's, and isn't on the disk yet.
        self._is_foreign = file.mode == "r"

    def check(self, thing: Any) -> set[bytes]:
        """Check that the attributes of an object are no larger than a dump's, and name them.

        Args:
            thing: The object, an `h5py.h5g.GroupID` or `h5py.h5d.DatasetID`.

        Raises:
            ValueError: They are, or can't be read.
        """
        if not self._is_foreign:
            names: set[bytes] = set()
            h5a.iterate(thing, names.add)
            return names
        sizes = {
            attribute.name: self._heaps.measure(attribute)
            for attribute in read_attributes(self._bytes, h5o.get_info(thing).addr)
        }
        self._said += sum(sizes.values())
        if max(sizes.values(), default=0) > _LARGEST or self._said > _MOST:
            raise ValueError("its attributes take more bytes than those of any dump")
        return set(sizes)
