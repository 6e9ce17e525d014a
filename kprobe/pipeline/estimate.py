"""Estimate what a plan takes, from a few batches of it."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:
    from kprobe.pipeline.plan import Plan

_TIMED = 3


def estimate_seconds(plan: Plan) -> float | None:
    """Estimate how long it takes to compute all rows, from the first ones.

    Three batches are timed, behind one that isn't, because the first of a shape is compiled.

    Returns:
        Seconds of computing; reading and writing, which go on meanwhile, aren't in them. None
        where nothing is computed.
    """
    size, rows = plan.batch_size, plan.samples.rows
    if not rows:
        return None
    samples = plan.samples.peek((1 + _TIMED) * size)
    there = len(next(iter(samples.values())))
    seconds = []
    for number in range(1 + _TIMED):
        # Few samples serve several times; a smaller last batch would be of another shape.
        first = number * size if (number + 1) * size <= there else 0
        batch = {name: values[first : first + size] for name, values in samples.items()}
        began = time.perf_counter()
        plan.subgraph(batch, first)
        tf.test.experimental.sync_devices()
        seconds.append(time.perf_counter() - began)
    plan.subgraph.restore()
    return statistics.median(seconds[1:]) * rows / min(size, there)
