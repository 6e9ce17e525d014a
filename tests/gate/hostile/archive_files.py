"""Archives of honest models, changed: what the cases of archives are made with."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from gate.hostile.zip_writer import (
    Member,
    deflate,
    read_sample,
    write_zip,
)

OTHER = Member("config.json", b'{"class_name": "Other", "config": {}}')


ZIP64 = struct.pack("<2H2Q", 1, 16, 7, 7)


def extend(*members, name="model.keras", **options):
    """Make a case's file: an honest model with more members."""

    def make(folder, marker):
        return write_zip(folder / name, [*read_sample(), *members], **options)

    return make


def changed(name="model.weights.h5", suffix=".keras", **changes):
    """Make a case's file: an honest model, one of whose members is changed.

    A change that is a function is given the member.
    """

    def make(folder, marker):
        members = [
            each.change(
                **{key: made(each) if callable(made) else made for key, made in changes.items()}
            )
            if each.name == name
            else each
            for each in read_sample()
        ]
        return write_zip(folder / f"model{suffix}", members)

    return make


def by_zipfile(compression=zipfile.ZIP_STORED, folders=(), force_zip64=False, seekable=True):
    """Make a case's file as Python's own writer of archives does."""

    def make(folder, marker):
        path = folder / "model.keras"
        with path.open("wb") as file:
            target = file if seekable else _Stream(file)
            with zipfile.ZipFile(target, "w", compression) as archive:
                for name in folders:
                    archive.writestr(zipfile.ZipInfo(name), b"")
                for each in read_sample():
                    with archive.open(each.name, "w", force_zip64=force_zip64) as member:
                        member.write(each.content)
        return path

    return make


class _Stream(io.RawIOBase):
    """A file that can't seek, as a pipe."""

    def __init__(self, file):
        self._file = file

    def writable(self):
        return True

    def write(self, content):
        return self._file.write(content)


def bomb(*, size, say=None):
    """Make a member of zeros, packed to a thousandth, that says it has `say` bytes."""

    def make(folder, marker):
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
        packed = block * (size >> 20) + packer.flush()
        said = {
            "size": size if say is None else say,
            "crc": zlib.crc32(bytes(min(size, 16 << 20))),
        }
        member = Member("assets/vocabulary.txt", packed=packed, method=8, both=said)
        return write_zip(folder / "model.keras", [*read_sample(), member])

    return make


def put_bytes(content, name):
    def make(folder, marker):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def many(count):
    def make(folder, marker):
        extra = [Member(f"assets/{i}") for i in range(count)]
        return write_zip(folder / "model.keras", [*read_sample(), *extra])

    return make


def packed(member):
    return deflate(member.content)


def field(kind, content):
    return struct.pack("<2H", kind, len(content)) + content


def descriptor(sizes="2L", magic=b"PK\7\x08", crc=None):
    def make(member):
        checksum = zlib.crc32(member.content) if crc is None else crc
        length = len(member.content)
        return magic + struct.pack(f"<L{sizes}", checksum, length, length)

    return make


LATE = {"flags": 8, "crc": 0, "packed": 0, "size": 0}
