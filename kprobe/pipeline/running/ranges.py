"""Run a part of a plan, range by range, into a directory that other processes write to, too."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kprobe.dumps.contents import Contents
from kprobe.dumps.ranges.folder import make_folder
from kprobe.dumps.ranges.range_plan import agree_on_plan, plan_ranges
from kprobe.dumps.ranges.receipts import (
    ATTRIBUTE,
    choose_file,
    describe_range,
    list_receipts,
    publish_range,
)
from kprobe.errors import DumpError, StoppedError
from kprobe.pipeline.planning.size import check_size
from kprobe.pipeline.running.run import run_range
from kprobe.pipeline.running.sink import DumpSink
from kprobe.stopping import deferring_stops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kprobe.dumps.ranges.range_plan import RangePlan
    from kprobe.dumps.ranges.receipts import RangeReceipt
    from kprobe.dumps.shard import Shard
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.progress import Progress

# A killed process loses a range at most: a part of a shard has so many, but for tiny ones.
_RANGES = 16
_LEAST_BYTES, _MOST_BYTES = 64 << 20, 4 << 30


@dataclass(frozen=True, kw_only=True)
class ShardReceipt:
    """What a run of a shard did.

    Attributes:
        output: The directory of ranges.
        shard: Which part it was.
        rows: The samples of the part.
        left_out: How many of them couldn't be read, and have no values.
        resumed: How many of them were there before.
        ranges: How many ranges the part has.
        missing: How many samples of the whole dump aren't there yet.
        written: Bytes of files written.
        seconds: Wall time.
        overflows: How many values of what was written became infinite in the dtype that they are
            stored as, by the address of their tensor; only where there are any.
    """

    output: Path
    shard: str
    rows: int
    left_out: int
    resumed: int
    ranges: int
    missing: int
    written: int
    seconds: float
    overflows: Mapping[str, int]


def run_shard(plan: Plan, progress: Callable[[Progress], None] | None = None) -> ShardReceipt:
    """Run the ranges of a part that aren't there yet, and publish each when it is whole.

    Args:
        plan: The plan of the whole dump, whose output is the directory, and says which part.
        progress: As for `run`, range by range.

    Raises:
        InputError: A sample can't be read.
        AddressError: A tensor turns out to have no row for each sample.
        DumpError: The samples can't be run in parts, what is there is of another run, or the
            directory can't be written.
        StoppedError: By Ctrl-C, or at the time limit.
    """
    output = plan.job.output
    if output is None or output.shard is None:
        raise ValueError("the job has no output in parts")
    shard, began = output.shard, time.perf_counter()
    engine = plan.computation.engine
    before = engine.overflows
    agreed = _agree(plan, output.path, shard)
    own = shard.choose(agreed.ranges)
    there = {receipt.rows: receipt for receipt in list_receipts(output.path, agreed)[0]}
    done = {rows: there[rows] for rows in own if rows in there}
    resumed, written = sum(map(len, done)), 0
    for rows in own:
        if rows in done:
            continue
        left = None
        if output.stop_after is not None:
            left = output.stop_after - (time.perf_counter() - began)
            if left <= 0:
                raise _stop(output.path, "the time limit is reached", own, done)
        try:
            done[rows] = _run_range(plan, agreed, rows, progress, left)
        except (KeyboardInterrupt, StoppedError) as stopped:
            reason = stopped.faults[0] if isinstance(stopped, StoppedError) else "stopped"
            raise _stop(output.path, reason, own, done) from None
        written += done[rows].bytes
    missing = list_receipts(output.path, agreed)[1]
    return ShardReceipt(
        output=output.path,
        shard=str(shard),
        rows=sum(map(len, own)),
        left_out=sum(receipt.left_out for receipt in done.values()),
        resumed=resumed,
        ranges=len(own),
        missing=sum(map(len, missing)),
        written=written,
        seconds=time.perf_counter() - began,
        overflows=engine.tell_overflows(before),
    )


def _agree(plan: Plan, folder: Path, shard: Shard) -> RangePlan:
    """Make the directory, and agree with all who write to it on the ranges.

    Raises:
        DumpError: As for `run_shard`.
    """
    fault = plan.find_obstacle()
    if plan.samples.rows is None:
        fault = "nobody knows how many samples there are"
    if fault:
        raise DumpError(f"{folder}: can't be run in ranges: {fault}")
    check_size(plan)
    make_folder(folder)
    ours = plan_ranges(_list_contents(plan), _choose_rows(plan, shard))
    agreed = agree_on_plan(folder, ours)
    if agreed.range_rows % plan.batch_size:
        raise DumpError(
            f"{folder}: its ranges have {agreed.range_rows:,} rows, no multiple of the batch size "
            f"of {plan.batch_size:,}"
        )
    return agreed


def _stop(
    folder: Path, reason: str, own: list[range], done: dict[range, RangeReceipt]
) -> StoppedError:
    there, rows = sum(map(len, done)), sum(map(len, own))
    return StoppedError(
        f"{reason}: {there:,} of {rows:,} samples of this part are in {folder}",
        hint="the same command continues",
    )


def _list_contents(plan: Plan) -> Contents:
    names = plan.samples.names(0, plan.rows)
    return Contents(columns=plan.columns, samples=names, attrs=plan.attrs)


def _choose_rows(plan: Plan, shard: Shard) -> int:
    """Choose how many rows a range has: whole batches."""
    wanted = plan.bytes // (shard.count * _RANGES)
    size = min(max(wanted, _LEAST_BYTES), _MOST_BYTES)
    # Each part has a range at least, however small all of it is.
    rows = min(size // max(plan.row_bytes, 1), -(-plan.rows // shard.count))
    return max(1, rows // plan.batch_size) * plan.batch_size


def _run_range(
    plan: Plan,
    agreed: RangePlan,
    rows: range,
    progress: Callable[[Progress], None] | None,
    stop_after: float | None,
) -> RangeReceipt:
    """Run a range and publish it."""
    from kprobe.compat.eager_mode import eagerly

    output = plan.job.output
    assert output is not None  # noqa: S101 - it was looked at
    path = choose_file(output.path, rows)
    sink = DumpSink(
        plan,
        replace(output, path=path, resume=False, shard=None),
        rows,
        {ATTRIBUTE: describe_range(agreed, rows)},
    )
    try:
        with deferring_stops(), sink:
            eagerly(run_range)(plan, sink, rows.start, rows.stop, progress, stop_after)
            sink.finish()
    except BaseException:
        sink.writer.partial.unlink(missing_ok=True)  # nobody else knows its name
        raise
    left_out = sum(rows.start <= row < rows.stop for row in plan.samples.faults)
    return publish_range(output.path, agreed, rows, path, left_out)
