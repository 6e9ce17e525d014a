"""Measure what a dump is limited by on this machine: reading, computing or writing."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.dumps.contents import Contents
from kprobe.dumps.files.space import free_space
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.partial import explain
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import InputError, StoppedError
from kprobe.inputs.samples import count_rows
from kprobe.pipeline.running.batches import Computed, run_batch
from kprobe.pipeline.running.run import run
from kprobe.pipeline.running.sink import IN_FLIGHT, make_columns
from kprobe.scratch import make_scratch
from kprobe.stopping import deferring_stops, stop_if_asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kprobe.pipeline.planning.plan import Plan

# Beside the size that a dump chooses for itself.
_BATCH_SIZES = (1, 8, 32)
# What a measurement may write: enough to feel the disk behind the memory.
_MOST_BYTES = 512 << 20
_MOST_ROWS = 1 << 20
# How long it waits before it looks whether it is to stop, in seconds.
_PATIENCE = 0.5


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast something went.

    Attributes:
        samples: How many samples were timed.
        bytes: Of what was read, computed or written.
        seconds: Wall time.
    """

    samples: int
    bytes: int
    seconds: float

    @property
    def samples_per_s(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds

    @property
    def bytes_per_s(self) -> float:
        """Bytes a second."""
        return self.bytes / self.seconds


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured with one batch size.

    Attributes:
        batch_size: In samples.
        reading: Reading and decoding alone.
        computing: Computing the first batch over and over.
        writing: Writing the results of the first batch over and over, until they are on the disk.
        dumping: All at the same time, as in a dump, from laying out the file to its end.
        dumps: How many dumps that were: several where the samples didn't last.
    """

    batch_size: int
    reading: Rate
    computing: Rate
    writing: Rate
    dumping: Rate
    dumps: int

    @property
    def limit(self) -> str:
        """What is slowest alone: "reading", "computing" or "writing"."""
        stages = ("reading", "computing", "writing")
        return min(stages, key=lambda stage: getattr(self, stage).samples_per_s)

    @property
    def ratio(self) -> float:
        """How near a dump comes to what limits it: 1 for as fast."""
        slowest: Rate = getattr(self, self.limit)
        return self.dumping.samples_per_s / slowest.samples_per_s


def bench(
    plan: Plan, batch_sizes: Sequence[int] | None = None, seconds: float = 2.0
) -> Iterator[Measured]:
    """Measure a plan with several batch sizes, in turn.

    What is written goes to a temporary directory beside the plan's output, and is removed.
    What is written once for all samples, such as weights, isn't counted.

    Args:
        plan: The plan. Nothing of the name of its output is touched.
        batch_sizes: In samples; None for some, and the one that the plan has chosen.
        seconds: How long each of the four measurements of a batch size takes, at the least a batch
            or, of all together, a file.

    Yields:
        What was measured, for each batch size.

    Raises:
        InputError: Nothing is computed, or not in such a batch size; a sample can't be read.
        DumpError: The output's directory can't be written to, or has no room.
        KprobeError: Whatever else ends a run.
        StoppedError: By Ctrl-C.
    """
    sizes = _choose_sizes(plan, batch_sizes)
    with_rows = [number for number, column in enumerate(plan.columns) if column.value is None]
    for size in sizes:
        yield _measure(
            replace(
                plan,
                columns=[plan.columns[number] for number in with_rows],
                addresses=[plan.addresses[number] for number in with_rows],
                batch_size=size,
                attrs={**plan.attrs, "batch_size": size},
            ),
            seconds,
        )


def _choose_sizes(plan: Plan, asked: Sequence[int] | None) -> Sequence[int]:
    if plan.samples.rows == 0:
        raise InputError("weights alone aren't computed: there is nothing to measure")
    if not plan.samples.replayable:
        raise InputError(
            "the samples can be read only once, and measuring reads them again and again",
            hint="give samples that can be read again, such as a file, or a function of batches",
        )
    only = 1 if plan.one_by_one else plan.computation.engine.batch_size
    if asked is None:
        return [plan.batch_size] if only else sorted({*_BATCH_SIZES, plan.batch_size})
    if only and (others := [str(size) for size in asked if size != only]):
        raise InputError(
            f"these layers can be computed in batches of {only} only, received a batch size of "
            f"{','.join(others)}"
        )
    return list(dict.fromkeys(asked))


def _measure(plan: Plan, seconds: float) -> Measured:
    batch = plan.samples.peek(plan.batch_size)
    reading = _measure_reading(plan, seconds)
    results, computing = _measure_computing(plan, batch, seconds)
    output = Path() if plan.job.output is None else plan.job.output.path
    with contextlib.ExitStack() as stack:
        try:
            place = make_scratch(".kprobe-bench-", output.absolute().parent)
            path = stack.enter_context(place) / "bench.h5"
        except OSError as error:
            raise explain(error, output) from error
        room = free_space(path) // 4 or _MOST_BYTES  # 0: the filesystem doesn't know
        computed = Computed(0, count_rows(batch), results, {})
        columns = make_columns(plan, computed)
        row_bytes = max(1, _count_bytes(columns) // computed.rows)
        most = min(_MOST_ROWS, min(_MOST_BYTES, room) // row_bytes)
        writing = _measure_writing(plan, columns, computed.rows, path, most, seconds)
        slowest = min(rate.samples_per_s for rate in (reading, computing, writing))
        rows = int(min(most, slowest * seconds))
        dumping, dumps = _measure_dumping(plan, path, rows, seconds)
    return Measured(
        batch_size=plan.batch_size,
        reading=reading,
        computing=computing,
        writing=writing,
        dumping=dumping,
        dumps=dumps,
    )


def _measure_reading(plan: Plan, seconds: float) -> Rate:
    samples = size = 0
    began = time.perf_counter()
    while True:
        # What is at its end is read anew.
        for _, batch in plan.samples.batches(plan.batch_size):
            samples += count_rows(batch)
            size += sum(map(_count_read, batch.values()))
            if (spent := time.perf_counter() - began) >= seconds:
                return Rate(samples=samples, bytes=size, seconds=spent)


@eagerly
def _measure_computing(
    plan: Plan, batch: Mapping[str, Any], seconds: float
) -> tuple[Sequence[Any], Rate]:
    """Give the results of the batch, too."""
    good = np.ones(count_rows(batch), bool)
    results = run_batch(plan, 0, dict(batch), good)  # compiles the graph
    tf.test.experimental.sync_devices()
    size = _count_bytes(make_columns(plan, Computed(0, len(good), results, {})))

    stopping = threading.Event()

    def repeat() -> int:
        times = 0
        while not times or (time.perf_counter() - began < seconds and not stopping.is_set()):
            run_batch(plan, 0, dict(batch), good)
            times += 1
        return times

    began = time.perf_counter()
    with deferring_stops(), ThreadPoolExecutor(plan.streams, "kprobe-compute") as pool:
        try:
            repeating = [pool.submit(repeat) for _ in range(plan.streams)]
            while wait(repeating, _PATIENCE).not_done:
                stop_if_asked()
            times = sum(future.result() for future in repeating)
        finally:
            stopping.set()  # by Ctrl-C before its time
        tf.test.experimental.sync_devices()
        spent = time.perf_counter() - began
    plan.computation.restore()
    return results, Rate(samples=times * len(good), bytes=times * size, seconds=spent)


def _measure_writing(
    plan: Plan, columns: Mapping[str, Any], rows: int, path: Path, most: int, seconds: float
) -> Rate:
    """Write the rows of a batch over and over, at most `most` rows or one batch."""
    size = _count_bytes(columns)
    batches = max(1, most // rows)
    names = np.zeros(batches * rows, "S1")
    contents = Contents(columns=plan.columns, samples=names, attrs=plan.attrs)
    with deferring_stops(), Writer(OutputSpec(path=path), contents, in_flight=IN_FLIGHT) as writer:
        began = time.perf_counter()
        done = 0
        while done < batches and (not done or time.perf_counter() - began < seconds):
            stop_if_asked()
            writer.write(done * rows, columns)
            done += 1
        writer.commit(done * rows)
        spent = time.perf_counter() - began
    writer.partial.unlink()
    return Rate(samples=done * rows, bytes=done * size, seconds=spent)


def _measure_dumping(plan: Plan, path: Path, rows: int, seconds: float) -> tuple[Rate, int]:
    """Dump the first rows, as often as it takes for the time to be over, and count how often."""
    rows = max(1, rows // plan.batch_size) * plan.batch_size
    limited = replace(
        plan,
        job=replace(plan.job, output=OutputSpec(path=path, overwrite=True)),
        samples=plan.samples.first(rows),
    )
    samples = size = dumps = 0
    spent = 0.0
    while not dumps or spent < seconds:
        try:
            receipt = run(limited)
        except StoppedError:
            raise StoppedError("stopped, and nothing is kept") from None
        plan.computation.restore()
        samples += receipt.rows
        size += receipt.written
        spent += receipt.seconds
        dumps += 1
    return Rate(samples=samples, bytes=size, seconds=spent), dumps


def _count_read(values: Any) -> int:
    if values.dtype != object:
        return int(values.nbytes)
    # Rows that differ in shape, or texts.
    return sum(row.nbytes if isinstance(row, np.ndarray) else len(row) for row in values.flat)


def _count_bytes(columns: Mapping[str, Any]) -> int:
    """Count the bytes of what is written: tensors, arrays, or lists of rows."""
    return sum(
        sum(row.nbytes for row in values)
        if isinstance(values, list)
        else np.asarray(memoryview(values)).nbytes
        for values in columns.values()
    )
