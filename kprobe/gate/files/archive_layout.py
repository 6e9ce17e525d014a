"""Where the members of a zip archive lie: one behind the other, with nothing else in the file.

Readers of zip archives differ in what they make of odd ones: some go by the directory at the end,
some by the headers before the members, and Python's `zipfile`, which Keras uses, looks for a
directory in what comes before a comment. So an archive is read here in the one way in which no two
readers can differ, and refused where they could. The layout is that of PKWARE's APPNOTE.TXT.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.gate.opened import OpenedFile

STORED, DEFLATED = 0, 8
_OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}

_MAX_NAME_BYTES = 1024
_MAX_VERSION = 63  # what `zipfile` takes, and the newest that there is
_MARK_16, _MARK_32 = 0xFFFF, 0xFFFFFFFF

# Flags: how hard it was deflated, sizes behind the member, a name in UTF-8.
_DESCRIPTOR, _UTF8 = 0x0008, 0x0800
_PLAIN_FLAGS = 0x0006 | _DESCRIPTOR | _UTF8
_ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")
_MOST_BEHIND = 1 << 16  # the longest comment there can be
_ZIP64 = 0x0001
# What else is kept of a member, and how long that can be: times and owners, as tools for Unix and
# Windows write them. Other fields could give a member another name, or hold anything.
_EXTRA_BYTES = {_ZIP64: 28, 0x000A: 32, 0x5455: 13, 0x5855: 12, 0x7855: 4, 0x7875: 22}
_MAX_EXTRA_BYTES = sum(4 + most for most in _EXTRA_BYTES.values())


@dataclass(frozen=True)
class ArchiveMember:
    """A member of an archive.

    Attributes:
        name: What it is called; a folder's name ends in "/".
        offset: Where its bytes begin in the file, behind its header.
        packed: How many bytes it takes there.
        size: How many bytes it is said to have when it is unpacked.
        method: `STORED` or `DEFLATED`.
        checksum: The CRC-32 that it is said to have.
        attributes: What kind of file it is said to be: Unix's mode in the upper 16 bits, and
            those of Windows in the lower ones.
    """

    name: str
    offset: int
    packed: int
    size: int
    method: int
    checksum: int
    attributes: int


@dataclass(frozen=True)
class _Entry:
    """What the directory says of a member."""

    name: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    size: int
    header: int
    attributes: int


class _BrokenRuleError(Exception):
    """A rule is broken, so that nothing more can be read: its arguments are those of a fault."""


def read_members(opened: OpenedFile, most: int) -> Sequence[ArchiveMember] | Fault:
    """Read where the members of an archive lie, and what is said of them.

    Nothing is unpacked. Only the directory and the members' headers are read.

    Args:
        opened: The file.
        most: How many members it may have.

    Returns:
        The members, as they lie in the file; or the rule that is broken.
    """
    try:
        count, start, end = _find_directory(opened)
        if count > most:
            raise _BrokenRuleError(
                "archive-size", f"expected at most {most:,} members, received {count:,}"
            )
        entries = _read_directory(opened, count, start, end)
        entries.sort(key=lambda entry: entry.header)
        members, behind = [], 0
        for i, entry in enumerate(entries):
            if entry.header != behind:
                what = "overlaps" if entry.header < behind else "has other bytes before"
                raise _BrokenRuleError("archive-layout", f"{what} its member {show(entry.name)}")
            limit = entries[i + 1].header if i + 1 < count else start
            member, behind = _read_header(opened, entry, limit)
            members.append(member)
        if behind != start:
            raise _BrokenRuleError("archive-layout", "has other bytes before its directory")
    except _BrokenRuleError as error:
        return Fault(*error.args)
    return members


def _find_directory(opened: OpenedFile) -> tuple[int, int, int]:
    """Give the number of members, and where the directory begins and ends."""
    place = opened.size - _END.size
    tail = opened.read(_END.size, max(place, 0))
    if place < 0 or tail[:4] != b"PK\5\6" or tail[-2:] != b"\0\0":
        behind = opened.read(_MOST_BEHIND + _END.size, max(0, place - _MOST_BEHIND))
        found = behind.rfind(b"PK\5\6")
        if found >= 0:
            count = len(behind) - found - _END.size
            text = f"has a comment or other bytes behind its directory ({max(count, 0):,} bytes)"
            raise _BrokenRuleError("archive-layout", text)
        raise _BrokenRuleError(
            "archive-damaged", "is cut short or damaged: there is no directory at its end"
        )
    _, disk, first_disk, here, count, size, start, _ = _END.unpack(tail)
    said = {"count": count, "size": size, "start": start}
    end = place
    if opened.read(4, max(0, place - _LOCATOR_64.size)) == b"PK\6\7":
        end = place - _LOCATOR_64.size - _END_64.size
        said = _read_end_64(opened, end, said)
        here = said["count"] if here == _MARK_16 else here
    if disk or first_disk or here != said["count"]:
        raise _BrokenRuleError("archive-layout", "is a part of an archive in several files")
    if said["start"] + said["size"] != end:
        raise _BrokenRuleError("archive-layout", "has its directory elsewhere than it says")
    return said["count"], said["start"], end


def _read_end_64(opened: OpenedFile, place: int, said: Mapping[str, int]) -> dict[str, int]:
    """Read the end record of a large archive, which must be all that the small one says, too."""
    record = opened.read(_END_64.size, max(place, 0))
    locator = opened.read(_LOCATOR_64.size, max(place, 0) + _END_64.size)
    if place < 0 or record[:4] != b"PK\6\6":
        raise _BrokenRuleError("archive-layout", "has no zip64 record where it says")
    _, length, _, needed, disk, first_disk, here, count, size, start = _END_64.unpack(record)
    large = {"count": count, "size": size, "start": start}
    marks = {"count": _MARK_16, "size": _MARK_32, "start": _MARK_32}
    if (
        length != _END_64.size - 12
        or needed > _MAX_VERSION
        or (disk, first_disk, here) != (0, 0, count)
        or _LOCATOR_64.unpack(locator)[1:] != (0, place, 1)
        or any(said[name] not in (large[name], marks[name]) for name in said)
    ):
        raise _BrokenRuleError("archive-layout", "has two end records that differ")
    return large


def _read_directory(opened: OpenedFile, count: int, start: int, end: int) -> list[_Entry]:
    most = count * (_ENTRY.size + _MAX_NAME_BYTES + _MAX_EXTRA_BYTES)
    if end - start > most:
        raise _BrokenRuleError("archive-layout", f"has a directory of {end - start:,} bytes")
    directory = opened.read(end - start, start)
    entries, place = [], 0
    for _ in range(count):
        if directory[place : place + 4] != b"PK\1\2" or len(directory) < place + _ENTRY.size:
            raise _BrokenRuleError("archive-damaged", "has a damaged directory")
        entry, place = _read_entry(directory, place)
        entries.append(entry)
    if place != len(directory):
        raise _BrokenRuleError("archive-layout", "has other bytes within its directory")
    return entries


def _read_entry(directory: bytes, place: int) -> tuple[_Entry, int]:
    fields = _ENTRY.unpack_from(directory, place)
    _, _, needed, flags, method, _, _, checksum, packed, size = fields[:10]
    name_bytes, extra_bytes, comment_bytes, disk, _, attributes, header = fields[10:]
    place += _ENTRY.size
    name = directory[place : place + name_bytes]
    place += name_bytes
    extra = directory[place : place + extra_bytes]
    place += extra_bytes
    if len(extra) != extra_bytes:
        raise _BrokenRuleError("archive-damaged", "has a damaged directory")
    if comment_bytes or disk or needed & 0xFF > _MAX_VERSION:
        what = "a comment" if comment_bytes else "a version or a disk that no Keras writes"
        raise _BrokenRuleError("archive-layout", f"has {what} with its member {show(name)}")
    if flags & _ENCRYPTED_FLAGS:
        raise _BrokenRuleError("archive-compression", f"has an encrypted member, {show(name)}")
    if flags & ~_PLAIN_FLAGS:
        raise _BrokenRuleError(
            "archive-compression", f"has flags of member {show(name)} that no Keras writes"
        )
    if method not in (STORED, DEFLATED):
        how = _OTHER_METHODS.get(method, f"method {method}")
        raise _BrokenRuleError(
            "archive-compression",
            f"expected members that are stored or deflated, received {show(name)} in {how}",
        )
    marks = [value == _MARK_32 for value in (size, packed, header)]
    large = iter(_read_extra(extra, name, marks))
    size, packed, header = (
        next(large) if marked else value
        for marked, value in zip(marks, (size, packed, header), strict=True)
    )
    return _Entry(name, flags, method, checksum, packed, size, header, attributes), place


def _read_extra(extra: bytes, name: bytes, marks: Sequence[bool]) -> Sequence[int]:
    """Give the large sizes that are kept in extra fields, one for each that is marked as such."""
    seen: dict[int, bytes] = {}
    place = 0
    while place < len(extra):
        kind, length = struct.unpack_from("<2H", extra + b"\0\0\0", place)
        value = extra[place + 4 : place + 4 + length]
        place += 4 + length
        most = _EXTRA_BYTES.get(kind)
        if most is None or length > most or kind in seen or place > len(extra):
            raise _BrokenRuleError(
                "archive-layout", f"has an odd extra field {kind:#06x} with member {show(name)}"
            )
        seen[kind] = value
    large = seen.get(_ZIP64, b"")
    if len(large) != 8 * sum(marks) or (_ZIP64 in seen and not large):
        raise _BrokenRuleError(
            "archive-layout", f"says two things of the size of its member {show(name)}"
        )
    return struct.unpack(f"<{sum(marks)}Q", large)


def _read_header(opened: OpenedFile, entry: _Entry, limit: int) -> tuple[ArchiveMember, int]:
    """Read the header before a member, and give the member, and where it ends."""
    longest = _HEADER.size + len(entry.name) + _MAX_EXTRA_BYTES
    content = opened.read(min(longest, limit - entry.header), entry.header)
    if content[:4] != b"PK\3\4" or len(content) < _HEADER.size:
        raise _BrokenRuleError(
            "archive-damaged", f"has a damaged header before its member {show(entry.name)}"
        )
    fields = _HEADER.unpack_from(content)
    _, needed, flags, method, _, _, checksum, packed, size, name_bytes, extra_bytes = fields
    start = _HEADER.size + name_bytes
    name, extra = content[_HEADER.size : start], content[start : start + extra_bytes]
    marks = [size == _MARK_32, packed == _MARK_32]
    if len(extra) != extra_bytes or name != entry.name:
        raise _differ(entry)
    large = iter(_read_extra(extra, entry.name, marks))
    size, packed = (
        next(large) if marked else value
        for marked, value in zip(marks, (size, packed), strict=True)
    )
    # What wasn't known when the header was written is nought there, and stands behind the member.
    late = (0,) if flags & _DESCRIPTOR else ()
    if (
        (flags, method) != (entry.flags, entry.method)
        or needed & 0xFF > _MAX_VERSION
        or checksum not in (entry.checksum, *late)
        or packed not in (entry.packed, *late)
        or size not in (entry.size, *late)
        or (method == STORED and entry.size != entry.packed)
    ):
        raise _differ(entry)
    place = entry.header + start + extra_bytes
    end = place + entry.packed
    if end > limit:
        raise _BrokenRuleError("archive-layout", f"overlaps its member {show(entry.name)}")
    if flags & _DESCRIPTOR:
        end += _measure_descriptor(opened, entry, end, limit)
    member = ArchiveMember(
        _read_name(entry),
        place,
        entry.packed,
        entry.size,
        method,
        checksum=entry.checksum,
        attributes=entry.attributes,
    )
    return member, end


def _measure_descriptor(opened: OpenedFile, entry: _Entry, place: int, limit: int) -> int:
    """Give the length of what stands behind a member whose sizes weren't known before it."""
    forms = []
    for sizes in ("2Q", "2L"):
        try:
            form = struct.pack(f"<L{sizes}", entry.checksum, entry.packed, entry.size)
        except struct.error:  # too large for the short form
            continue
        forms += [b"PK\7\x08" + form, form]
    if limit - place not in map(len, forms) or opened.read(limit - place, place) not in forms:
        raise _differ(entry)
    return limit - place


def _differ(entry: _Entry) -> _BrokenRuleError:
    text = f"says one thing of its member {show(entry.name)} before it, another in its directory"
    return _BrokenRuleError("archive-layout", text)


def _read_name(entry: _Entry) -> str:
    try:
        name = entry.name.decode("utf-8" if entry.flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        name = ""
    if not name or len(entry.name) > _MAX_NAME_BYTES:
        raise _BrokenRuleError(
            "archive-members", f"has a member whose name no Keras writes: {show(entry.name)}"
        )
    return name
