"""What a plan would cost: refuse what is too large, and time a few batches of the rest."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.dumps.partial import partial_path
from kprobe.dumps.space import free_space
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from kprobe.pipeline.plan import Plan

_TIMED = 3
_NAMED = 3


def check_size(plan: Plan) -> None:
    """Refuse a dump larger than `--max-bytes` or than the free space, naming what is largest.

    Of tensors whose rows differ in shape only the index counts, since the rest isn't known.

    Raises:
        DumpError: It is larger.
    """
    sizes = {
        own[0]: column.count_bytes(plan.samples.rows)
        for column, own in zip(plan.columns, plan.addresses, strict=True)
    }
    largest = sorted(sizes, key=lambda address: -sizes[address])[:_NAMED]
    fewer = "dump fewer layers or samples; the largest: " + ", ".join(
        f"{address} ({sizes[address]:,} bytes)" for address in largest
    )
    output, allowed = plan.job.output, plan.job.max_bytes
    needed = f"{output}: {plan.bytes:,} bytes are needed"
    if allowed is not None and plan.bytes > allowed:
        raise DumpError(f"{needed}, and --max-bytes allows {allowed:,}", hint=fewer)
    free = free_space(partial_path(output))
    # A filesystem that doesn't know its size says 0; the writer knows what to make of it.
    if 0 < free < plan.bytes:
        raise DumpError(
            f"{needed}, and {free:,} bytes are free",
            hint=f"free some space, write to another disk, or {fewer}",
        )


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
