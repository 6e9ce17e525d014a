"""Arrays in a .npz file, read in place where they aren't compressed."""

from __future__ import annotations

import contextlib
import math
import stat
import struct
import zipfile
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import NpyHeader, check_size, read_npy_header
from kprobe.inputs.formats.npy_rows import open_npy
from kprobe.inputs.formats.npy_stream import NpyStream
from kprobe.inputs.sources.container import FileContainer
from kprobe.inputs.sources.source import ArraySource, Source
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import BufferedIOBase
    from pathlib import Path

_SUFFIX = ".npy"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL_MAGIC = b"PK\x03\x04"
# What deflate makes of a byte at most, which is 258 zeros for two bits; and of hardly anything.
_MOST_EXPANDED = 1032
_SPARE = 1 << 10
# What memory may hold of an array at once, whatever the file's size, and for each of its bytes.
_HELD = 256 << 20
_HELD_FOR_EACH = 100


class NpzFile(FileContainer):
    """The arrays of a .npz file.

    Args:
        path: The file.
        label: What messages call it.
        identity: What its sources are to report of it; "source" gets the key appended.

    Raises:
        InputError: If it is no zip archive, no array is in it, or something that numpy doesn't
            write.
    """

    def __init__(self, path: Path, label: str, identity: dict[str, Any]) -> None:
        super().__init__(path, label, identity)
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except OSError:
            raise
        except Exception as error:  # of damage zipfile tells in many ways
            raise InputError(
                f"{label}: expected a .npz file, received a damaged one ({error})"
            ) from None
        if fault := _find_fault(members):
            raise InputError(f"{label}: expected a .npz file as numpy writes it, received {fault}")
        self._members = {
            info.filename[: -len(_SUFFIX)]: info
            for info in members
            if info.filename.endswith(_SUFFIX)
        }
        if not self._members:
            inside = list_names(info.filename for info in members)
            raise InputError(
                f"{label}: expected a .npz file, received an archive without arrays, "
                f"holding {inside}"
            )

    def keys(self) -> list[str]:
        """List the arrays, in the file's order."""
        return list(self._members)

    def open(self, key: str) -> Source:
        """Open an array: at its place if stored as it is, else as a stream."""
        member = self._find(key)
        label, identity = f"{self.label}:{key}", self._identify(key)
        if member.compress_type == zipfile.ZIP_STORED:
            offset = self._find_data(member, label)
            return open_npy(self._path, label, identity, offset, member.file_size, member.CRC)
        if not self._read_header(key).fortran:
            with self._reading(label):
                return NpyStream(lambda: self._open_member(member), label, identity, reopens=True)
        # Its rows can be read only from the whole of it.
        return ArraySource(self.read_whole(key), label, identity)

    def read_whole(self, key: str) -> npt.NDArray[Any]:
        """Read an array into memory, which nobody writes to.

        Raises:
            InputError: There is none, it is damaged, or larger than such a file should hold.
        """
        member, label = self._find(key), f"{self.label}:{key}"
        _check_held(member.file_size, member, label)
        with self._reading(label), self._open_member(member) as stream:
            header = read_npy_header(stream, label, scalar=True)
            _check_member(header, member, label)
            content = stream.read()  # to the end, where it is compared with its checksum
        order: Literal["F", "C"] = "F" if header.fortran else "C"
        return np.frombuffer(content, header.dtype).reshape(header.shape, order=order)

    def _find(self, key: str) -> zipfile.ZipInfo:
        member = self._members.get(key)
        if member is None:
            raise self.refuse(f"no array '{key}'", key)
        label = f"{self.label}:{key}"
        if member.flag_bits & 0x1:
            raise InputError(f"{label}: expected a plain archive, received an encrypted one")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{label}: expected an array that is stored or deflated, received compression "
                f"{member.compress_type}"
            )
        most = member.compress_size
        if member.compress_type == zipfile.ZIP_DEFLATED:
            most = most * _MOST_EXPANDED + _SPARE
        if member.file_size > most:
            raise InputError(
                f"{label}: expected an array of {most:,} bytes at most, as its archive stores it, "
                f"received one that is said to have {member.file_size:,}"
            )
        return member

    def _read_header(self, key: str) -> NpyHeader:
        member, label = self._find(key), f"{self.label}:{key}"
        with self._reading(label), self._open_member(member) as stream:
            header = read_npy_header(stream, label)
        _check_member(header, member, label)
        _check_held(header.row_bytes, member, f"{label}: a row of it")
        return header

    def _find_data(self, member: zipfile.ZipInfo, label: str) -> int:
        """Find the member's first byte: the header before it may be longer than the directory's."""
        with self._path.open("rb") as file:
            file.seek(member.header_offset)
            head = file.read(_LOCAL_HEADER.size)
            name = member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437")
            magic, name_length, extra_length = (
                _LOCAL_HEADER.unpack(head) if len(head) == _LOCAL_HEADER.size else (b"", 0, 0)
            )
            if magic != _LOCAL_MAGIC or file.read(name_length) != name:
                raise InputError(f"{label}: is damaged: it isn't where the archive says")
        return int(member.header_offset + _LOCAL_HEADER.size + name_length + extra_length)

    def _open_member(self, member: zipfile.ZipInfo) -> BufferedIOBase:
        # The archive closes its file when the last member that is being read is closed.
        with zipfile.ZipFile(self._path) as archive:
            return cast("BufferedIOBase", archive.open(member))

    @contextlib.contextmanager
    def _reading(self, label: str) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # of damage zipfile tells in many ways
            raise InputError(f"{label}: can't be read: {error}") from None


def _find_fault(members: Iterable[zipfile.ZipInfo]) -> str | None:
    """Tell what an archive has that numpy writes into none."""
    names = set()
    for member in members:
        name = member.filename
        if name in names:
            return f"{name!r} twice"
        names.add(name)
        parts = name.replace("\\", "/").split("/")
        if name != member.orig_filename or parts[0] == "" or ".." in parts:
            return f"the name {member.orig_filename!r}"
        if stat.S_ISLNK(member.external_attr >> 16):
            return f"{name!r}, a link"
    return None


def _check_member(header: NpyHeader, member: zipfile.ZipInfo, label: str) -> None:
    size = math.prod(header.shape) * header.dtype.itemsize
    if header.shape:
        check_size(header, member.file_size - header.length, label)
    elif member.file_size - header.length != size:
        raise InputError(f"{label}: expected {size:,} bytes, as its header says")


def _check_held(size: int, member: zipfile.ZipInfo, what: str) -> None:
    """Check that an array, or a row, is no larger than what memory may hold for it."""
    most = max(_HELD, _HELD_FOR_EACH * member.compress_size)
    if size > most:
        raise InputError(
            f"{what}: expected {most:,} bytes at most, of {member.compress_size:,} in the file, "
            f"received {size:,}",
            hint="store it uncompressed: np.savez(file, name=np.ascontiguousarray(array))",
        )
