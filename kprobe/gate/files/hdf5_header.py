"""The attributes of an object of HDF5 as they are stored, before HDF5 makes values of them.

How long texts are HDF5 tells only by reading them, so it must be looked up. The structures, and
their names, are those of the "HDF5 File Format Specification", version 3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.hdf5 import Section

# Messages of an object header.
_ATTRIBUTE, _CONTINUATION, _ATTRIBUTE_INFO = 0x0C, 0x10, 0x15
_UNDEFINED = 0xFFFF_FFFF_FFFF_FFFF
_SHARED = 3  # the flags of an attribute whose type or shape lies elsewhere
# Honest headers and lists of attributes are far below these, in bytes, parts and records.
_MOST_BYTES, _MOST_PARTS, _MOST_RECORDS = 16 << 20, 4096, 65_536


class UnreadableError(ValueError):
    """Attributes that are stored in another way than HDF5 stores few and small ones."""


@dataclass(frozen=True)
class StoredAttribute:
    """An attribute as it lies in the file.

    Attributes:
        name: Its name.
        datatype: Its type, as encoded.
        content: Its values, as encoded; those of any length lie elsewhere.
    """

    name: bytes
    datatype: bytes
    content: bytes


def read_attributes(file: Section, address: int) -> Iterator[StoredAttribute]:
    """Read the attributes of an object.

    Args:
        file: The file.
        address: Where the object's header is, as HDF5 tells it.

    Yields:
        Its attributes.

    Raises:
        UnreadableError: They are damaged, or stored in another way than few and small ones.
    """
    try:
        for kind, content in _read_messages(file, address):
            if kind == _ATTRIBUTE:
                yield _parse_attribute(content)
            elif kind == _ATTRIBUTE_INFO:
                for record in _read_dense(file, content):
                    yield _parse_attribute(record)
    except UnreadableError:
        raise
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise UnreadableError(str(error)) from None


def _read_messages(file: Section, address: int) -> Iterator[tuple[int, bytes]]:
    """Read the messages of an object header, of all its parts."""
    start = file.read_at(address, 16)
    if start[:4] == b"OHDR":
        flags = start[5]
        begin = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(file.read_at(address + begin, width), "little")
        parts = [(address + begin + width, size)]
        layout, margin = ("<BHxxx" if flags & 4 else "<BHx"), 4
    else:
        parts = [(address + 16, struct.unpack_from("<I", start, 8)[0])]
        layout, margin = "<HHxxxx", 0
    head = struct.calcsize(layout)
    seen: set[int] = set()
    for place, size in parts:  # which grows meanwhile
        if place in seen or size > _MOST_BYTES or len(seen) > _MOST_PARTS:
            raise UnreadableError("its header goes on too long")
        seen.add(place)
        content = file.read_at(place, size)
        if len(content) != size:
            raise UnreadableError("its header is cut short")
        at = 0
        while at + head <= size:
            kind, length = struct.unpack_from(layout, content, at)
            message = content[at + head : at + head + length]
            at += head + length
            if kind == _CONTINUATION:
                where, long = struct.unpack_from("<QQ", message)
                # In the newer format a part begins with its mark, and ends with its checksum.
                parts.append((where + margin, long - 2 * margin))
            yield kind, message


def _parse_attribute(message: bytes) -> StoredAttribute:
    version, flags, *sizes = struct.unpack_from("<BBHHH", message)
    if version not in (1, 2, 3) or (version > 1 and flags & _SHARED):
        raise UnreadableError("an attribute has its type elsewhere")
    at = 8 if version < 3 else 9
    parts = []
    for size in sizes:
        parts.append(message[at : at + size])
        at += (size + 7) // 8 * 8 if version == 1 else size
    name, datatype, shape = parts
    # What follows fills the message up.
    size = _count_values(shape) * int.from_bytes(datatype[4:8], "little")
    return StoredAttribute(name.split(b"\0")[0], datatype, message[at : at + size])


def _count_values(shape: bytes) -> int:
    version, rank, _, kind = struct.unpack_from("<BBBB", shape)
    if version == 2 and kind == 2:  # one that has no values
        return 0
    return prod(struct.unpack_from(f"<{rank}Q", shape, 8 if version == 1 else 4))


def _read_dense(file: Section, info: bytes) -> Iterator[bytes]:
    """Read the attributes that lie in a heap of their own."""
    at = 4 if info[1] & 1 else 2
    heap_address, index = struct.unpack_from("<QQ", info, at)
    if heap_address == _UNDEFINED:
        return
    heap = _Heap(file, heap_address)
    for record in _read_index(file, index):
        if record[8] & 2:
            raise UnreadableError("an attribute is shared")
        yield heap.read(record[:8])


def _read_index(file: Section, address: int) -> list[bytes]:
    """Read the records of a version 2 B-tree of two levels at most."""
    head = file.read_at(address, 38)
    node, width, depth = struct.unpack_from("<IHH", head, 6)
    root, count = struct.unpack_from("<QH", head, 16)
    if head[:4] != b"BTHD" or depth > 1 or not width or node > _MOST_BYTES:
        raise UnreadableError("there are too many attributes")
    leaves = [(root, count)]
    records = []
    if depth:
        most = (node - 10) // width
        pointer = 8 + (most.bit_length() + 7) // 8
        content = file.read_at(root, 6 + count * width + (count + 1) * pointer)
        records = [content[6 + k * width : 6 + (k + 1) * width] for k in range(count)]
        at = 6 + count * width
        leaves = [
            (
                int.from_bytes(content[at + k * pointer : at + k * pointer + 8], "little"),
                int.from_bytes(content[at + k * pointer + 8 : at + (k + 1) * pointer], "little"),
            )
            for k in range(count + 1)
        ]
    for place, number in leaves:
        content = file.read_at(place, 6 + number * width)
        records += [content[6 + k * width : 6 + (k + 1) * width] for k in range(number)]
        if len(records) > _MOST_RECORDS:
            raise UnreadableError("there are too many attributes")
    return records


class _Heap:
    """A fractal heap whose blocks aren't compressed, of one level of indirect blocks at most."""

    def __init__(self, file: Section, address: int) -> None:
        self._file = file
        head = file.read_at(address, 142)
        self._huge_index = struct.unpack_from("<Q", head, 22)[0]
        self._across, self._least, self._most, bits = struct.unpack_from("<HQQH", head, 110)
        self._root, self._rows = struct.unpack_from("<QH", head, 132)
        if head[:4] != b"FRHP" or struct.unpack_from("<H", head, 7)[0] or not self._least:
            raise UnreadableError("its attributes are compressed")
        self._offset_bytes = (bits + 7) // 8
        self._huge: dict[int, tuple[int, int]] | None = None

    def read(self, identity: bytes) -> bytes:
        """Read an object by what the index calls it."""
        kind = identity[0] >> 4
        if kind == 1:
            place, length = self._find_huge(int.from_bytes(identity[1:], "little"))
        elif kind == 0:
            at = 1 + self._offset_bytes
            offset = int.from_bytes(identity[1:at], "little")
            place, length = self._locate(offset), int.from_bytes(identity[at:], "little")
        else:
            raise UnreadableError("an attribute lies in its index")
        if length > _MOST_BYTES:
            raise UnreadableError("an attribute is too large")
        return self._file.read_at(place, length)

    def _find_huge(self, number: int) -> tuple[int, int]:
        if self._huge is None:
            records = [struct.unpack("<QQQ", r) for r in _read_index(self._file, self._huge_index)]
            self._huge = {key: (place, length) for place, length, key in records}
        if number not in self._huge:
            raise UnreadableError("an attribute is missing")
        return self._huge[number]

    def _locate(self, offset: int) -> int:
        """Find where in the file an offset of the heap is: blocks grow from row to row."""
        if not self._rows:
            return int(self._root) + offset
        row, first, size = 0, 0, int(self._least)
        while offset >= first + self._across * size:
            first += self._across * size
            size *= 2 if row else 1
            row += 1
            if size > self._most or row >= self._rows:
                raise UnreadableError("its attributes take too much")
        column = (offset - first) // size
        at = int(self._root) + 13 + self._offset_bytes + 8 * (row * self._across + column)
        block = int.from_bytes(self._file.read_at(at, 8), "little")
        return block + offset - first - column * size
