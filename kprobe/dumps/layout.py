"""The layout of a dump: a valid HDF5 file with a place for every row, before any is known."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import h5py
import numpy as np

from kprobe.dumps.dimensions import Dimensions
from kprobe.dumps.disk import write_at
from kprobe.dumps.extend import find_header, lies_in_one_page
from kprobe.dumps.ragged import INDEX, inner_shape, make_room
from kprobe.dumps.space import check_space, reserve
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMAT = "kprobe dump"
FORMAT_VERSION = 1

# Facts known only while rows are written. They are datasets, because writing to an attribute
# would change HDF5's own structures, and a process killed then would leave a broken file.
COMMITTED = np.dtype(np.int64)
COMPLETE = np.dtype(np.uint8)
TIME = np.dtype(np.float64)

_LATE_FACTS = ("committed", "complete", "started", "finished")

_PAGE = 4096
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


def lay_out(
    path: Path,
    columns: Sequence[Column],
    samples: Samples,
    attrs: Mapping[str, Attribute],
    *,
    shown: Path | None = None,
    open_ended: bool = False,
) -> dict[str, int | None]:
    """Create the file of a dump with room for all rows, and close it.

    Every dataset is contiguous, so that row i of a column is at its offset plus i times its
    `row_bytes`, and rows can be written there without HDF5. What is the same for all samples is
    written here. `committed` (int64: the number of
    rows that are sure), `complete` (uint8), `started` and `finished` (float64: seconds since
    1970) are scalar datasets.

    Args:
        path: The file. One that exists is overwritten.
        columns: The datasets, in the order in which they will be listed.
        samples: The identity of every row: str, or UTF-8 in an array of shape (rows,), dtype `S`,
            or what makes slices of such an array when asked.
        attrs: Attributes of the file; `format` and `format_version` are added. Characters that
            UTF-8 doesn't have, as file names may, are written as escapes.
        shown: What messages call the file.
        open_ended: Whether there may be fewer rows than `samples` has in the end. Then the file
            is made of holes, and no row has a name yet.

    Returns:
        The byte offset of each dataset by name, None for those without a single byte, without
        those of ragged columns.

    Raises:
        DumpError: A column's dtype or a number among the attributes can't be stored; or the disk
            has no room, and then no file is left.
    """
    for column in columns:
        if column.dtype.kind not in "iufcS":
            raise DumpError(
                f"{column.name}: expected numbers, and {column.dtype} came, which can't be stored"
            )
    for facts in (attrs, *(column.attrs for column in columns)):
        _check_integers(facts)
    names = encode(samples)
    rows = len(names)
    size = rows * names.dtype.itemsize + sum(column.count_bytes(rows) for column in columns)
    if not open_ended:
        check_space(shown or path, size + _OVERHEAD * (len(columns) + 5))
    try:
        offsets, without_end = _create(path, columns, names, attrs)
        with path.open("r+b") as file:
            if not open_ended:
                reserve(file.fileno(), shown or path)
            make_room(file.fileno(), without_end)
            place = offsets.pop("sample")
            if place is not None and not open_ended:
                _write_names(file.fileno(), place, names)
            for column in columns:
                if column.value is not None and (place := offsets[column.name]) is not None:
                    _write(file.fileno(), place, column.value)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if open_ended and isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise DumpError(
                f"{shown or path}: samples that nobody has counted need a file of 4 TiB, nearly "
                "all of it holes, and the filesystem or the limit on the size of files (ulimit -f) "
                "doesn't allow it",
                hint="say with --limit how many there are at most",
            ) from error
        raise
    return offsets


def _create(
    path: Path,
    columns: Sequence[Column],
    samples: EncodedNames,
    attrs: Mapping[str, Attribute],
) -> tuple[dict[str, int | None], dict[int, int]]:
    """Create the file.

    Returns:
        The offset of each dataset by name; and of each open-ended one the header's offset and the
        bytes of one of its items.
    """
    with _create_file(path) as file:
        _set_attributes(file, describe(attrs))
        late_facts: dict[str, np.ndarray[Any, Any]] = {
            # The counter comes first in HDF5's first block of small data. A test holds that it
            # doesn't straddle two pages, so that writing it can't be cut in half.
            "committed": np.zeros((), COMMITTED),
            "complete": np.zeros((), COMPLETE),
            "started": np.array(time.time(), TIME),
            "finished": np.array(np.nan, TIME),
        }
        for name, value in late_facts.items():
            dataset = _create_dataset(file, name, (), value.dtype)
            dataset[()] = value
            if value.dtype == TIME:
                dataset.attrs["units"] = "seconds since 1970-01-01"
        rows = len(samples)
        sample = _create_dataset(file, "sample", (rows,), samples.dtype)
        dimensions = Dimensions(file, sample)
        for column in columns:
            if column.ragged:
                _create_ragged(file, column, rows)
                continue
            shape = (rows, *column.shape) if column.value is None else column.shape
            by_sample = column.value is None or column.by_sample
            dataset = _create_dataset(file, column.name, shape, column.dtype)
            _set_attributes(dataset, column.attrs)
            dimensions.label(dataset, by_sample=by_sample)
        dimensions.finish()
        ragged = [column.name for column in columns if column.ragged]
        return find_offsets(file, columns), {
            find_header(values): prod(values.shape[1:]) * values.dtype.itemsize
            for values in (file[name]["values"] for name in ragged)
        }


def _create_file(path: Path) -> Any:
    """Create an HDF5 file that depends on what is put there alone, and not on the time."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    # The old file format fails at 4,086 datasets on one dimension scale.
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    access.set_alignment(_PAGE, _PAGE)
    # The writer has locked the file already.
    access.set_file_locking(False, True)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    order = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
    creation.set_link_creation_order(order)
    creation.set_attr_creation_order(order)
    creation.set_obj_track_times(False)
    flags = h5py.h5f.ACC_TRUNC
    return h5py.File(h5py.h5f.create(os.fsencode(path), flags, fcpl=creation, fapl=access))


def find_offsets(file: Any, columns: Sequence[Column]) -> dict[str, int | None]:
    """Give the byte offsets of the datasets of a dump, those of ragged columns excepted.

    Args:
        file: The dump, open in h5py.
        columns: Its columns.
    """
    names = [*_LATE_FACTS, "sample", *(column.name for column in columns if not column.ragged)]
    return {name: file[name].id.get_offset() for name in names}


def _create_ragged(file: Any, column: Column, rows: int) -> None:
    untimed = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    untimed.set_obj_track_times(False)
    group = h5py.Group(h5py.h5g.create(file.id, column.name.encode(), gcpl=untimed))
    _set_attributes(group, {**column.attrs, "layout": "ragged"})
    # Never written to, offsets are 0, and the first one stays so.
    _create_dataset(group, "offsets", (rows + 1,), INDEX)
    _create_dataset(group, "shapes", (rows, len(column.shape)), INDEX)
    shape = (0, *inner_shape(column.shape))
    unfit = []
    while not lies_in_one_page(values := _create_dataset(group, None, shape, column.dtype)):
        unfit.append(values)  # kept until there is a better one, or its place would be taken again
    h5py.h5o.link(values.id, group.id, b"values")


def _create_dataset(
    file: Any, name: str | None, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Any:
    """Create a dataset, without a link to it where it has no name."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    creation.set_obj_track_times(False)
    is_text = dtype.kind == "S"
    if is_text:
        dtype = h5py.string_dtype("utf-8", dtype.itemsize)
    kind = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    link = None if name is None else name.encode()
    dataset = h5py.Dataset(h5py.h5d.create(file.id, link, kind, space, creation))
    if is_text:
        dataset.attrs["_Encoding"] = "utf-8"  # makes xarray read it as str
    return dataset


def describe(attrs: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Give the attributes of a whole dump: those given, and the format's."""
    return {"format": FORMAT, "format_version": FORMAT_VERSION, **attrs}


def stored_attribute(value: Attribute) -> Attribute:
    """Give an attribute as it is stored and read again."""
    if isinstance(value, list):
        return [_escape(text) for text in value]
    return _escape(value) if isinstance(value, str) else value


def _set_attributes(place: Any, attrs: Mapping[str, Attribute]) -> None:
    for name, attribute in attrs.items():
        value = stored_attribute(attribute)
        if isinstance(value, list):
            place.attrs.create(name, value, shape=(len(value),), dtype=h5py.string_dtype())
        else:
            place.attrs[name] = value


def _escape(text: str) -> str:
    """Write what HDF5 can't hold as escapes: the bytes of file names that aren't UTF-8, and NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _check_integers(attrs: Mapping[str, Attribute]) -> None:
    for name, value in attrs.items():
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise DumpError(f"{name}: expected an integer of 64 bits, and {value} came")


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
    encoded = [_escape(text).encode() for text in samples]
    width = max(1, max(map(len, encoded), default=1))
    return np.array(encoded, dtype=f"S{width}")
