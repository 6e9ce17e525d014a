"""Learn by running it what a sub-graph gives for a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.errors import UnevenError

if TYPE_CHECKING:
    import numpy.typing as npt

    from kprobe.graph.computation import Computation
    from kprobe.inputs.samples import Samples


@dataclass(frozen=True)
class Unfit:
    """Why a result can't be stored as rows of one shape.

    Attributes:
        reason: The reason, to be put behind its address.
        whole: Whether it has a value for each sample that is run by itself.
        axis: Its axis of samples all the same, where its other sizes differ.
    """

    reason: str
    whole: bool = False
    axis: int | None = None


def probe(subgraph: Computation, samples: Samples) -> tuple[list[tf.Tensor], dict[int, Unfit]]:
    """Run a few samples to find the axis of samples in every result.

    Where that isn't the first axis, as in a loop over time, the sub-graph is told to make it so.

    Args:
        subgraph: The sub-graph.
        samples: The samples; only the first ones are looked at.

    Returns:
        The results for one sample; and for those that have no row for each sample, or hold what
        can't be stored, by their number, the reason. Where one can't be computed for several
        samples, there are no results, and the reason of that one alone.
    """
    whole = subgraph.batch_size
    unfit: dict[int, Unfit] = {}
    try:
        axes = _find_axes(subgraph, samples) if whole is None else _try_rows(subgraph, samples)
        for number, axis in enumerate(axes):
            if isinstance(axis, Unfit):
                unfit[number] = axis
            elif axis != 0:
                subgraph.batch_axes[number] = axis
        one = run_one(subgraph, samples)
    except UnevenError as error:
        # Where they are the samples, a sample that is run by itself has one.
        return [], {error.fetch: Unfit(error.reason, whole=whole in (None, 1), axis=0)}
    for number, result in enumerate(one):
        if not (result.dtype.is_numpy_compatible or result.dtype == tf.string):
            unfit[number] = Unfit(f"holds {result.dtype.name}, which can't be stored")
    return one, unfit


def run_one(subgraph: Computation, samples: Samples) -> list[tf.Tensor]:
    """Run the first sample by itself."""
    return subgraph({name: batch[:1] for name, batch in samples.peek(1).items()})


def _find_axes(subgraph: Computation, samples: Samples) -> list[int | Unfit | None]:
    """Compare what one sample gives with what another gives, and what both give."""
    rows = {name: _repeat(batch, 2) for name, batch in samples.peek(2).items()}
    one = subgraph({name: batch[:1] for name, batch in rows.items()})
    other = subgraph({name: batch[1:] for name, batch in rows.items()})
    two = subgraph(rows)
    found: list[int | Unfit | None] = []
    for number, tensors in enumerate(zip(one, two, other, strict=True)):
        *shapes, another = (tuple(tensor.shape) for tensor in tensors)
        axis = _find_batch_axis(*shapes)
        never_ran = number in subgraph.lifted and shapes[0] == shapes[1] and 0 in shapes[0]
        if another != shapes[0]:
            reason = f"has shape {shapes[0]} for one sample and {another} for another"
            uneven = _find_batch_axis(*shapes, uneven=True)
            # Of one box in one image and two in another, the boxes aren't the samples.
            if uneven is not None and another[uneven : uneven + 1] != (1,):
                uneven = None
            found.append(Unfit(reason, whole=True, axis=uneven))
        elif axis is None and not never_ran:
            reason = f"has shape {shapes[0]} for one sample and {shapes[1]} for two: {_NO_ROWS}"
            found.append(Unfit(reason, whole=True, axis=_find_batch_axis(*shapes, uneven=True)))
        else:
            found.append(axis)
    return found


_NO_ROWS = "not a row for each sample"


def _try_rows(subgraph: Computation, samples: Samples) -> list[int | Unfit | None]:
    """Look which rows change with the last sample: the model takes one batch size only."""
    whole = subgraph.batch_size or 1
    rows = {name: _repeat(batch, whole) for name, batch in samples.peek(whole).items()}
    changed = {name: batch.copy() for name, batch in rows.items()}
    for batch in changed.values():
        nothing = np.zeros_like(batch[-1])
        batch[-1] = nothing if (batch[-1] != nothing).any() else np.ones_like(nothing)
    found: list[int | Unfit | None] = []
    for pair in zip(subgraph(rows), subgraph(changed), strict=True):
        one, other = (tensor.numpy() for tensor in pair)
        shape = one.shape
        if shape != other.shape:
            reason = f"has shape {shape} for {whole} samples and {other.shape} for others"
            axis = 0 if shape[:1] == other.shape[:1] == (1,) else None
            found.append(Unfit(reason, whole=whole == 1, axis=axis))
            continue
        places = [axis for axis, size in enumerate(shape) if size == whole]
        # Not a number is the same as itself here.
        differing = np.argwhere((one != other) & ((one == one) | (other == other)))
        # Where nothing differs, or all does, as with statistics of the batch, it is the first.
        axes = [axis for axis in places if {*differing[:, axis]} == {whole - 1}] or places
        reason = f"has shape {shape} for {whole} samples: {_NO_ROWS}"
        found.append(axes[0] if axes else Unfit(reason, whole=whole == 1))
    return found


def _repeat(batch: npt.NDArray[Any], rows: int) -> npt.NDArray[Any]:
    """Give so many rows, from the first on again and again."""
    return np.resize(batch, (rows, *batch.shape[1:]))


def _find_batch_axis(
    one: tuple[int, ...], two: tuple[int, ...], *, uneven: bool = False
) -> int | None:
    """Find the only axis that is 1 for one sample and 2 for two, or even the only that differs."""
    if len(one) != len(two):
        return None
    pairs = list(enumerate(zip(one, two, strict=True)))
    axes = [axis for axis, sizes in pairs if sizes == (1, 2)]
    differing = [axis for axis, sizes in pairs if sizes[0] != sizes[1]]
    return axes[0] if len(axes) == 1 and (uneven or axes == differing) else None
