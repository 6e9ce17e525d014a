"""Give a dataset that was laid out another length and place, in one write that nothing can cut.

HDF5 itself would change several blocks of the file, one after the other, and a process killed in
between leaves a file that can't be opened. The fields are those of the "HDF5 File Format
Specification", version 3.0: superblocks of version 2 (II.A), object headers of version 2
(IV.A.1.b), dataspaces of version 2 (IV.A.2.b) and contiguous layouts of version 3 (IV.A.2.i).
"""

from __future__ import annotations

import os
from typing import Any

import h5py

from kprobe.errors import DumpError

PAGE = 4096  # bytes, of memory and so of what the kernel writes at once
_SUPERBLOCK = 48  # bytes
_END = 28  # where in it is the end of the file
_DATASPACE, _LAYOUT = 1, 8
# What HDF5 1.8 reads and writes.
_SUPERBLOCK_VERSION, _DATASPACE_VERSION, _LAYOUT_VERSION, _CONTIGUOUS = 2, 2, 3, 1
_MASK = 0xFFFFFFFF
_NOWHERE = (1 << 64) - 1  # the address of what takes no bytes


def lies_in_one_page(dataset: Any) -> bool:
    """Tell whether a dataset's header can be rewritten at once, even if the process is killed.

    The kernel copies what is written page by page, and minds signals between them.
    """
    facts = h5py.h5o.get_info(dataset.id)
    return bool(facts.addr // PAGE == (facts.addr + facts.hdr.space.total - 1) // PAGE)


def find_header(dataset: Any) -> int:
    """Give the byte offset of a dataset's header."""
    return int(h5py.h5o.get_info(dataset.id).addr)


def extend(file: int, place: int, length: int, values: range) -> None:
    """Rewrite the header of a contiguous dataset: its length, and where its values are.

    Args:
        file: Descriptor of the file, open for writing.
        place: The byte offset of the header.
        length: The length of the dataset's first axis from now on.
        values: The bytes of the file that hold its values.

    Raises:
        OSError: The file can't be written.
        DumpError: HDF5 laid the header out in another way than expected.
    """
    header, messages = _read_header(file, place)
    dataspace, layout = messages.get(_DATASPACE, 0), messages.get(_LAYOUT, 0)
    known = (
        header[dataspace] == _DATASPACE_VERSION
        and header[layout : layout + 2] == bytes([_LAYOUT_VERSION, _CONTIGUOUS])
        and _read(header, len(header) - 4, 4) == _checksum(header[:-4])
        and os.pread(file, 1, 8) == bytes([_SUPERBLOCK_VERSION])
    )
    if not known:
        raise DumpError(f"HDF5 {h5py.version.hdf5_version} lays files out in an unknown way")
    _put(header, dataspace + 4, length)
    if header[dataspace + 2] & 1:  # the largest size there may be follows the size
        _put(header, dataspace + 4 + 8 * header[dataspace + 1], length)
    _put(header, layout + 2, values.start if values else _NOWHERE)
    _put(header, layout + 10, len(values))
    header[-4:] = _checksum(header[:-4]).to_bytes(4, "little")
    os.pwrite(file, header, place)


def read_size(file: int) -> int:
    """Give the size that a file has for HDF5, which may be less than its own."""
    return int.from_bytes(os.pread(file, 8, _END), "little")


def set_length(file: int, size: int) -> None:
    """Give a file, and what HDF5 knows of it, another size, beyond which no dataset lies.

    Raises:
        OSError: The filesystem refuses.
    """
    grown = size > os.fstat(file).st_size
    if grown:
        os.ftruncate(file, size)
    superblock = bytearray(os.pread(file, _SUPERBLOCK, 0))
    _put(superblock, _END, size)
    superblock[-4:] = _checksum(superblock[:-4]).to_bytes(4, "little")
    os.pwrite(file, superblock, 0)
    if not grown:
        os.ftruncate(file, size)


def _read_header(file: int, place: int) -> tuple[bytearray, dict[int, int]]:
    """Give a header, of one chunk, and where in it the body of each kind of message begins."""
    content = bytearray(os.pread(file, PAGE, place))
    flags = content[5]
    width = 1 << (flags & 3)  # of the field that says how large the chunk is
    begin = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    tracked = 2 if flags & 4 else 0
    message = begin + width
    header = content[: message + _read(content, begin, width) + 4]
    found: dict[int, int] = {}
    while message + 4 + tracked <= len(header) - 4:
        body = message + 4 + tracked
        found.setdefault(header[message], body)
        message = body + _read(header, message + 1, 2)
    return header, found


def _read(content: bytearray, place: int, width: int) -> int:
    return int.from_bytes(content[place : place + width], "little")


def _put(content: bytearray, place: int, value: int) -> None:
    content[place : place + 8] = value.to_bytes(8, "little")


def _checksum(content: bytes | bytearray) -> int:
    """Bob Jenkins's `lookup3`, `hashlittle` with the initial value 0 (public domain, 2006)."""
    a = b = c = (0xDEADBEEF + len(content)) & _MASK
    place, left = 0, len(content)
    while left > 12:
        words = (int.from_bytes(content[place + i : place + i + 4], "little") for i in (0, 4, 8))
        first, second, third = words
        a, b, c = (a + first) & _MASK, (b + second) & _MASK, (c + third) & _MASK
        a = (a - c) & _MASK ^ _rotate(c, 4)
        c = (c + b) & _MASK
        b = (b - a) & _MASK ^ _rotate(a, 6)
        a = (a + c) & _MASK
        c = (c - b) & _MASK ^ _rotate(b, 8)
        b = (b + a) & _MASK
        a = (a - c) & _MASK ^ _rotate(c, 16)
        c = (c + b) & _MASK
        b = (b - a) & _MASK ^ _rotate(a, 19)
        a = (a + c) & _MASK
        c = (c - b) & _MASK ^ _rotate(b, 4)
        b = (b + a) & _MASK
        place, left = place + 12, left - 12
    if not left:
        return c
    rest = bytes(content[place:]).ljust(12, b"\0")
    a = (a + int.from_bytes(rest[:4], "little")) & _MASK
    b = (b + int.from_bytes(rest[4:8], "little")) & _MASK
    c = (c + int.from_bytes(rest[8:], "little")) & _MASK
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    return ((c ^ b) - _rotate(b, 24)) & _MASK


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK
