"""The plan of a dump in ranges: what all of them are of, and where each begins and ends."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.attributes import stored_attribute
from kprobe.dumps.contents import Column
from kprobe.dumps.create import list_attributes
from kprobe.dumps.layout import encode
from kprobe.dumps.ranges.publish import publish_once
from kprobe.dumps.ranges.records import DamagedError, read_record, take, write_record
from kprobe.dumps.writing.resuming import compare_attributes
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kprobe.dumps.attributes import Attribute
    from kprobe.dumps.contents import Contents

NAME = "plan.json"
_FORMAT, _VERSION = "kprobe plan", 1
_MOST_ROWS = 1 << 48
_DTYPE = re.compile(r"[<>|](?:[iu][1248]|f[248]|c(?:8|16)|S[1-9][0-9]{0,5})")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, eq=False)
class RangePlan:
    """What a dump in ranges is to hold, whoever writes which of them.

    Attributes:
        attrs: The root attributes of the whole dump.
        columns: Its datasets; what all samples share isn't in `value`, but in each range.
        digests: By name, of the columns that all samples share, the SHA-256 of their bytes.
        rows: How many rows there are.
        name_bytes: The bytes of a sample's name.
        range_rows: How many rows a range has, the last one perhaps fewer: whole batches.
    """

    attrs: Mapping[str, Attribute]
    columns: Sequence[Column]
    digests: Mapping[str, str]
    rows: int
    name_bytes: int
    range_rows: int

    @cached_property
    def ranges(self) -> list[range]:
        """The rows of each range, in order."""
        starts = range(0, self.rows, self.range_rows)
        return [range(start, min(start + self.range_rows, self.rows)) for start in starts]

    @cached_property
    def id(self) -> str:
        """The SHA-256 of all of it: ranges of other plans have another one."""
        return hashlib.sha256(write_record(self._describe())).hexdigest()

    def to_json(self) -> bytes:
        """Write it down."""
        return write_record({**self._describe(), "id": self.id})

    def _describe(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "format_version": _VERSION,
            "attrs": {name: stored_attribute(value) for name, value in self.attrs.items()},
            "columns": self.describe_columns(),
            "rows": self.rows,
            "name_bytes": self.name_bytes,
            "range_rows": self.range_rows,
        }

    def describe_columns(self) -> list[dict[str, Any]]:
        """Give what is written down of each column."""
        return [
            {
                "name": column.name,
                "shape": list(column.shape),
                "dtype": column.dtype.str,
                "attrs": {name: stored_attribute(value) for name, value in column.attrs.items()},
                "axes": list(column.axes),
                "by_sample": column.by_sample,
                "sha256": self.digests.get(column.name),
            }
            for column in self.columns
        ]

    def find_differences(self, other: RangePlan) -> list[str]:
        """Tell in what another plan of as many ranges differs, a line each."""
        found = compare_attributes(list_attributes(self.attrs), list_attributes(other.attrs))
        if self.rows != other.rows:
            found.append(f"{self.rows:,} samples then, {other.rows:,} now")
        elif self.name_bytes != other.name_bytes:
            found.append("the samples have other names")
        ours, theirs = (
            {described["name"]: described for described in plan.describe_columns()}
            for plan in (self, other)
        )
        for name in dict.fromkeys([*ours, *theirs]):
            if name not in theirs or name not in ours:
                found.append(f"{name}: " + ("not there now" if name in ours else "not there then"))
            elif _as_compared(ours[name]) != _as_compared(theirs[name]):
                found.append(f"{name}: has another shape, dtype or value")
        return found


def _as_compared(described: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in described.items() if name != "attrs"}


def plan_ranges(contents: Contents, range_rows: int) -> RangePlan:
    """Make the plan of a dump.

    Args:
        contents: What the whole dump is to hold.
        range_rows: How many rows each range is to have: whole batches.
    """
    shared = {c.name: c.value for c in contents.columns if c.value is not None and not c.by_sample}
    return RangePlan(
        attrs=dict(contents.attrs),
        columns=contents.columns,
        digests={name: compute_digest(value) for name, value in shared.items()},
        rows=contents.rows,
        name_bytes=encode(contents.samples).dtype.itemsize,
        range_rows=range_rows,
    )


def compute_digest(value: np.ndarray[Any, Any]) -> str:
    """Compute the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data).hexdigest()


def agree_on_plan(folder: Path, plan: RangePlan) -> RangePlan:
    """Publish a plan, or take the one that is there, of which this is to be a part.

    Args:
        folder: The directory, which is there.
        plan: What this process would write.

    Returns:
        The plan of the directory. Its ranges may be others than those of `plan`.

    Raises:
        DumpError: The one that is there is of another run, or damaged; or it can't be written.
    """
    try:
        if publish_once(folder / NAME, plan.to_json()):
            return plan
    except OSError as error:
        raise DumpError(f"{folder}: can't be written to: {error.strerror or error}") from error
    there = read_plan(folder)
    if found := there.find_differences(plan):
        raise DumpError(
            f"{folder}: its ranges are of another run, and this one can't be among them",
            *found,
            hint="give the same options to the same version of kprobe, or write to another folder",
        )
    return there


def read_plan(folder: Path) -> RangePlan:
    """Read the plan of a directory of ranges.

    Raises:
        DumpError: There is none, or it isn't as kprobe writes it.
    """
    path = folder / NAME
    try:
        values = read_record(path)
    except (FileNotFoundError, NotADirectoryError):
        received = f"one without a {NAME}" if folder.is_dir() else "a file"
        if not folder.exists():
            received = "a path where there is nothing"
        raise DumpError(f"{folder}: expected a directory of ranges, received {received}") from None
    except OSError as error:
        raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error
    try:
        return _read(values)
    except (DamagedError, ValueError) as error:
        raise DumpError(f"{path}: expected a plan of kprobe, received one where {error}") from None


def _read(values: Mapping[str, Any]) -> RangePlan:
    take(values, "format", str, lambda text: text == _FORMAT)
    version = take(values, "format_version", int, lambda number: number >= 1)
    if version > _VERSION:
        raise DamagedError(f"the format is {version}, of a newer version of kprobe")
    described = take(values, "columns", list, lambda found: all(type(c) is dict for c in found))
    columns = [_read_column(each) for each in described]
    if len({column.name for column in columns}) != len(columns):
        raise DamagedError("a column is there twice")
    plan = RangePlan(
        attrs=_read_attributes(values),
        columns=columns,
        digests={each["name"]: each["sha256"] for each in described if each["sha256"] is not None},
        rows=take(values, "rows", int, lambda number: 0 <= number <= _MOST_ROWS),
        name_bytes=take(values, "name_bytes", int, lambda number: 0 < number <= 1 << 16),
        range_rows=take(values, "range_rows", int, lambda number: 0 < number <= _MOST_ROWS),
    )
    if take(values, "id", str, lambda text: bool(_DIGEST.fullmatch(text))) != plan.id:
        raise DamagedError("the id is of another plan")
    return plan


def _read_column(values: Mapping[str, Any]) -> Column:
    shape = take(values, "shape", list, lambda sizes: all(type(s) is int for s in sizes))
    if any(not -1 <= size <= _MOST_ROWS for size in shape) or len(shape) > 31:
        raise DamagedError(f"the shape is {shape}")
    axes = take(values, "axes", list, lambda names: all(n is None or type(n) is str for n in names))
    digest = values.get("sha256")
    if digest is not None:
        take(values, "sha256", str, lambda text: bool(_DIGEST.fullmatch(text)))
    name = take(values, "name", str, lambda text: bool(text) and "/" not in text)
    return Column(
        name,
        tuple(shape),
        np.dtype(take(values, "dtype", str, lambda text: bool(_DTYPE.fullmatch(text)))),
        _read_attributes(values),
        by_sample=take(values, "by_sample", bool, lambda _: True),
        axes=tuple(axes),
    )


def _read_attributes(values: Mapping[str, Any]) -> dict[str, Attribute]:
    found = take(values, "attrs", dict, lambda _: True)
    for name, value in found.items():
        texts = type(value) is list and all(type(each) is str for each in value)
        if not texts and type(value) not in (str, int, float, bool):
            raise DamagedError(f"the attribute {name!r:.60} is {value!r:.60}")
    attributes: dict[str, Attribute] = found
    return attributes
