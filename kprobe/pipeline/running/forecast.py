"""Foresee what a plan takes: time, from a few batches of it, and room on the disk."""

from __future__ import annotations

import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.pipeline.running.batches import run_batch
from kprobe.stopping import deferring_stops, stop_if_asked

if TYPE_CHECKING:
    from kprobe.pipeline.planning.plan import Plan

_TIMED = 3


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a plan takes.

    Attributes:
        free_bytes: How much is free where the dump would be.
        compute_seconds: How long it takes to compute all rows, as `estimate_seconds` has it.
    """

    free_bytes: int
    compute_seconds: float | None


def forecast(plan: Plan) -> Forecast:
    """Foresee what a plan takes that writes a dump; some batches of it are computed.

    Raises:
        ValueError: It writes none.
        InputError: A sample can't be read.
    """
    if plan.job.output is None:
        raise ValueError("the plan writes nothing")
    seconds = estimate_seconds(plan)
    free = shutil.disk_usage(plan.job.output.path.absolute().parent).free
    return Forecast(free_bytes=free, compute_seconds=seconds)


def estimate_seconds(plan: Plan) -> float | None:
    """Estimate how long it takes to compute all rows, from the first ones.

    Three batches are timed, behind one that isn't, because the first of a shape is compiled.

    Returns:
        Seconds of computing; reading and writing, which go on meanwhile, aren't in them. None
        where nothing is computed, or nobody knows how many rows there are.
    """
    if not plan.samples.rows:
        return None
    return statistics.median(time_batches(plan, _TIMED)) * plan.samples.rows


@eagerly
def time_batches(plan: Plan, times: int) -> list[float]:
    """Compute the first batches of a plan, as many at a time as in a run.

    Args:
        plan: The plan.
        times: How often, not counting the time before, in which the graph is compiled.

    Returns:
        The seconds of each time, for each sample.
    """
    size = plan.batch_size
    samples = plan.samples.peek((1 + times) * size)
    there = len(next(iter(samples.values())))

    def run(number: int) -> None:
        # Few samples serve several times; a smaller last batch would be of another shape.
        first = number * size if (number + 1) * size <= there else 0
        batch = {name: values[first : first + size] for name, values in samples.items()}
        good = np.ones(len(next(iter(batch.values()))), bool)
        run_batch(plan, first, batch, good)

    # Of samples of several shapes, those of the first one's shape are there.
    rows = plan.rows
    together = min(plan.streams, -(-rows // size))
    computed = min(min(size, there) * together, rows)
    seconds = []
    with deferring_stops(), ThreadPoolExecutor(together) as pool:
        for number in range(1 + times):
            stop_if_asked()
            began = time.perf_counter()
            list(pool.map(run, [number] * together))
            tf.test.experimental.sync_devices()
            seconds.append((time.perf_counter() - began) / computed)
    plan.computation.restore()
    return seconds[1:]
