"""The layout of a dump: a valid HDF5 file with a place for every row, before any is known."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np

from kprobe.dumps.dimensions import Dimensions
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

_PAGE = 4096
# What HDF5 keeps about a dataset was measured at 4 to 5 kB, and aligning it can cost a page.
_OVERHEAD = 10_000

Attribute = str | int | float | bool | list[str]
Samples: TypeAlias = "Sequence[str] | np.ndarray[Any, np.dtype[np.bytes_]]"


@dataclass(frozen=True)
class Column:
    """One dataset of a dump, with a row for every sample.

    Attributes:
        name: Name of the dataset.
        shape: Shape of one sample, without the axis of samples; () for a number per sample.
        dtype: The dtype as stored: integers, floats, complex numbers, or `S` for UTF-8 text of
            a fixed number of bytes.
        attrs: What is known about the column. A column with the attribute `addresses`, a list
            of str, holds a tensor and is found by the reader under each of them.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def row_bytes(self) -> int:
        """The bytes of one row."""
        return prod(self.shape) * self.dtype.itemsize


def lay_out(
    path: Path,
    columns: Sequence[Column],
    samples: Samples,
    attrs: Mapping[str, Attribute],
) -> dict[str, int | None]:
    """Create the file of a dump with room for all rows, and close it.

    Every dataset is contiguous, so that row i of a column is at its offset plus i times its
    `row_bytes`, and rows can be written there without HDF5. `committed` (int64: the number of
    rows that are sure), `complete` (uint8), `started` and `finished` (float64: seconds since
    1970) are scalar datasets.

    Args:
        path: The file. One that exists is overwritten.
        columns: The datasets, in the order in which they will be listed.
        samples: The identity of every row: str, or UTF-8 in an array of shape (rows,), dtype `S`.
        attrs: Attributes of the file; `format` and `format_version` are added.

    Returns:
        The byte offset of each dataset by name, None for those without a single byte.

    Raises:
        DumpError: A column's dtype can't be stored; or the disk has no room, and then an
            existing file is untouched if that could be seen before, and else none is left.
    """
    for column in columns:
        if column.dtype.kind not in "iufcS":
            raise DumpError(
                f"{column.name}: expected numbers, and {column.dtype} came, which can't be stored"
            )
    identities = _encode(samples)
    needed = identities.nbytes + sum(len(samples) * column.row_bytes for column in columns)
    check_space(path, needed + _OVERHEAD * (len(columns) + 5))
    try:
        offsets = _create(path, columns, identities, attrs)
        with path.open("r+b") as file:
            reserve(file.fileno(), path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return offsets


def _create(
    path: Path,
    columns: Sequence[Column],
    identities: np.ndarray[Any, Any],
    attrs: Mapping[str, Attribute],
) -> dict[str, int | None]:
    # The old file format fails at 4,086 datasets on one dimension scale. Locking is the
    # writer's business, who has the file open already.
    with h5py.File(
        path,
        "w",
        libver="latest",
        locking=False,
        track_order=True,
        alignment_threshold=_PAGE,
        alignment_interval=_PAGE,
    ) as file:
        _set_attributes(file, {"format": FORMAT, "format_version": FORMAT_VERSION, **attrs})
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
        sample = _create_dataset(file, "sample", identities.shape, identities.dtype)
        # By the file's own type: numpy's has no encoding, and HDF5 won't convert to UTF-8.
        sample.id.write(h5py.h5s.ALL, h5py.h5s.ALL, identities, sample.id.get_type())
        dimensions = Dimensions(file, sample)
        rows = len(identities)
        for column in columns:
            dataset = _create_dataset(file, column.name, (rows, *column.shape), column.dtype)
            _set_attributes(dataset, column.attrs)
            dimensions.label(dataset)
        dimensions.finish()
        names = [*late_facts, *(column.name for column in columns)]
        return {name: file[name].id.get_offset() for name in names}


def _create_dataset(file: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
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
    dataset = h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind, space, creation))
    if is_text:
        dataset.attrs["_Encoding"] = "utf-8"  # makes xarray read it as str
    return dataset


def _set_attributes(place: Any, attrs: Mapping[str, Attribute]) -> None:
    for name, value in attrs.items():
        if isinstance(value, list):
            place.attrs.create(name, value, shape=(len(value),), dtype=h5py.string_dtype())
        else:
            place.attrs[name] = value


def _encode(samples: Samples) -> np.ndarray[Any, Any]:
    if isinstance(samples, np.ndarray):
        return np.ascontiguousarray(samples)
    # File names may hold bytes that aren't UTF-8; these become readable escapes.
    encoded = [text.encode("utf-8", "backslashreplace") for text in samples]
    width = max(1, max(map(len, encoded), default=1))
    return np.array(encoded, dtype=f"S{width}")
