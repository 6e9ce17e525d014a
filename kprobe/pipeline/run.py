"""Run a plan: read, compute and write at the same time."""

from __future__ import annotations

import contextlib
import math
import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kprobe.dumps.layout import REASON, VALID
from kprobe.dumps.ragged_rows import encode_texts
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writer import Writer
from kprobe.errors import AddressError, DumpError, StoppedError
from kprobe.pipeline.compute import compute
from kprobe.pipeline.progress import Progress
from kprobe.pipeline.size import check_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kprobe.dumps.layout import Column
    from kprobe.pipeline.compute import Computed
    from kprobe.pipeline.plan import Plan

# How much work a killed run may lose.
_COMMIT_SECONDS = 10.0
_COMMIT_BYTES = 1 << 30
# Batches of results that wait to be written; with those being computed they are all in memory.
IN_FLIGHT = 2


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a run did.

    Attributes:
        output: The finished dump.
        rows: Samples in the dump.
        left_out: How many of them couldn't be read, and have no values.
        resumed: How many of them an earlier run had written.
        datasets: Datasets written.
        written: Bytes of activations and weights written.
        seconds: Wall time of reading, computing and writing.
        bottleneck: What the run waited for most: "reading", "computing" or "writing".
    """

    output: Path
    rows: int
    left_out: int
    resumed: int
    datasets: int
    written: int
    seconds: float
    bottleneck: str


def run(plan: Plan, progress: Callable[[Progress], None] | None = None) -> Receipt:
    """Run all rows of a plan and write the dump.

    Args:
        plan: The plan.
        progress: Called with how far it is, at first, after every batch, and every second in
            which none comes.

    Raises:
        InputError: A sample can't be read.
        AddressError: A tensor turns out to have no row for each sample.
        DumpError: The dump is too large, or can't be written.
        StoppedError: By Ctrl-C, or because its time is over.
    """
    from kprobe.graph.mode import eagerly  # TensorFlow's import waits until the plan is made

    rows = plan.rows
    began = time.perf_counter()
    writer = Writer(
        plan.job.output,
        plan.columns,
        plan.samples.names(0, rows),
        plan.attrs,
        overwrite=plan.job.overwrite,
        resume=plan.job.resume,
        open_ended=plan.samples.rows is None,
        in_flight=IN_FLIGHT,
    )
    if plan.job.resume and writer.is_done():
        rows, left_out = _count_rows(plan.job.output)
        return Receipt(
            output=plan.job.output,
            rows=rows,
            left_out=left_out,
            resumed=rows,
            datasets=len(plan.columns),
            written=0,
            seconds=0.0,
            bottleneck="",
        )
    check_size(plan)
    try:
        with writer:
            resumed, ragged_before = writer.committed, writer.ragged_bytes
            if resumed and (fault := plan.find_obstacle()):
                raise DumpError(
                    f"{writer.partial}: can't be gone on with: {fault}",
                    hint="start anew with --overwrite",
                )
            # Around all threads: what shapes consist of is a setting of the process.
            waits = eagerly(run_range)(plan, writer, resumed, rows, progress)
            finishing = time.perf_counter()
            open_ended = plan.samples.rows is None
            writer.finish(plan.samples.names(0, writer.covered) if open_ended else None)
    except (KeyboardInterrupt, StoppedError) as stopped:
        if not writer.partial.exists():
            raise StoppedError("stopped before anything was written") from None
        reason = f"{stopped}" if isinstance(stopped, StoppedError) else "stopped"
        of = "" if plan.samples.rows is None else f" of {rows:,}"
        raise StoppedError(
            f"{reason}: {writer.committed:,}{of} samples are in {writer.partial}",
            hint=_hint_at_resuming(plan),
        ) from None
    ended = time.perf_counter()
    waits["writing"] += ended - finishing
    waits["computing"] = ended - began - sum(waits.values())
    rows, left_out = _count_rows(plan.job.output)
    written = sum(column.count_bytes(rows) for column in plan.columns) - plan.row_bytes * resumed
    return Receipt(
        output=plan.job.output,
        rows=rows,
        left_out=left_out,
        resumed=resumed,
        datasets=len(plan.columns),
        written=written + writer.ragged_bytes - ragged_before,
        seconds=ended - began,
        bottleneck=max(waits, key=lambda stage: waits[stage]),
    )


def _count_rows(path: Path) -> tuple[int, int]:
    """Give the number of rows of a dump, and of those among them that have no values."""
    with open_dump(path) as dump:
        valid = dump.valid
        return dump.rows, 0 if valid is None else dump.rows - int(np.count_nonzero(valid))


def _hint_at_resuming(plan: Plan) -> str:
    if fault := plan.find_obstacle():
        return f"it can't be gone on with: {fault}"
    return "go on with the same command and --resume"


def run_range(
    plan: Plan,
    writer: Writer,
    start: int,
    stop: int,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Run some rows of a plan and write them.

    Args:
        plan: The plan.
        writer: Where the rows go.
        start: The first row, a multiple of the plan's batch size.
        stop: The row after the last.
        progress: Called with how far it is, at first, after every batch, and every second in
            which none comes.

    Returns:
        How long computing waited for "reading" and for "writing", in seconds.
    """
    waits = {"reading": 0.0, "writing": 0.0}
    ragged_before = writer.ragged_bytes

    def count_bytes(rows: int) -> int:
        return plan.row_bytes * (rows - start) + writer.ragged_bytes - ragged_before

    committed, committed_bytes = time.monotonic(), 0
    ends = committed + (plan.job.stop_after or math.inf)
    most = plan.job.max_bytes
    ahead: queue.Queue[Any] = queue.Queue(maxsize=1)
    began = time.monotonic()

    def tell(done: int) -> None:
        if progress is None:
            return
        spent = waits | {"computing": time.monotonic() - began - sum(waits.values())}
        progress(
            Progress(
                rows=done,
                total=None if plan.samples.rows is None else stop,
                resumed=start,
                bytes=count_bytes(done),
                began=began,
                read_ahead=ahead.qsize(),
                to_write=writer.waiting,
                bottleneck=max(spent, key=lambda stage: spent[stage]),
            )
        )

    done = start
    tell(done)
    with contextlib.closing(compute(plan, start, stop, waits, ahead)) as batches:
        for batch in batches:
            computed = time.perf_counter()
            if batch is not None:
                writer.write(batch.first, make_columns(plan, batch))
                done = batch.first + batch.rows
            written = count_bytes(done)
            now = time.monotonic()
            if now - committed >= _COMMIT_SECONDS or written - committed_bytes >= _COMMIT_BYTES:
                writer.commit_soon(done)
                committed, committed_bytes = now, written
            waits["writing"] += time.perf_counter() - computed
            tell(done)
            if now >= ends and done < stop:
                raise StoppedError("its time is over")
            # Where rows were counted before, the plan was checked.
            if most is not None and plan.row_bytes * done + writer.ragged_bytes > most:
                raise StoppedError(f"--max-bytes allows {most:,} bytes, and there are more")
    if done == stop < plan.samples.most and plan.samples.rows is None:
        raise StoppedError(f"a file has room for {stop:,} such samples, and there may be more")
    return waits


def make_columns(plan: Plan, batch: Computed) -> dict[str, Any]:
    """Give what is written of a batch, by column.

    Args:
        plan: The plan.
        batch: What was computed.

    Returns:
        By the column's name its rows, as `Writer.write` takes them.

    Raises:
        AddressError: A result has another shape than the first samples'.
    """
    pairs = zip(plan.fetched, batch.results, strict=True)
    columns = {column.name: _take_rows(column, result, batch) for column, result in pairs}
    if plan.job.on_error == "skip":
        rows = range(batch.first, batch.first + batch.rows)
        columns[VALID.name] = np.array([row not in batch.faults for row in rows], VALID.dtype)
        reasons = [_fit_text(batch.faults.get(row, "")) for row in rows]
        columns[REASON.name] = np.array(reasons, REASON.dtype)
    return columns


def _fit_text(text: str) -> bytes:
    """Cut a text to what a reason may have, and not within a character."""
    return text.encode()[: REASON.dtype.itemsize].decode(errors="ignore").encode()


def _take_rows(column: Column, result: Any, batch: Computed) -> Any:
    """Give what is written of a result: an array, or for a ragged column one for each row.

    Raises:
        AddressError: It has another shape than the first samples'.
    """
    rows, first = batch.rows, batch.first
    if isinstance(result, list):  # of samples that differ in shape
        if column.ragged:
            return [encode_texts(row) if row.dtype == object else row for row in result]
        other = next((row for row in result if row.shape != column.shape), None)
        shape = (rows, *(column.shape if other is None else other.shape))
        result = result if other is not None else np.stack(result)
    else:
        shape = tuple(result.shape)
    address = cast("list[str]", column.attrs["addresses"])[0]
    hint = "leave it out, or say so with --ragged"
    if shape[:1] != (rows,):
        raise AddressError(
            f"{address} has {shape[0] if shape else 'no'} rows for samples {first} to "
            f"{first + rows - 1}: not a row for each sample",
            hint=hint,
        )
    if shape != (rows, *column.shape) and not column.ragged:
        raise AddressError(
            f"{address} has shape {shape} for samples {first} to {first + rows - 1}, and "
            f"{(rows, *column.shape)} was expected from the first ones: it depends on the data, as "
            "in a branch that isn't always taken",
            hint=hint,
        )
    if not column.ragged:
        return result
    return [encode_texts(row) if row.dtype == object else row for row in np.asarray(result)]
