"""Arrays in a .npz file, read in place where they aren't compressed."""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import read_npy_header
from kprobe.inputs.formats.npy_rows import open_npy
from kprobe.inputs.formats.npy_stream import NpyStream
from kprobe.inputs.sources.container import FileContainer
from kprobe.inputs.sources.source import ArraySource, Source
from kprobe.naming import list_names

if TYPE_CHECKING:
    from io import BufferedIOBase
    from pathlib import Path

_SUFFIX = ".npy"


class NpzFile(FileContainer):
    """The arrays of a .npz file.

    Args:
        path: The file.
        label: What messages call it.
        identity: What its sources are to report of it; "source" gets the key appended.

    Raises:
        InputError: If it is no zip archive, or no array is in it.
    """

    def __init__(self, path: Path, label: str, identity: dict[str, Any]) -> None:
        super().__init__(path, label, identity)
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise InputError(
                f"{label}: expected a .npz file, received a damaged one ({error})"
            ) from None
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
        member = self._members.get(key)
        if member is None:
            raise self.refuse(f"no array '{key}'", key)
        label = f"{self.label}:{key}"
        identity = self._identify(key)
        if member.flag_bits & 0x1:
            raise InputError(f"{label}: expected a plain archive, received an encrypted one")
        if member.compress_type == zipfile.ZIP_STORED:
            offset = self._data_offset(member)
            return open_npy(self._path, label, identity, offset, member.file_size)
        return self._open_compressed(member, label, identity)

    def _data_offset(self, member: zipfile.ZipInfo) -> int:
        """Find the member's first byte: the header before it may be longer than the directory's."""
        with self._path.open("rb") as file:
            file.seek(member.header_offset + 26)
            name_length, extra_length = struct.unpack("<HH", file.read(4))
        return int(member.header_offset + 30 + name_length + extra_length)

    def _open_compressed(
        self, member: zipfile.ZipInfo, label: str, identity: dict[str, Any]
    ) -> Source:
        def open_member() -> BufferedIOBase:
            # The archive closes its file when the last member that is being read is closed.
            with zipfile.ZipFile(self._path) as archive:
                return cast("BufferedIOBase", archive.open(member))

        try:
            with open_member() as stream:
                scattered = read_npy_header(stream, label).fortran
            if not scattered:
                return NpyStream(open_member, label, identity, reopens=True)
            with open_member() as stream:  # its rows can be read only from the whole of it
                array = np.lib.format.read_array(stream, allow_pickle=False)
        except (zipfile.BadZipFile, NotImplementedError, zlib.error, ValueError, EOFError) as error:
            raise InputError(f"{label}: can't be read: {error}") from None
        return ArraySource(array, label, identity)
