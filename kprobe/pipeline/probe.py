"""Learn by running it what a sub-graph gives for a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from kprobe.errors import UnevenError

if TYPE_CHECKING:
    from kprobe.graph.computation import Computation
    from kprobe.inputs.samples import Samples


def probe(subgraph: Computation, samples: Samples) -> tuple[list[tf.Tensor], dict[int, str]]:
    """Run one sample and then two, to find the axis of samples in every result.

    Where that isn't the first axis, as in a loop over time, the sub-graph is told to make it so.

    Args:
        subgraph: The sub-graph.
        samples: The samples; only the first ones are looked at.

    Returns:
        The results for one sample; and for those that have no row for each sample, or hold what
        can't be stored, by their number, the reason. Where one can't be computed at all, there
        are no results, and the reason of that one alone.
    """
    rows = samples.peek(2)
    alone = {name: batch[:1] for name, batch in rows.items()}
    both = {name: np.resize(batch, (2, *batch.shape[1:])) for name, batch in rows.items()}
    # A model made for one batch size gives the same shape for both; the rest is padding.
    try:
        one = subgraph(alone)
        two = one if subgraph.batch_size is not None else subgraph(both)
    except UnevenError as error:
        return [], {error.fetch: error.reason}
    unfit: dict[int, str] = {}
    for number, (single, double) in enumerate(zip(one, two, strict=True)):
        shapes = tuple(single.shape), tuple(double.shape)
        if subgraph.batch_size is not None:
            axis = 0 if shapes[0][:1] == (1,) else None
        else:
            axis = _find_batch_axis(*shapes)
        if subgraph.batch_size is not None and number in subgraph.lifted:
            unfit[number] = "lies in a loop or a function, and the model takes one batch size only"
        elif single.dtype == tf.string:
            unfit[number] = "holds text, which can't be stored"
        elif axis is None:
            unfit[number] = (
                f"has shape {shapes[0]} for one sample and {shapes[1]} for two: "
                "not a row for each sample"
            )
        elif axis:
            subgraph.batch_axes[number] = axis
    return (subgraph(alone) if subgraph.batch_axes else one), unfit


def _find_batch_axis(one: tuple[int, ...], two: tuple[int, ...]) -> int | None:
    """Find the only axis that is 1 for one sample and 2 for two."""
    if len(one) != len(two):
        return None
    differing = [i for i, sizes in enumerate(zip(one, two, strict=True)) if sizes[0] != sizes[1]]
    if len(differing) != 1 or (one[differing[0]], two[differing[0]]) != (1, 2):
        return None
    return differing[0]
