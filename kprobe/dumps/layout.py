"""The layout of a dump: a valid file with a place for every row."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kprobe.dumps.attributes import escape
from kprobe.dumps.create import create
from kprobe.dumps.files.disk import write_at
from kprobe.dumps.files.space import check_space, reserve
from kprobe.dumps.ragged_columns import make_room, too_long
from kprobe.errors import DumpError, Hint, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kprobe.dumps.contents import Contents, EncodedNames, SampleNames

# What HDF5 keeps about a dataset was measured at 4 to 5 kB, and aligning it can cost a page.
_OVERHEAD = 10_000
# The bytes of sample names in memory at a time.
_NAME_BYTES = 16 << 20


def lay_out(path: Path, contents: Contents, *, shown: Path | None = None) -> dict[str, int | None]:
    """Create the file of a dump with room for all rows, and close it.

    Every dataset is contiguous, so that row i of a column is at its offset plus i times its
    `row_bytes`, and rows can be written there without HDF5. What is the same for all samples is
    written here. `committed` (int64: the number of rows that are sure), `complete` (uint8),
    `started` and `finished` (float64: seconds since 1970) are scalar datasets.

    Args:
        path: The file. One that exists is overwritten.
        contents: What it is to hold.
        shown: What messages call the file.

    Returns:
        The byte offset of each dataset by name, None for those without a single byte, without
        those of ragged columns.

    Raises:
        DumpError: A column's dtype or a number among the attributes can't be stored; or the disk
            has no room, and then no file is left.
    """
    _check(contents)
    names = encode(contents.samples)
    columns, rows = contents.columns, contents.rows
    size = rows * names.dtype.itemsize + sum(column.count_bytes(rows) for column in columns)
    if not contents.open_ended:
        check_space(shown or path, size + _OVERHEAD * (len(columns) + 5))
    try:
        places = create(path, contents, names.dtype.itemsize)
        with path.open("r+b") as file:
            if not contents.open_ended:
                reserve(file.fileno(), shown or path)
            make_room(file.fileno(), places.without_end)
            _write_values(file.fileno(), places.offsets, contents, names)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if contents.open_ended and isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise _too_long(shown or path) from error
        raise
    return {name: offset for name, offset in places.offsets.items() if name != "sample"}


def _check(contents: Contents) -> None:
    """Check that a dump can hold such columns and attributes.

    Raises:
        DumpError: It can't.
    """
    for column in contents.columns:
        if column.dtype.kind not in "iufcS":
            raise DumpError(
                f"{column.name}: expected numbers, received {column.dtype}, which can't be stored"
            )
    for attrs in (contents.attrs, *(column.attrs for column in contents.columns)):
        for name, value in attrs.items():
            if isinstance(value, int) and not -(2**63) <= value < 2**64:
                raise DumpError(f"{name}: expected an integer of 64 bits, received {value}")


def _too_long(path: Path) -> DumpError:
    hint = Hint("say with ", Setting("limit"), " how many there are at most")
    return too_long(f"{path}: samples that nobody has counted", hint)


def _write_values(
    file: int, offsets: Mapping[str, int | None], contents: Contents, names: EncodedNames
) -> None:
    """Write what is known before any row is: the names of samples, and what all of them share."""
    place = offsets["sample"]
    if place is not None and not contents.open_ended:
        _write_names(file, place, names)
    for column in contents.columns:
        if column.value is not None and (place := offsets[column.name]) is not None:
            _write(file, place, column.value)


def _write_names(file: int, offset: int, names: EncodedNames) -> None:
    """Write the names of samples to their place, in pieces, since there may be 10^8 of them."""
    width = names.dtype.itemsize
    rows = max(1, _NAME_BYTES // width)
    for start in range(0, len(names), rows):
        _write(file, offset + start * width, np.ascontiguousarray(names[start : start + rows]))


def _write(file: int, offset: int, array: np.ndarray[Any, Any]) -> None:
    write_at(file, offset, array.reshape(-1).view(np.uint8).data)


def encode(samples: SampleNames) -> EncodedNames:
    """Give the identities of rows in UTF-8 of a fixed width."""
    if hasattr(samples, "dtype"):
        return cast("EncodedNames", samples)
    encoded = [escape(text).encode() for text in samples]
    width = max(1, max(map(len, encoded), default=1))
    return np.array(encoded, dtype=f"S{width}")
