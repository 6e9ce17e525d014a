"""Learn by running it what a sub-graph gives for a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.errors import UnevenError

if TYPE_CHECKING:
    import numpy.typing as npt

    from kprobe.graph.computation import Computation
    from kprobe.inputs.samples import Samples


def probe(subgraph: Computation, samples: Samples) -> tuple[list[tf.Tensor], dict[int, str]]:
    """Run a few samples to find the axis of samples in every result.

    Where that isn't the first axis, as in a loop over time, the sub-graph is told to make it so.

    Args:
        subgraph: The sub-graph.
        samples: The samples; only the first ones are looked at.

    Returns:
        The results for one sample; and for those that have no row for each sample, or hold what
        can't be stored, by their number, the reason. Where one can't be computed at all, there
        are no results, and the reason of that one alone.
    """
    whole = subgraph.batch_size
    unfit: dict[int, str] = {}
    try:
        axes = _find_axes(subgraph, samples) if whole is None else _try_rows(subgraph, samples)
        for number, (axis, reason) in enumerate(axes):
            if reason:
                unfit[number] = reason
            elif axis != 0:
                subgraph.batch_axes[number] = axis
        one = subgraph({name: batch[:1] for name, batch in samples.peek(1).items()})
    except UnevenError as error:
        return [], {error.fetch: error.reason}
    texts = {n: _TEXT for n, result in enumerate(one) if result.dtype == tf.string}
    return one, unfit | texts


_TEXT = "holds text, which can't be stored"


def _find_axes(subgraph: Computation, samples: Samples) -> list[tuple[int | None, str]]:
    """Compare what one sample gives with what two give."""
    rows = samples.peek(2)
    one = subgraph({name: batch[:1] for name, batch in rows.items()})
    two = subgraph({name: _repeat(batch, 2) for name, batch in rows.items()})
    found: list[tuple[int | None, str]] = []
    for number, (single, double) in enumerate(zip(one, two, strict=True)):
        shapes = tuple(single.shape), tuple(double.shape)
        axis = _find_batch_axis(*shapes)
        never_ran = number in subgraph.lifted and shapes[0] == shapes[1] and 0 in shapes[0]
        unfit = axis is None and not never_ran
        reason = f"has shape {shapes[0]} for one sample and {shapes[1]} for two: {_NO_ROWS}"
        found.append((axis, reason if unfit else ""))
    return found


_NO_ROWS = "not a row for each sample"


def _try_rows(subgraph: Computation, samples: Samples) -> list[tuple[int | None, str]]:
    """Look which rows change with the last sample: the model takes one batch size only."""
    whole = subgraph.batch_size or 1
    rows = {name: _repeat(batch, whole) for name, batch in samples.peek(whole).items()}
    changed = {name: batch.copy() for name, batch in rows.items()}
    for batch in changed.values():
        nothing = np.zeros_like(batch[-1])
        batch[-1] = nothing if (batch[-1] != nothing).any() else np.ones_like(nothing)
    found: list[tuple[int | None, str]] = []
    for pair in zip(subgraph(rows), subgraph(changed), strict=True):
        one, other = (tensor.numpy() for tensor in pair)
        shape = one.shape
        places = [axis for axis, size in enumerate(shape) if size == whole]
        # Not a number is the same as itself here.
        differing = np.argwhere((one != other) & ((one == one) | (other == other)))
        # Where nothing differs, or all does, as with statistics of the batch, it is the first.
        axes = [axis for axis in places if {*differing[:, axis]} == {whole - 1}] or places
        reason = f"has shape {shape} for {whole} samples: {_NO_ROWS}"
        # All that is computed from a batch of one sample is that sample's.
        found.append((axes[0], "") if axes else (None, reason if whole > 1 else ""))
    return found


def _repeat(batch: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """Give so many rows, from the first on again and again."""
    return np.resize(batch, (rows, *batch.shape[1:]))


def _find_batch_axis(one: tuple[int, ...], two: tuple[int, ...]) -> int | None:
    """Find the only axis that is 1 for one sample and 2 for two."""
    if len(one) != len(two):
        return None
    differing = [i for i, sizes in enumerate(zip(one, two, strict=True)) if sizes[0] != sizes[1]]
    if len(differing) != 1 or (one[differing[0]], two[differing[0]]) != (1, 2):
        return None
    return differing[0]
