"""Rows that lie one after another in a file: .npy, and .npz members that aren't compressed."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import NpyHeader, check_size, read_npy_header
from kprobe.inputs.sources.source import ArraySource, Source

if TYPE_CHECKING:
    from pathlib import Path


def open_npy(
    path: Path,
    label: str,
    identity: dict[str, Any],
    offset: int = 0,
    size: int | None = None,
    checksum: int | None = None,
) -> Source:
    """Open a .npy array that lies in a file.

    Args:
        path: The file.
        label: What messages and row identities call it.
        identity: What `Source.identity` is to tell.
        offset: Where in the file the array begins, in bytes.
        size: How much of the file is the array's, in bytes; by default all that is left.
        checksum: The CRC-32 of these, which is compared with where all rows are read in order.

    Raises:
        InputError: If there is no such array, or more or less of it than its header says.
    """
    with path.open("rb") as file:
        file.seek(offset)
        header = read_npy_header(file, label)
        start = offset + header.length
        left = os.fstat(file.fileno()).st_size - offset
        present = (left if size is None else min(left, size)) - header.length
    check_size(header, present, label)
    if header.fortran:  # a row is scattered over the whole file, so let numpy pick it up
        array = np.memmap(path, header.dtype, "r", start, header.shape, order="F")
        return ArraySource(array, label, identity)
    checked = None if checksum is None else _Checksum(checksum, path, offset, header.length)
    return _FileRows(path, start, header, label, identity, checked)


class _FileRows(Source):
    """Rows read straight into the batch.

    Not `np.memmap`, though as fast and as lean: a file cut short underneath would kill the
    process (SIGBUS), where this is an error message; and page faults would hold up the thread
    that computes, where this waits in the one that reads, without the interpreter's lock.
    """

    def __init__(
        self,
        path: Path,
        start: int,
        header: NpyHeader,
        label: str,
        identity: dict[str, Any],
        checksum: _Checksum | None,
    ) -> None:
        self._checksum = checksum
        self._file = path.open("rb", buffering=0)
        self._start = start
        self._header = header
        self._identity = identity
        self.label = label
        self.rows: int = header.shape[0]
        self.shape = header.shape[1:]
        self.dtype = header.dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell the file's name, size and time."""
        return self._identity

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows start to stop, at their place in the file."""
        rows = np.empty((stop - start, *self.shape), self._header.dtype)
        rest = as_bytes(rows)
        offset = self._start + start * self._header.row_bytes
        while rest:
            count = os.preadv(self._file.fileno(), [rest], offset)
            if count == 0:
                raise InputError(
                    f"{self.label}: expected {self.rows} rows, and the file ends in row "
                    f"{(offset - self._start) // self._header.row_bytes}: it changed while it "
                    "was read"
                )
            rest, offset = rest[count:], offset + count
        if self._checksum is not None:
            self._checksum.add(start, stop, as_bytes(rows))
            if stop == self.rows and not self._checksum.holds():
                raise InputError(f"{self.label}: is damaged: its checksum is another")
        return to_native(rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Checksum:
    """The CRC-32 of an array, as far as its rows are read one after another from the first on."""

    def __init__(self, expected: int, path: Path, offset: int, length: int) -> None:
        with path.open("rb") as file:
            file.seek(offset)
            self._begin = zlib.crc32(file.read(length))
        self._expected = expected
        self._sum: int | None = self._begin
        self._row = 0

    def add(self, start: int, stop: int, content: memoryview) -> None:
        """Add rows; where some are passed over, the sum is of no use."""
        if start == 0:
            self._sum = self._begin
        elif start != self._row:
            self._sum = None
        if self._sum is not None:
            self._sum = zlib.crc32(content, self._sum)
        self._row = stop

    def holds(self) -> bool:
        """Tell whether it is what it should be, or nobody knows."""
        return self._sum in (None, self._expected)


def as_bytes(array: npt.NDArray[Any]) -> memoryview:
    """Give the memory of a C-contiguous array, to read into."""
    return array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")


def to_native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give an array in the machine's byte order, in the same memory."""
    if array.dtype.isnative:
        return array
    swapped: npt.NDArray[Any] = array.byteswap(inplace=True)
    return swapped.view(array.dtype.newbyteorder("="))
