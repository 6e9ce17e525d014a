"""Rows of a .npy array that comes through a pipe, or out of a compressed archive."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import read_npy_header
from kprobe.inputs.formats.npy_rows import as_bytes, to_native
from kprobe.inputs.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedIOBase

_SKIPPED_AT_ONCE = 1 << 20  # bytes


class NpyStream(Source):
    """Rows read in the order they come; memory holds what was peeked at and no more.

    Args:
        open_stream: Gives the stream, at the first byte of the array. Called again for rows
            that have been read already, if `reopens`.
        label: What messages and row identities call it.
        identity: What `identity` is to tell beside the array's size.
        reopens: Whether the stream can be read from its beginning again.
        closes: Whether the stream is to be closed in the end.

    Raises:
        InputError: If the stream brings no .npy array, or one whose rows are scattered.
    """

    def __init__(
        self,
        open_stream: Callable[[], BufferedIOBase],
        label: str,
        identity: dict[str, Any],
        *,
        reopens: bool = False,
        closes: bool = True,
    ) -> None:
        self._open = open_stream
        self.replayable = reopens
        self._closes = closes
        self.label = label
        self._stream = open_stream()
        try:
            self._header = read_npy_header(self._stream, label)
        except InputError:
            self.close()
            raise
        if self._header.fortran:
            self.close()
            raise InputError(
                f"{label}: expected rows one after another, received an array in column-major "
                "(Fortran) order",
                hint="save np.ascontiguousarray(array)",
            )
        self.rows: int = self._header.shape[0]
        self.shape = self._header.shape[1:]
        self.dtype = self._header.dtype.newbyteorder("=")
        size = self._header.length + self.rows * self._header.row_bytes
        self._identity = {"bytes": size, **identity}
        self._position = 0  # rows taken off the stream; the head holds the first of them
        self._head: npt.NDArray[Any] = self._take(0)

    def identity(self) -> dict[str, Any]:
        """Tell where the stream comes from."""
        return self._identity

    def peek(self, count: int) -> npt.NDArray[Any]:
        """Take the first rows off the stream, and keep them until `read` has given them."""
        more = min(count, self.rows) - len(self._head)
        if more > 0:
            if self._position > len(self._head):
                self._rewind()
            self._head = np.concatenate([self._head, self._take(more)])
        first: npt.NDArray[Any] = self._head[:count].copy()
        return first

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows start to stop as they come, passing over those before."""
        kept = self._head[start:stop]
        first = start + len(kept)
        if stop > first:
            if first < self._position:
                self._rewind()
            self._skip(first - self._position)
            rows = self._take(stop - first)
            if len(kept):
                rows = np.concatenate([kept, rows])
        else:
            rows = kept.copy()
        if stop >= len(self._head):
            self._head = self._head[:0].copy()
        return rows

    def close(self) -> None:
        """Close the stream, unless it belongs to someone else."""
        if self._closes:
            self._stream.close()

    def _take(self, count: int) -> npt.NDArray[Any]:
        try:
            rows = np.empty((count, *self.shape), self._header.dtype)
        except (MemoryError, ValueError):
            raise InputError(
                f"{self.label}: {count} rows of shape {self.shape} don't fit memory"
            ) from None
        rest = as_bytes(rows)
        missing = self._fill(rest)
        if missing:
            received = self._position + (len(rest) - missing) // self._header.row_bytes
            raise self._cut_short(received)
        self._position += count
        return to_native(rows)

    def _skip(self, count: int) -> None:
        left = count * self._header.row_bytes
        buffer = memoryview(bytearray(min(left, _SKIPPED_AT_ONCE)))
        while left:
            part = buffer[: min(left, len(buffer))]
            missing = self._fill(part)
            left -= len(part) - missing
            if missing:
                raise self._cut_short(self._position + count - -(-left // self._header.row_bytes))
        self._position += count

    def _fill(self, memory: memoryview) -> int:
        """Read until the memory is full or the stream ends; give the bytes still missing."""
        while memory:
            try:
                count = self._stream.readinto(memory)
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise InputError(f"{self.label}: can't be read: {error}") from None
            if count == 0:
                break
            memory = memory[count:]
        return len(memory)

    def _cut_short(self, received: int) -> InputError:
        return InputError(
            f"{self.label}: expected {self.rows} rows, received {received}: the stream ended early"
        )

    def _rewind(self) -> None:
        if not self.replayable:
            raise InputError(
                f"{self.label}: a stream can be read once, and its first samples have been read "
                "already",
                hint="save it as a file, and give that",
            )
        self._stream.close()
        self._stream = self._open()
        read_npy_header(self._stream, self.label)
        self._position = 0
        self._head = self._head[:0].copy()
