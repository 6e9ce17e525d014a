"""How many samples are in a batch, so that memory holds what both sides compute of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.pipeline.comparing.model_side import ModelSide

# What both sides give of the batches that are under way, in bytes. As much again is left to what
# TensorFlow needs on the way.
MEMORY_BYTES = 1 << 30
# Of a batch: what is computed ahead, what waits, and what is compared.
_AHEAD = 3
# Where layers go in groups, a group has one of them at least: A's and B's, plain and local, and
# what A makes of rounded values. The group before it is compared meanwhile.
_COPIES = 5 * 2


def bound_batches(sides: Sequence[ModelSide], *, local: bool, told: bool) -> list[str]:
    """Let models take fewer samples at a time than was asked for, where memory wouldn't hold them.

    Args:
        sides: The models that are run.
        local: Whether their layers go in groups.
        told: Whether the size of batches is what is compared.

    Returns:
        What should be said of it, a line each.
    """
    notes: list[str] = []
    if told or not all(side.any_size for side in sides):
        return notes
    if local:
        needed = _COPIES * max(tensor.row_bytes for side in sides for tensor in side.tensors)
    else:
        needed = sum(
            (side.plan.streams + _AHEAD) * tensor.row_bytes
            for side in sides
            for tensor in side.tensors
        )
    most = max(1, MEMORY_BYTES // max(needed, 1))
    for side in sides:
        if side.plan.batch_size > most:
            notes.append(f"{side.name}: batches have {most} samples, so that memory holds them")
            side.limit_batch(most)
    return notes
