"""The head of a .npy array: what follows it, and how."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError

if TYPE_CHECKING:
    from io import BufferedIOBase, RawIOBase

MAGIC = b"\x93NUMPY"


@dataclass(frozen=True)
class NpyHeader:
    """What a .npy header says of the data after it.

    Attributes:
        shape: The shape, at least one axis; rows first.
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


def read_npy_header(stream: BufferedIOBase | RawIOBase, label: str) -> NpyHeader:
    """Read the header of a .npy array, leaving the stream at the first row.

    Nothing is ever unpickled.

    Args:
        stream: Open at the array's first byte; it needs `read` alone.
        label: What messages call the array.

    Raises:
        InputError: If that is no .npy array, or one without rows of plain values.
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
    except ValueError as error:
        received = f"something else ({error})" if counted.count else "nothing"
        raise InputError(f"{label}: expected a .npy array, received {received}") from None
    if dtype.hasobject:
        raise InputError(
            f"{label}: expected an array of plain values, received pickled objects, which are "
            "never loaded",
            hint="save it with a plain dtype, e.g. np.save(file, np.stack(list_of_arrays))",
        )
    check_plain(dtype, shape, label)
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
    if not shape:
        raise InputError(f"{label}: expected rows of samples, received a single value")


class _Counted:
    """A stream that counts what is read from it; a pipe can't tell its position."""

    def __init__(self, stream: BufferedIOBase | RawIOBase) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data
