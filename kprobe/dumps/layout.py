"""The layout of a dump: a valid file with a place for every row."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kprobe.dumps.attributes import escape
from kprobe.dumps.contents import INDEX
from kprobe.dumps.create import create
from kprobe.dumps.files.disk import write_at
from kprobe.dumps.files.space import check_space, reserve
from kprobe.dumps.ragged_columns import make_room, too_long
from kprobe.errors import DumpError, Hint, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
    size = rows * (names.dtype.itemsize + INDEX.itemsize)
    size += sum(column.count_bytes(rows) for column in columns)
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
    return places.offsets


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
    if not contents.open_ended:
        for offset, content in identify(names, 0, len(names), offsets):
            write_at(file, offset, content)
    for column in contents.columns:
        if column.value is not None and (place := offsets[column.name]) is not None:
            write_at(file, place, _bytes_of(column.value))


def identify(
    names: EncodedNames, start: int, stop: int, offsets: Mapping[str, int | None]
) -> Iterator[tuple[int, memoryview]]:
    """Yield the numbers and names of rows, in pieces, since there may be 10^8 of them.

    Args:
        names: The names of all rows.
        start: The first row.
        stop: The row behind the last.
        offsets: The byte offset of each dataset.

    Yields:
        A byte offset in the file, and the bytes to be written there.

    Raises:
        DumpError: A name is longer than there is room for.
    """
    width = names.dtype.itemsize
    step = max(1, _NAME_BYTES // width)
    places = offsets["sample"], offsets["sample_name"]
    for first in range(start, stop, step):
        chosen = names[first : min(first + step, stop)]
        if chosen.dtype.itemsize > width:
            raise DumpError(
                f"expected names of samples of {width} bytes at most, received one of "
                f"{chosen.dtype.itemsize}"
            )
        numbers = np.arange(first, first + len(chosen), dtype=INDEX)
        for place, part in zip(places, (numbers, chosen.astype(names.dtype)), strict=True):
            assert place is not None  # noqa: S101 - there are rows
            yield place + first * part.itemsize, _bytes_of(part)


def _bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def encode(samples: SampleNames) -> EncodedNames:
    """Give the identities of rows in UTF-8 of a fixed width."""
    if hasattr(samples, "dtype"):
        return cast("EncodedNames", samples)
    encoded = [escape(text).encode() for text in samples]
    width = max(1, max(map(len, encoded), default=1))
    return np.array(encoded, dtype=f"S{width}")
