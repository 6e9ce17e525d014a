"""Write zip archives of which every field can be said, so that any of them can be wrong."""

from __future__ import annotations

import functools
import struct
import zipfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

SAMPLE = Path(__file__).parents[3] / "sample_models" / "digits_cnn.keras"


@dataclass(frozen=True)
class Member:
    """A member, its fields as they should be unless said otherwise.

    `local` and `central` change fields of its header and of its entry in the directory: `needed`,
    `flags`, `method`, `crc`, `packed`, `size`, `name`, `extra`, and there `comment`, `disk`,
    `attributes`, `header`. `behind` is put behind its bytes.
    """

    name: str
    content: bytes = b""
    method: int = 0
    packed: bytes | None = None
    behind: bytes = b""
    both: dict = field(default_factory=dict)
    local: dict = field(default_factory=dict)
    central: dict = field(default_factory=dict)

    def change(self, **fields):
        return replace(self, **fields)


@functools.cache
def read_sample():
    """Give the members of an honest model."""
    with zipfile.ZipFile(SAMPLE) as archive:
        return [Member(each.filename, archive.read(each)) for each in archive.infolist()]


def deflate(content, level=9):
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def _fill(member):
    packed = member.packed
    if packed is None:
        packed = deflate(member.content) if member.method == 8 else member.content
    name = member.name.encode()
    fields = {
        "needed": 20,
        "flags": 0 if name.isascii() else 0x800,
        "method": member.method,
        "crc": zlib.crc32(member.content),
        "packed": len(packed),
        "size": len(member.content),
        "name": name,
        "extra": b"",
        **member.both,
    }
    return packed, {**fields, **member.local}, {**fields, **member.central}


def _pack_common(fields):
    """Pack what the header and the entry of a member have both, in one order."""
    names = ("needed", "flags", "method")
    sizes = ("crc", "packed", "size")
    numbers = [*(fields[each] for each in names), 0, 33, *(fields[each] for each in sizes)]
    return struct.pack("<5H3L2H", *numbers, len(fields["name"]), len(fields["extra"]))


def _header(fields):
    magic = fields.get("magic", b"PK\3\4")
    return magic + _pack_common(fields) + fields["name"] + fields["extra"]


def _entry(fields, offset):
    comment = fields.get("comment", b"")
    start = fields.get("magic", b"PK\1\2") + struct.pack("<H", (3 << 8) | 20)
    end = struct.pack(
        "<3H2L",
        len(comment),
        fields.get("disk", 0),
        0,
        fields.get("attributes", 0o100600 << 16),
        fields.get("header", offset),
    )
    return start + _pack_common(fields) + end + fields["name"] + fields["extra"] + comment


def write_end(count, size, start, comment=b"", disk=0, here=None):
    here = count if here is None else here
    fields = (b"PK\5\6", disk, disk, here, count, size, start, len(comment))
    return struct.pack("<4s4H2LH", *fields) + comment


def write_end_64(count, size, start, place, length=44, disks=1):
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", length, 45, 45, 0, 0, count, count, size, start)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, place, disks)


def write_zip(
    path,
    members,
    *,
    before=b"",
    between=b"",
    in_directory=b"",
    behind=b"",
    end=write_end,
    end_64=None,
    shift=0,
    order=None,
):
    """Write an archive.

    `before`, `between`, `in_directory` and `behind` are put before the first member, between the
    last one and the directory, behind its entries, and behind the end. `shift` is by how much all
    offsets are wrong; `order` sorts the directory.
    """
    content = bytearray(before)
    entries = []
    for member in members:
        packed, local, central = _fill(member)
        entries.append(_entry(central, len(content) - shift))
        content += _header(local) + packed + member.behind
    content += between
    directory = b"".join(entries if order is None else sorted(entries, key=order)) + in_directory
    start = len(content)
    content += directory
    if end_64 is not None:
        content += end_64(len(members), len(directory), start - shift, len(content))
    content += end(len(members), len(directory), start - shift) + behind
    path.write_bytes(content)
    return path
