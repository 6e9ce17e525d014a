"""The head of a .npy array: what follows it, and how."""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError

if TYPE_CHECKING:
    from io import BufferedIOBase, RawIOBase

MAGIC = b"\x93NUMPY"
_MOST_AXES = 32
_MOST_EMPTY = 1 << 20
_SHOWN = 80  # characters of what a header says


@dataclass(frozen=True)
class NpyHeader:
    """What a .npy header says of the data after it.

    Attributes:
        shape: The shape, rows first; none for a single value.
        dtype: The dtype as stored, in any byte order.
        fortran: Whether the data is in column-major order, so that rows aren't contiguous.
        length: The size of the header, in bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    length: int

    @property
    def row_bytes(self) -> int:
        """The size of one row in the file, in bytes."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def read_npy_header(
    stream: BufferedIOBase | RawIOBase, label: str, *, scalar: bool = False
) -> NpyHeader:
    """Read the header of a .npy array, leaving the stream at the first row.

    Nothing is ever unpickled.

    Args:
        stream: Open at the array's first byte; it needs `read` alone.
        label: What messages call the array.
        scalar: Whether it may be a single value.

    Raises:
        InputError: If that is no .npy array, or one without rows of plain values.
        OSError, zipfile.BadZipFile, zlib.error: It can't be read.
    """
    counted = _Counted(stream)
    try:
        version = np.lib.format.read_magic(counted)
        # Versions 2 and 3 differ only in the encoding of the names of structured fields.
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        with warnings.catch_warnings():  # a header written by Python 2 warns, and reads well
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(counted)
    except (OSError, zipfile.BadZipFile, zlib.error):
        raise
    # A header is Python's text of a dict, which numpy reads without running it: what it and its
    # parser say of other texts has no common class.
    except Exception as error:
        received = f"something else ({_shorten(error)})" if counted.count else "nothing"
        raise InputError(f"{label}: expected a .npy array, received {received}") from None
    if len(shape) > _MOST_AXES or any(type(size) is not int or size < 0 for size in shape):
        raise InputError(
            f"{label}: expected a .npy array, received one of the shape {str(shape)[:_SHOWN]}"
        )
    if dtype.hasobject:
        raise InputError(
            f"{label}: expected an array of plain values, received pickled objects, which are "
            "never loaded",
            hint="save it with a plain dtype, e.g. np.save(file, np.stack(list_of_arrays))",
        )
    check_plain(dtype, None if scalar and not shape else shape, label)
    return NpyHeader(shape, dtype, fortran, counted.count)


def check_plain(dtype: np.dtype[Any], shape: tuple[int, ...] | None, label: str) -> None:
    """Check that an array has rows, and plain values in them.

    Raises:
        InputError: If it is a scalar, or structured, or of a dtype no model takes.
    """
    if dtype.names is not None or dtype.subdtype is not None:
        raise InputError(
            f"{label}: expected an array of plain values, received records of {dtype}",
            hint="save each field as an array of its own",
        )
    if dtype.kind == "V":
        raise InputError(
            f"{label}: expected an array of numbers or strings, received raw bytes ({dtype})",
            hint="numpy can't save bfloat16 and its like: convert to float32 first",
        )
    if dtype.kind not in "biufcSUO" or (dtype.itemsize > 8 and dtype.kind == "f"):
        raise InputError(f"{label}: expected numbers or strings, received {dtype}")
    if shape is not None and not shape:
        raise InputError(f"{label}: expected rows of samples, received a single value")


def check_size(header: NpyHeader, present: int, label: str) -> None:
    """Check that as much follows a header as it says.

    Args:
        header: The header.
        present: How many bytes follow it.
        label: What messages call the array.

    Raises:
        InputError: More or less does, or nothing for a large number of rows.
    """
    rows, row_bytes = header.shape[0], header.row_bytes
    if present < rows * row_bytes:
        raise InputError(
            f"{label}: expected {rows} rows, received {present // row_bytes}: the file is cut short"
        )
    if present > rows * row_bytes:
        raise InputError(
            f"{label}: expected {rows * row_bytes:,} bytes of rows, as its header says, received "
            f"{present:,}",
            hint="save each array to a file of its own",
        )
    if not row_bytes and rows > _MOST_EMPTY:
        raise InputError(f"{label}: expected values in its rows, received {rows:,} empty ones")


def _shorten(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:_SHOWN]


class _Counted:
    """A stream that counts what is read from it; a pipe can't tell its position."""

    def __init__(self, stream: BufferedIOBase | RawIOBase) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data
