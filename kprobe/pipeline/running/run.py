"""Run a plan: read, compute and write at the same time."""

from __future__ import annotations

import contextlib
import math
import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError, Hint, KprobeError, Setting, StoppedError, join_hints
from kprobe.pipeline.planning.size import check_size
from kprobe.pipeline.running.batches import compute_batches
from kprobe.pipeline.running.progress import Progress
from kprobe.pipeline.running.sink import DumpSink
from kprobe.stopping import deferring_stops, stop_if_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.sink import Sink

# How much work a killed run may lose.
_COMMIT_SECONDS = 10.0
_COMMIT_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a run did.

    Attributes:
        output: The finished dump.
        rows: Samples in the dump.
        left_out: How many of them couldn't be read, and have no values.
        resumed: How many of them an earlier run had written.
        datasets: Datasets of activations and weights written.
        written: Bytes of activations and weights written.
        seconds: Wall time of reading, computing and writing.
        bottleneck: What the run waited for most: "reading", "computing" or "writing".
        overflows: How many values became infinite in the dtype that they are stored as, by the
            address of their tensor: of the samples behind those resumed; only where there are any.
    """

    output: Path
    rows: int
    left_out: int
    resumed: int
    datasets: int
    written: int
    seconds: float
    bottleneck: str
    overflows: Mapping[str, int]


def run(
    plan: Plan,
    progress: Callable[[Progress], None] | None = None,
    sink: DumpSink | None = None,
) -> Receipt:
    """Run all rows of a plan and write the dump.

    Args:
        plan: The plan.
        progress: Called with how far it is, at first, after every batch, and every second in
            which none comes.
        sink: What writes the dump, where it is to do more than that.

    Raises:
        InputError: A sample can't be read.
        AddressError: A tensor turns out to have no row for each sample.
        DumpError: The dump is too large, or can't be written.
        StoppedError: By Ctrl-C, or at the time limit.
    """
    from kprobe.compat.eager_mode import eagerly  # TensorFlow's import waits until the plan is made

    began = time.perf_counter()
    sink = sink or DumpSink(plan)
    if sink.writer.output.resume and sink.writer.is_done():
        receipt = _sum_up(plan, sink, resumed=None, written=0, seconds=0.0, waits={}, overflows={})
        sink.check_kept(receipt.rows)
        return receipt
    check_size(plan)
    engine, running = plan.computation.engine, False
    before = engine.overflows
    try:
        with deferring_stops(), sink:
            resumed = sink.committed
            if resumed:
                check_continued(plan, sink.writer.partial)
                sink.check_kept(resumed)
            # Around all threads: what shapes consist of is a setting of the process.
            stop_after, running = sink.writer.output.stop_after, True
            waits = eagerly(run_range)(plan, sink, resumed, plan.rows, progress, stop_after)
            finishing = time.perf_counter()
            sink.finish()
    except (KeyboardInterrupt, StoppedError) as stopped:
        raise explain_stop(plan, sink.writer.partial, sink.committed, stopped) from None
    except KprobeError as error:
        if running and sink.committed:
            add_what_is_kept(plan, sink.writer.partial, sink.committed, error)
        raise
    ended = time.perf_counter()
    waits["writing"] += ended - finishing
    waits["computing"] = ended - began - sum(waits.values())
    return _sum_up(
        plan,
        sink,
        resumed=resumed,
        written=_count_written(plan, sink, resumed),
        seconds=ended - began,
        waits=waits,
        overflows=engine.tell_overflows(before),
    )


def _count_written(plan: Plan, sink: DumpSink, resumed: int) -> int:
    """Count the bytes of activations and weights that were written behind those resumed."""
    rows, stored = sink.writer.covered, plan.tensors
    row_bytes = sum(column.row_bytes for column in stored)
    beside = (plan.row_bytes - row_bytes) * (rows - resumed)
    whole = sum(column.count_bytes(rows) for column in stored) - row_bytes * rows
    return sink.taken_bytes - beside + whole


def _sum_up(
    plan: Plan,
    sink: DumpSink,
    *,
    resumed: int | None,
    written: int,
    seconds: float,
    waits: dict[str, float],
    overflows: Mapping[str, int],
) -> Receipt:
    """Say what is in the dump; an earlier run did all of it where `resumed` is None."""
    with open_dump(sink.writer.path) as dump:
        valid, rows = dump.valid, dump.rows
    left_out = 0 if valid is None else rows - int(np.count_nonzero(valid))
    return Receipt(
        output=sink.writer.path,
        rows=rows,
        left_out=left_out,
        resumed=rows if resumed is None else resumed,
        datasets=len(plan.tensors),
        written=written,
        seconds=seconds,
        bottleneck=max(waits, key=lambda stage: waits[stage], default=""),
        overflows=overflows,
    )


def check_continued(plan: Plan, partial: Path) -> None:
    """Check that the rows behind those of an earlier run can be run by themselves.

    Raises:
        DumpError: They can't.
    """
    if fault := plan.find_obstacle():
        raise DumpError(
            f"{partial}: can't be continued: {fault}",
            hint=Hint("start anew with ", Setting("overwrite", True)),
        )


def explain_stop(plan: Plan, partial: Path, committed: int, stopped: BaseException) -> StoppedError:
    """Say what there is of a run that was stopped, and how to continue it.

    Args:
        plan: Its plan.
        partial: The file that keeps what there is.
        committed: How many samples it has.
        stopped: What stopped the run.
    """
    reason, remedy = "stopped", None
    if isinstance(stopped, StoppedError):
        reason, remedy = stopped.faults[0], stopped.remedy
    if committed and not partial.exists():
        return StoppedError(f"{reason} when all {committed:,} samples were done: it is finished")
    if not partial.exists():
        nothing = "stopped before anything was written"
        return StoppedError(nothing if reason == "stopped" else f"{reason}: {nothing}", hint=remedy)
    of = "" if plan.samples.rows is None else f" of {plan.rows:,}"
    if fault := plan.find_obstacle():
        hint = join_hints([*([remedy] if remedy else []), f"it can't be continued: {fault}"])
    else:
        again = Hint("continue with the same command and ", Setting("resume", True))
        hint = join_hints([*([remedy] if remedy else []), again], ", and ")
    return StoppedError(f"{reason}: {committed:,}{of} samples are in {partial}", hint=hint)


def add_what_is_kept(plan: Plan, partial: Path, committed: int, error: KprobeError) -> None:
    """Let an error that ended a run say what there is of it, too.

    Args:
        plan: Its plan.
        partial: The file that keeps what there is.
        committed: How many samples it has.
        error: What it says this in.
    """
    of = "" if plan.samples.rows is None else f" of {plan.rows:,}"
    kept: list[str | Setting] = [f"{committed:,}{of} samples are in {partial}"]
    if plan.find_obstacle() is None:
        kept += [", which continues with ", Setting("resume", True)]
    error.remedy = join_hints([*([error.remedy] if error.remedy else []), Hint(*kept)])


def run_range(
    plan: Plan,
    sink: Sink,
    start: int,
    stop: int,
    progress: Callable[[Progress], None] | None = None,
    stop_after: float | None = None,
) -> dict[str, float]:
    """Run some rows of a plan, and give them to a sink.

    Args:
        plan: The plan.
        sink: Where the rows go.
        start: The first row, a multiple of the plan's batch size.
        stop: The row after the last.
        progress: Called with how far it is, at first, after every batch, and every second in
            which none comes.
        stop_after: After how many seconds to stop, behind a batch; None for never.

    Returns:
        How long computing waited for "reading" and for "writing", in seconds.

    Raises:
        StoppedError: The time limit is reached, or the sink takes no more.
    """
    waits = {"reading": 0.0, "writing": 0.0}
    committed, committed_bytes = time.monotonic(), 0
    ends = committed + (stop_after or math.inf)
    ahead: queue.Queue[Any] = queue.Queue(maxsize=1)
    tell = _make_teller(plan, sink, start, stop, waits, ahead, progress)
    done = start
    tell(done)
    with (
        deferring_stops(),
        contextlib.closing(compute_batches(plan, start, stop, waits, ahead)) as batches,
    ):
        for batch in batches:
            stop_if_asked()
            computed = time.perf_counter()
            if batch is not None:
                sink.take(batch)
                done = batch.first + batch.rows
            now, taken = time.monotonic(), sink.taken_bytes
            if now - committed >= _COMMIT_SECONDS or taken - committed_bytes >= _COMMIT_BYTES:
                sink.commit_soon(done)
                committed, committed_bytes = now, taken
            waits["writing"] += time.perf_counter() - computed
            tell(done)
            if now >= ends and done < stop:
                raise StoppedError("the time limit is reached")
    if done == stop == plan.rows < plan.samples.most and plan.samples.rows is None:
        raise StoppedError(f"a file has room for {stop:,} such samples, and there may be more")
    return waits


def _make_teller(
    plan: Plan,
    sink: Sink,
    start: int,
    stop: int,
    waits: dict[str, float],
    ahead: queue.Queue[Any],
    progress: Callable[[Progress], None] | None,
) -> Callable[[int], None]:
    """Make what tells how far a run is, given the rows that are done."""
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
                bytes=sink.taken_bytes,
                began=began,
                read_ahead=ahead.qsize(),
                to_write=sink.waiting,
                bottleneck=max(spent, key=lambda stage: spent[stage]),
            )
        )

    return tell
