"""Refuse a dump that is too large before it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.dumps.files.space import free_space
from kprobe.dumps.partial import partial_path
from kprobe.errors import DumpError, Hint, Setting

if TYPE_CHECKING:
    from kprobe.pipeline.planning.plan import Plan

_NAMED = 3


def check_size(plan: Plan) -> None:
    """Refuse a dump larger than is allowed, or than the free space, naming what is largest.

    Of tensors whose rows differ in shape only the index counts, since the rest isn't known;
    of samples that nobody has counted, nothing.

    Raises:
        DumpError: It is larger.
    """
    rows, output = plan.samples.rows, plan.job.output
    if rows is None or output is None:
        return
    sizes = {
        own[0]: column.count_bytes(rows)
        for column, own in zip(plan.columns, plan.addresses, strict=True)
    }
    largest = sorted(sizes, key=lambda address: -sizes[address])[:_NAMED]
    fewer = "dump fewer layers or samples; the largest: " + ", ".join(
        f"{address} ({sizes[address]:,} bytes)" for address in largest
    )
    allowed = output.max_bytes
    needed = f"{output.path}: {plan.bytes:,} bytes are needed"
    if allowed is not None and plan.bytes > allowed:
        raise DumpError(
            f"{needed}, and {allowed:,} are allowed",
            hint=Hint("allow more with ", Setting("max_bytes"), f", or {fewer}"),
        )
    free = free_space(partial_path(output.path))
    # A filesystem that doesn't know its size says 0; the writer knows what to make of it.
    if 0 < free < plan.bytes // (output.shard.count if output.shard else 1):
        raise DumpError(
            f"{needed}, and {free:,} bytes are free",
            hint=f"free some space, write to another disk, or {fewer}",
        )
