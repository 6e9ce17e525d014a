"""Run a plan: read, compute and write at the same time."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kprobe.dumps.ragged_rows import encode_texts
from kprobe.dumps.writer import Writer
from kprobe.errors import AddressError, DumpError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    import tensorflow as tf

    from kprobe.dumps.layout import Column
    from kprobe.pipeline.plan import Plan

# How much work a killed run may lose.
_COMMIT_SECONDS = 10.0
_COMMIT_BYTES = 1 << 30

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a run did.

    Attributes:
        output: The finished dump.
        rows: Samples in the dump.
        resumed: How many of them an earlier run had written.
        datasets: Datasets written.
        written: Bytes of activations and weights written.
        seconds: Wall time of reading, computing and writing.
        bottleneck: What the run waited for most: "reading", "computing" or "writing".
    """

    output: Path
    rows: int
    resumed: int
    datasets: int
    written: int
    seconds: float
    bottleneck: str


def run(plan: Plan, progress: Callable[[int, int], None] | None = None) -> Receipt:
    """Run all rows of a plan and write the dump.

    Args:
        plan: The plan.
        progress: Called with the rows done and the rows in all.

    Raises:
        InputError: A sample can't be read.
        AddressError: A tensor turns out to have no row for each sample.
        DumpError: The dump can't be written.
        StoppedError: By Ctrl-C, or because its time is over.
    """
    rows = plan.samples.rows
    began = time.perf_counter()
    writer = Writer(
        plan.job.output,
        plan.columns,
        plan.samples.names(),
        plan.attrs,
        overwrite=plan.job.overwrite,
        resume=plan.job.resume,
    )
    if plan.job.resume and writer.is_done():
        return Receipt(
            output=plan.job.output,
            rows=rows,
            resumed=rows,
            datasets=len(plan.columns),
            written=0,
            seconds=0.0,
            bottleneck="",
        )
    try:
        with writer:
            resumed = writer.committed
            if resumed and (fault := plan.find_obstacle()):
                raise DumpError(
                    f"{writer.partial}: can't be gone on with: {fault}",
                    hint="start anew with --overwrite",
                )
            waits = run_range(plan, writer, resumed, rows, progress)
            finishing = time.perf_counter()
            writer.finish()
    except (KeyboardInterrupt, StoppedError) as stopped:
        if not writer.partial.exists():
            raise StoppedError("stopped before anything was written") from None
        reason = f"{stopped}" if isinstance(stopped, StoppedError) else "stopped"
        raise StoppedError(
            f"{reason}: {writer.committed:,} of {rows:,} samples are in {writer.partial}",
            hint=_hint_at_resuming(plan),
        ) from None
    ended = time.perf_counter()
    waits["writing"] += ended - finishing
    waits["computing"] = ended - began - sum(waits.values())
    before = plan.row_bytes * resumed
    return Receipt(
        output=plan.job.output,
        rows=rows,
        resumed=resumed,
        datasets=len(plan.columns),
        written=plan.bytes - before + writer.ragged_bytes,
        seconds=ended - began,
        bottleneck=max(waits, key=lambda stage: waits[stage]),
    )


def _hint_at_resuming(plan: Plan) -> str:
    if fault := plan.find_obstacle():
        return f"it can't be gone on with: {fault}"
    return "go on with the same command and --resume"


def run_range(
    plan: Plan,
    writer: Writer,
    start: int,
    stop: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Run some rows of a plan and write them.

    Args:
        plan: The plan.
        writer: Where the rows go.
        start: The first row, a multiple of the plan's batch size.
        stop: The row after the last.
        progress: Called with the rows done and the rows in all.

    Returns:
        How long computing waited for "reading" and for "writing", in seconds.
    """
    waits = {"reading": 0.0, "writing": 0.0}
    committed, uncommitted = time.monotonic(), 0
    ends = committed + (plan.job.stop_after or math.inf)
    columns = [column for column in plan.columns if column.value is None]
    batches = _read_ahead(plan.samples.batches(plan.batch_size, start, stop))
    with contextlib.closing(batches):
        while True:
            asked = time.perf_counter()
            item = next(batches, None)
            waits["reading"] += time.perf_counter() - asked
            if item is None:
                return waits
            first, batch = item
            rows = len(next(iter(batch.values())))
            results = plan.subgraph(batch, first)
            computed = time.perf_counter()
            pairs = zip(columns, results, strict=True)
            writer.write(first, {c.name: _take_rows(c, r, first, rows) for c, r in pairs})
            done = first + rows
            uncommitted += rows * plan.row_bytes
            now = time.monotonic()
            if now - committed >= _COMMIT_SECONDS or uncommitted >= _COMMIT_BYTES:
                writer.commit_soon(done)
                committed, uncommitted = now, 0
            waits["writing"] += time.perf_counter() - computed
            if progress:
                progress(done, stop)
            if now >= ends and done < stop:
                raise StoppedError("its time is over")


def _take_rows(column: Column, result: tf.Tensor, first: int, rows: int) -> Any:
    """Give what is written of a result: an array, or for a ragged column one for each row.

    Raises:
        AddressError: It has another shape than the first samples'.
    """
    shape = tuple(result.shape)
    expected = (rows, *column.shape)
    address = cast("list[str]", column.attrs["addresses"])[0]
    where = f"for samples {first} to {first + rows - 1}"
    hint = "leave it out, or say with --ragged that its shape differs"
    if shape[:1] != (rows,):
        raise AddressError(
            f"{address} has {shape[0] if shape else 'no'} rows {where}: not a row for each sample",
            hint=hint,
        )
    if shape != expected and not column.ragged:
        raise AddressError(
            f"{address} has shape {shape} {where}, and {expected} was expected from the first "
            "ones: it depends on the data, as in a branch that isn't always taken",
            hint=hint,
        )
    if not column.ragged:
        return result
    values = result.numpy()
    return [encode_texts(row) for row in values] if values.dtype == object else list(values)


def _read_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Fetch the next item in a thread of its own while the last one is used."""
    coming: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=1)
    stopping = threading.Event()

    def fetch() -> None:
        item, error = None, None
        while not stopping.is_set():
            try:
                item = next(items, None)
            except BaseException as raised:
                item, error = None, raised
            coming.put((item, error))
            if item is None:
                return

    # A thread that waits for a pipe mustn't keep a stopped process alive.
    threading.Thread(target=fetch, name="kprobe-read", daemon=True).start()
    try:
        while True:
            item, error = coming.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopping.set()
        with contextlib.suppress(queue.Empty):
            coming.get_nowait()
