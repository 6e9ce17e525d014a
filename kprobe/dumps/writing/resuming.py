"""What is kept of an earlier run: whether it was of the same kind, and how many rows it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from kprobe.dumps.attributes import open_json, plain, stored_attribute
from kprobe.dumps.create import FORMAT_VERSION, list_attributes
from kprobe.dumps.layout import encode
from kprobe.dumps.partial import is_complete
from kprobe.errors import DumpError, Hint, Setting
from kprobe.hdf5 import OpenForWritingError, open_afresh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kprobe.dumps.attributes import Attribute
    from kprobe.dumps.contents import Column, Contents

# The command's own words, such as a path as it was written (what they led to is compared), how
# many batches are computed at a time, what follows from the model and the columns, which are
# compared and older dumps don't tell, and what was measured.
_NOT_COMPARED = ("job", "streams", "graph", "audit_ulps", "bfloat16_error")
# What wrote it: to be continued a dump needs the same, but one that is finished needs nothing.
_WRITERS = ("format_version", "kprobe_version", "tensorflow_version")
_SHOWN = 60  # characters of a value


def read_kept(path: Path, contents: Contents) -> int:
    """Read how many rows an unfinished dump of the same run holds.

    Raises:
        DumpError: It is of another run, or is finished and has another number of rows.
        OpenForWritingError: HDF5 has it open for writing in this process, and would write to it
            what it knows of it, when it is closed.
    """
    if found := find_differences(path, contents):
        raise another_run(path, found)
    with open_afresh(path) as file:
        if file.mode != "r":
            raise OpenForWritingError(path)
        if len(file["sample_name"]) != contents.rows:
            raise DumpError(f"{path}: is complete already", hint="run this again")
        return int(file["committed"][()])


def another_run(path: Path, differences: Sequence[str]) -> DumpError:
    """Return the error that says in what a dump differs from what would be written now."""
    return DumpError(
        f"{path}: is of another run, and can't be continued",
        *differences,
        hint=Hint(
            "give the same options to the same version of kprobe, or start anew with ",
            Setting("overwrite", True),
        ),
    )


def find_differences(path: Path, contents: Contents) -> list[str]:
    """Tell in what a dump differs from one that would be laid out now.

    What it holds isn't compared, but for what all samples share. Of a finished one, neither are
    the versions that wrote it, nor the number of rows, where nobody knew it before.

    Args:
        path: The dump, finished or not.
        contents: What it would hold.

    Returns:
        A line for each difference; none if the rows of both are the same.
    """
    samples, columns = encode(contents.samples), contents.columns
    finished = is_complete(path)
    with open_afresh(path) as file:
        before = {name: plain(value) for name, value in file.attrs.items()}
        version = before["format_version"]
        if version > FORMAT_VERSION or (version < FORMAT_VERSION and not finished):
            other = "an earlier" if version < FORMAT_VERSION else "a later"
            return [
                f"{other} version of kprobe wrote it, in format {version}, and can continue it; "
                f"this one writes format {FORMAT_VERSION}"
            ]
        found = compare_attributes(before, list_attributes(contents.attrs), finished=finished)
        names = file["sample_name" if version > 1 else "sample"]
        if len(names) != len(samples) and not (contents.open_ended and finished):
            found.append(f"{len(names):,} samples then, {len(samples):,} now")
        elif names.dtype.itemsize != samples.dtype.itemsize:
            found.append("the samples have other names")
        if not found:
            found += [f"{c.name}: {fault}" for c in columns for fault in compare_column(file, c)]
            # Rows of what isn't written any more would stay empty.
            known = {column.name for column in columns}
            found += [f"{n}: there then, not now" for n in _list_columns(file) if n not in known]
    return found


def compare_attributes(
    before: Mapping[str, Any], now: Mapping[str, Attribute], *, finished: bool = False
) -> list[str]:
    """Tell in what that is said of two files these differ, a line each.

    Args:
        before: What is said of a file, as it was read.
        now: What would be said of another one.
        finished: Whether the file is finished: the versions that wrote it don't matter then.
    """
    after = {name: plain(stored_attribute(value)) for name, value in now.items()}
    compared = []
    for attributes in (dict(before), after):
        for name in (*_NOT_COMPARED, *(_WRITERS if finished else ())):
            attributes.pop(name, None)
        if finished and "keras" in attributes:  # which one, and its version
            attributes["keras"] = attributes["keras"].partition(" ")[0]
        compared.append(attributes)
    return list(_compare("", *compared))


def _list_columns(file: Any) -> list[str]:
    return [name for name, thing in file.items() if {"addresses", "layout"} & set(thing.attrs)]


def compare_column(file: Any, column: Column) -> Iterator[str]:
    """Tell in what a column of a file differs from what would be written.

    Args:
        file: The open file.
        column: What would be written.
    """
    if column.name not in file:
        yield "isn't there"
        return
    thing = file[column.name]
    if isinstance(thing, h5py.Group) != column.ragged:
        yield "has rows of different shapes " + ("now" if column.ragged else "there")
        return
    values = thing["values"] if column.ragged else thing
    if not column.ragged:
        there, shape = thing.shape, column.shape
        there = there if column.value is not None else there[1:]
        if there != shape:
            yield f"shape {there} then, {shape} now"
    if values.dtype != column.dtype:
        yield f"{values.dtype} then, {column.dtype} now"
    elif column.value is not None and not np.array_equal(thing[()], column.value):
        yield "has other values"


def _compare(name: str, before: Any, now: Any) -> Iterator[str]:
    """Yield what differs between two values, as deep inside of them as it can be told."""
    before, now = open_json(before), open_json(now)
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            inner = f"{name}.{key}" if name else key
            yield from _compare(inner, before.get(key), now.get(key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from _compare(f"{name}[{number}]", *pair)
    elif before != now:
        yield f"{name}: {_show(before)} then, {_show(now)} now"


def _show(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
