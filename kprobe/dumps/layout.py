"""What a dump is to hold, and its layout: a valid file with a place for every row."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import numpy as np

from kprobe.dumps.create import create, escape
from kprobe.dumps.files.disk import write_at
from kprobe.dumps.files.space import check_space, reserve
from kprobe.dumps.ragged import INDEX, make_room
from kprobe.errors import DumpError, Hint, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# What HDF5 keeps about a dataset was measured at 4 to 5 kB, and aligning it can cost a page.
_OVERHEAD = 10_000
# The bytes of sample names in memory at a time.
_PIECE = 16 << 20

Attribute = str | int | float | bool | list[str]


class EncodedNames(Protocol):
    """The names of samples in UTF-8 of a fixed width: an array of shape (rows,), dtype `S`.

    Of the array's interface only this is used, so that names can be made when they are written.
    """

    @property
    def dtype(self) -> np.dtype[Any]:
        """`S` and the width in bytes."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray[Any, Any]:
        """Give some rows, as an array of shape (rows,)."""


Samples: TypeAlias = "Sequence[str] | EncodedNames"


@dataclass(frozen=True)
class Column:
    """One dataset of a dump: with a row for every sample, or the same for all samples.

    Attributes:
        name: Name of the dataset.
        shape: Shape of one sample, without the axis of samples; () for a number per sample.
            Of a column that is the same for all samples, its whole shape. A size of -1 differs
            from row to row: such a column is ragged, a group of several datasets.
        dtype: The dtype as stored: integers, floats, complex numbers, or `S` for UTF-8 text of
            a fixed number of bytes.
        attrs: What is known about the column. A column with the attribute `addresses`, a list
            of str, holds a tensor and is found by the reader under each of them.
        value: What it holds, if it is the same for all samples, such as a weight: C-contiguous,
            of `shape` and `dtype`. It is written when the file is laid out.
        by_sample: Whether `value` has a row for every sample all the same, such as their labels,
            so that the first axis of `shape` is that of samples.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    value: np.ndarray[Any, Any] | None = field(default=None, compare=False)
    by_sample: bool = False

    @property
    def ragged(self) -> bool:
        """Whether the rows differ in shape."""
        return -1 in self.shape

    @property
    def row_bytes(self) -> int:
        """The bytes of one row; 0 if that isn't known, or all samples have the same."""
        has_one_size = self.value is None and not self.ragged
        return prod(self.shape) * self.dtype.itemsize if has_one_size else 0

    def count_bytes(self, rows: int) -> int:
        """The bytes of the dataset for a number of samples, ragged values not among them."""
        if self.ragged:
            return (rows * (1 + len(self.shape)) + 1) * INDEX.itemsize
        return rows * self.row_bytes if self.value is None else self.value.nbytes


# Where samples that can't be read may be left out: whether each was read, and why it wasn't.
VALID = Column("valid", (), np.dtype(np.uint8), {"layout": "valid"})
REASON = Column("reason", (), np.dtype("S96"), {"layout": "reason"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What a dump is to hold.

    Attributes:
        columns: The datasets, in the order in which they will be listed; those with a `value` are
            there from the start, the others wait for their rows.
        samples: The identity of every row: str, or UTF-8 in an array of shape (rows,), dtype `S`,
            or what makes slices of such an array when asked. There are as many rows.
        attrs: Attributes of the file; `format` and `format_version` are added. Characters that
            UTF-8 doesn't have, as file names may, are written as escapes.
        open_ended: Whether there may be fewer rows than `samples` has in the end. Then the file
            is made of holes, and no row has a name yet.
    """

    columns: Sequence[Column]
    samples: Samples
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    open_ended: bool = False

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.samples)

    @cached_property
    def even(self) -> dict[str, Column]:
        """The columns that wait for rows of one shape, by name."""
        return {c.name: c for c in self.columns if c.value is None and not c.ragged}

    @cached_property
    def ragged(self) -> dict[str, Column]:
        """The columns that wait for rows that differ in shape, by name."""
        return {c.name: c for c in self.columns if c.value is None and c.ragged}


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
    return DumpError(
        f"{path}: samples that nobody has counted need a file of 4 TiB, nearly all of it holes, "
        "and the filesystem or the limit on the size of files (ulimit -f) doesn't allow it",
        hint=Hint("say with ", Setting("limit"), " how many there are at most"),
    )


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
    rows = max(1, _PIECE // width)
    for start in range(0, len(names), rows):
        _write(file, offset + start * width, np.ascontiguousarray(names[start : start + rows]))


def _write(file: int, offset: int, array: np.ndarray[Any, Any]) -> None:
    write_at(file, offset, array.reshape(-1).view(np.uint8).data)


def encode(samples: Samples) -> EncodedNames:
    """Give the identities of rows in UTF-8 of a fixed width."""
    if hasattr(samples, "dtype"):
        return cast("EncodedNames", samples)
    encoded = [escape(text).encode() for text in samples]
    width = max(1, max(map(len, encoded), default=1))
    return np.array(encoded, dtype=f"S{width}")
