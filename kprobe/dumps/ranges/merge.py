"""Put the ranges of a directory together: one dump, as one process would have written it.

Bytes are moved, and values never decoded: of a range each column lies in one piece, and so it does
in the dump. Of columns whose rows differ in shape the places are shifted.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.create import COMMITTED, COMPLETE, TIME, find_offsets, list_attributes
from kprobe.dumps.files.disk import WriteBehind, write_at
from kprobe.dumps.layout import lay_out
from kprobe.dumps.partial import explained
from kprobe.dumps.ragged_columns import RaggedColumns
from kprobe.dumps.ranges.range_plan import compute_digest, read_plan
from kprobe.dumps.ranges.receipts import (
    ATTRIBUTE,
    describe_range,
    list_receipts,
    open_range,
)
from kprobe.dumps.writing.claim import claim
from kprobe.dumps.writing.resuming import compare_attributes, compare_column
from kprobe.errors import DumpError, Hint, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from kprobe.dumps.output import OutputSpec
    from kprobe.dumps.ranges.range_plan import RangePlan
    from kprobe.dumps.ranges.receipts import RangeReceipt
    from kprobe.dumps.reader import Dump

_NAMED = 5  # ranges in a message
_BLANK_BYTES = 4 << 20
_MISSING = b"its range is missing"


@dataclass(frozen=True)
class Merged:
    """What was put together.

    Attributes:
        output: The dump.
        rows: Its rows.
        left_out: How many of them have no values: they couldn't be read, or their ranges are
            missing.
        ranges: How many ranges it was made of.
        bytes: The size of the dump.
    """

    output: Path
    rows: int
    left_out: int
    ranges: int
    bytes: int


def merge_ranges(
    folder: Path,
    output: OutputSpec,
    *,
    allow_missing: bool = False,
    tell: Callable[[int, int], None] | None = None,
) -> Merged:
    """Put the ranges of a directory together.

    Args:
        folder: The directory.
        output: The dump to write.
        allow_missing: Whether ranges may be missing: their rows are 0, or NaN where the dtype has
            that, and `valid` says so.
        tell: Told after each range how many rows are done, and how many there are.

    Returns:
        What was done. The dump is equal to one that a single process writes, byte for byte but for
        its times, and the words of the command.

    Raises:
        DumpError: A range is missing, or its file isn't what its receipt says; or the dump can't
            be written.
    """
    plan = read_plan(folder)
    receipts, missing = list_receipts(folder, plan)
    if plan.ranges and not receipts:
        raise DumpError(f"{folder}: none of its {len(plan.ranges):,} ranges is there yet")
    if missing and not allow_missing:
        raise DumpError(
            f"{folder}: {len(missing):,} of {len(plan.ranges):,} ranges are missing: rows "
            + _name_rows(missing),
            hint=Hint("run them, or leave them out with ", Setting("allow_missing", True)),
        )
    with ExitStack() as stack:
        merging = _Merging(folder, plan, receipts, missing)
        claimed = claim(output)
        stack.callback(claimed.close)
        try:
            claimed.fill(lambda place: lay_out(place, merging.contents, shown=claimed.partial))
            with explained(claimed.partial):
                merging.write(claimed.file, claimed.partial, tell or _tell_nobody)
            claimed.publish()
        except BaseException:
            claimed.remove()
            raise
    left_out = sum(receipt.left_out for receipt in receipts) + sum(map(len, missing))
    return Merged(output.path, plan.rows, left_out, len(receipts), output.path.stat().st_size)


def _tell_nobody(_done: int, _total: int) -> None:
    pass


def _name_rows(missing: Sequence[range]) -> str:
    """Name rows, those of neighbouring ranges together."""
    together: list[range] = []
    for rows in missing:
        if together and together[-1].stop == rows.start:
            together[-1] = range(together[-1].start, rows.stop)
        else:
            together.append(rows)
    named = [f"{rows.start:,} to {rows.stop - 1:,}" for rows in together[:_NAMED]]
    more = len(together) - len(named)
    return ", ".join([*named, *([f"and {more:,} more"] if more else [])])


class _Names:
    """The names of all samples, read from the ranges when they are written."""

    def __init__(self, merging: _Merging) -> None:
        self._merging = merging
        self.dtype = np.dtype(f"S{merging.plan.name_bytes}")

    def __len__(self) -> int:
        return self._merging.plan.rows

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        names = np.zeros(stop - start, self.dtype)
        for receipt in self._merging.receipts:
            own = receipt.rows
            begin, end = max(own.start, start), min(own.stop, stop)
            if begin < end:
                with self._merging.open(receipt) as dump:
                    there = dump.file["sample_name"][begin - own.start : end - own.start]
                names[begin - start : end - start] = there
        return names


class _Merging:
    """The ranges, and what they make together."""

    def __init__(
        self,
        folder: Path,
        plan: RangePlan,
        receipts: Sequence[RangeReceipt],
        missing: Sequence[range],
    ) -> None:
        self._folder = folder
        self.plan = plan
        self.receipts = receipts
        self._missing = missing
        self._shared: dict[str, np.ndarray[Any, Any]] = {}
        if receipts:
            with self.open(receipts[0], check=False) as dump:
                self._shared = _read_shared(dump, plan)
        columns = [self._complete(column) for column in plan.columns]
        self._marks = bool(missing) and all(column.name != VALID.name for column in columns)
        if self._marks:
            columns += [VALID, REASON]
        self.contents = Contents(columns=columns, samples=_Names(self), attrs=plan.attrs)

    def open(self, receipt: RangeReceipt, *, check: bool = True) -> Dump:
        """Open the file of a range, which holds what the plan says.

        Raises:
            DumpError: It isn't there, or holds something else.
        """
        dump = open_range(self._folder, self.plan, receipt)
        try:
            told = {**self.plan.attrs, ATTRIBUTE: describe_range(self.plan, receipt.rows)}
            faults = compare_attributes(dump.attrs, list_attributes(told))
            faults += [
                f"{column.name}: {fault}"
                for column in self.plan.columns
                for fault in compare_column(dump.file, self._expect(column))
            ]
            if check and faults:
                raise DumpError(f"{dump.path}: expected what the plan says", *faults)
        except BaseException:
            dump.close()
            raise
        return dump

    def _expect(self, column: Column) -> Column:
        """Give a column as a range has it."""
        if column.by_sample:
            return replace(column, shape=column.shape[1:], by_sample=False)
        return replace(column, value=self._shared.get(column.name))

    def _complete(self, column: Column) -> Column:
        """Give a column with what is known of it before its rows are written."""
        if column.by_sample:
            value = np.zeros(column.shape, column.dtype)
            for receipt in self.receipts:
                with self.open(receipt) as dump:
                    value[receipt.rows.start : receipt.rows.stop] = dump.file[column.name][()]
            return replace(column, value=value)
        return replace(column, value=self._shared.get(column.name))

    def write(self, file: int, path: Path, tell: Callable[[int, int], None]) -> None:
        """Write all rows into a file that was laid out, and mark it as complete.

        Args:
            file: Its descriptor.
            path: Its path.
            tell: As for `merge_ranges`.
        """
        from kprobe.hdf5 import open_afresh

        disk = WriteBehind(file, os.fstat(file).st_size)
        with open_afresh(path) as target:
            places = find_offsets(target, self.contents.columns)
            ragged = RaggedColumns(self.contents.ragged.values(), file, target, 0)
        done, finished, started = 0, 0.0, []
        waiting = {rows.start: rows for rows in self._missing}
        given = {receipt.rows.start: receipt for receipt in self.receipts}
        for rows in self.plan.ranges:  # in order, since ragged rows are appended
            if rows.start in waiting:
                self._write_blank(file, places, ragged, rows)
            else:
                with self.open(given[rows.start]) as dump:
                    self._copy(disk, places, ragged, dump, rows)
                    started.append(dump.started)
                    finished = max(finished, dump.finished)
            done += len(rows)
            tell(done, self.plan.rows)
        ragged.move_together()
        facts: dict[str, np.ndarray[Any, Any]] = {
            "committed": np.array([self.plan.rows], COMMITTED),
            "started": np.array([min(started, default=0.0)], TIME),
            "finished": np.array([finished], TIME),
            "complete": np.array([1], COMPLETE),
        }
        os.fdatasync(file)
        for name, value in facts.items():
            write_at(file, places[name] or 0, value.data)
        os.fsync(file)

    def _copy(
        self,
        disk: WriteBehind,
        places: Mapping[str, int | None],
        ragged: RaggedColumns,
        dump: Dump,
        rows: range,
    ) -> None:
        with dump.path.open("rb") as source:
            for column in self.contents.even.values():
                place = places[column.name]
                if self._marks and column.name in (VALID.name, REASON.name):
                    if column.name == VALID.name and place is not None:
                        disk.write(place + rows.start, memoryview(b"\1" * len(rows)))
                    continue
                begin = dump.file[column.name].id.get_offset()
                if place is not None and begin is not None and column.row_bytes:
                    size = len(rows) * column.row_bytes
                    disk.copy(source.fileno(), begin, size, place + rows.start * column.row_bytes)
            ragged.append_stored(source.fileno(), dump.file, len(rows))

    def _write_blank(
        self, file: int, places: Mapping[str, int | None], ragged: RaggedColumns, rows: range
    ) -> None:
        for column in self.contents.even.values():
            place = places[column.name]
            if place is None or not column.row_bytes:
                continue
            value = _MISSING if column.name == REASON.name else _blank(column.dtype)
            step = max(1, _BLANK_BYTES // column.row_bytes)
            for start in range(rows.start, rows.stop, step):
                shape = (min(step, rows.stop - start), *column.shape)
                content = np.full(shape, value, column.dtype)
                write_at(file, place + start * column.row_bytes, _bytes_of(content))
        blank = {
            column.name: [
                np.zeros([max(size, 0) for size in column.shape], column.dtype) for _ in rows
            ]
            for column in self.contents.ragged.values()
        }
        ragged.append(blank)


def _read_shared(dump: Dump, plan: RangePlan) -> dict[str, np.ndarray[Any, Any]]:
    """Read what all samples share, of which a plan has the digest.

    Raises:
        DumpError: It is another value.
    """
    shared = {}
    for name, digest in plan.digests.items():
        value = dump.file[name][()] if name in dump.file else None
        if value is None or compute_digest(np.asarray(value)) != digest:
            raise DumpError(f"{dump.path}: {name}: expected the plan's value, received another")
        shared[name] = np.asarray(value)
    return shared


def _blank(dtype: np.dtype[Any]) -> Any:
    return np.nan if dtype.kind in "fc" else b"" if dtype.kind == "S" else 0


def _bytes_of(array: np.ndarray[Any, Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
