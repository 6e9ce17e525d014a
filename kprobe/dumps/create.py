"""Create the HDF5 file of a dump: its datasets, what is said of them, and nothing by chance."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from kprobe.dumps.attributes import set_attributes
from kprobe.dumps.contents import INDEX
from kprobe.dumps.dimensions import Dimensions, pair_axes
from kprobe.dumps.files.extend import PAGE, find_header, lies_in_one_page
from kprobe.dumps.ragged_columns import inner_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kprobe.dumps.attributes import Attribute
    from kprobe.dumps.contents import Column, Contents
    from kprobe.dumps.dimensions import Axis

FORMAT = "kprobe dump"
FORMAT_VERSION = 2

# Facts known only while rows are written. They are datasets, because writing to an attribute
# would change HDF5's own structures, and a process killed then would leave a broken file.
COMMITTED = np.dtype(np.int64)
COMPLETE = np.dtype(np.uint8)
TIME = np.dtype(np.float64)

_LATE_FACTS = ("committed", "complete", "started", "finished")


@dataclass(frozen=True)
class Places:
    """Where in a file the bytes of its datasets are.

    Attributes:
        offsets: The byte offset of each dataset by name, None for those without a single byte;
            without those of ragged columns.
        without_end: Of the values of each ragged column, the byte offset of the dataset's header
            and the bytes of one of its items.
    """

    offsets: dict[str, int | None]
    without_end: dict[int, int]


def create(path: Path, contents: Contents, width: int) -> Places:
    """Create the file of a dump, with room for what it is to hold, and close it.

    Args:
        path: The file. One that exists is overwritten.
        contents: What it is to hold.
        width: How many bytes the name of a sample has.
    """
    rows, columns = contents.rows, contents.columns
    with _create_file(path) as file:
        set_attributes(file, list_attributes(contents.attrs))
        _create_late_facts(file)
        sample = _create_dataset(file, "sample", (rows,), INDEX)
        dimensions = Dimensions(file, sample, _find_axes(columns))
        names = _create_dataset(file, "sample_name", (rows,), np.dtype(f"S{width}"))
        dimensions.label(names, "sample_name", by_sample=True)
        for column in columns:
            if column.ragged:
                _create_ragged(file, column, rows)
                continue
            shape = (rows, *column.shape) if column.value is None else column.shape
            by_sample = column.value is None or column.by_sample
            dataset = _create_dataset(file, column.name, shape, column.dtype)
            set_attributes(dataset, column.attrs)
            if by_sample:
                # The names of rows are no scale, since netCDF's tools crash over scales of text.
                dataset.attrs["coordinates"] = "sample_name"
            dimensions.label(dataset, column.name, by_sample=by_sample)
        dimensions.finish()
        without_end = {
            find_header(values): prod(values.shape[1:]) * values.dtype.itemsize
            for values in (file[column.name]["values"] for column in columns if column.ragged)
        }
        return Places(find_offsets(file, columns), without_end)


def _find_axes(columns: Sequence[Column]) -> dict[str, list[Axis]]:
    """Give the axes of each column, that of samples excepted; none of those that are ragged."""
    shapes = {c.name: c.shape[1:] if c.by_sample else c.shape for c in columns}
    return {c.name: [] if c.ragged else pair_axes(c.axes, shapes[c.name]) for c in columns}


def _create_late_facts(file: Any) -> None:
    facts: dict[str, np.ndarray[Any, Any]] = {
        # The counter comes first in HDF5's first block of small data. A test holds that it
        # doesn't straddle two pages, so that writing it can't be cut in half.
        "committed": np.zeros((), COMMITTED),
        "complete": np.zeros((), COMPLETE),
        "started": np.array(time.time(), TIME),
        "finished": np.array(np.nan, TIME),
    }
    for name, value in facts.items():
        dataset = _create_dataset(file, name, (), value.dtype)
        dataset[()] = value
        if value.dtype == TIME:
            dataset.attrs["units"] = "seconds since 1970-01-01"


def _create_file(path: Path) -> Any:
    """Create an HDF5 file that depends on what is put there alone, and not on the time."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    # What HDF5 1.8 reads: the tools of distributions crash over newer files. Files in the oldest
    # format fail at 4,086 datasets on one dimension scale.
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
    access.set_alignment(PAGE, PAGE)
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
    names = [
        *_LATE_FACTS,
        "sample",
        "sample_name",
        *(column.name for column in columns if not column.ragged),
    ]
    return {name: file[name].id.get_offset() for name in names}


def _create_ragged(file: Any, column: Column, rows: int) -> None:
    untimed = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    untimed.set_obj_track_times(False)
    group = h5py.Group(h5py.h5g.create(file.id, column.name.encode(), gcpl=untimed))
    axes = {"axes": [name or "" for name in column.axes]} if any(column.axes) else {}
    set_attributes(group, {**column.attrs, **axes, "layout": "ragged"})
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
    kind = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    link = None if name is None else name.encode()
    dataset = h5py.Dataset(h5py.h5d.create(file.id, link, kind, space, creation))
    if dtype.kind == "S":
        # HDF5 has it marked as ASCII: what is marked as UTF-8, R's and netCDF's tools don't read.
        dataset.attrs["_Encoding"] = "utf-8"  # makes xarray read it as str
    return dataset


def list_attributes(attrs: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Give the attributes of a whole dump: those given, and the format's."""
    return {"format": FORMAT, "format_version": FORMAT_VERSION, **attrs}
