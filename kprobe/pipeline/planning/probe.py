"""Learn by running it what a sub-graph gives for a sample."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.errors import Hint, ModelError, Setting, UnevenError
from kprobe.inputs.samples import count_rows
from kprobe.pipeline.planning.too_few import too_few

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from kprobe.engines.engine import Engine
    from kprobe.inputs.samples import Samples


# What TensorFlow says where samples don't stand for themselves.
_OF_SHAPES = re.compile("shape|size|dimension|split|divi", re.IGNORECASE)


@dataclass(frozen=True)
class Unfit:
    """Why a result can't be stored as rows of one shape.

    Attributes:
        reason: The reason, to be put behind its address.
        alone: Whether a sample that is run alone has a value of it.
        axis: Its axis of samples all the same, where its other sizes differ.
    """

    reason: str
    alone: bool = False
    axis: int | None = None


@dataclass(frozen=True)
class Probed:
    """What was learnt of the results of a sub-graph.

    Attributes:
        results: The results, as the model has them, for the smallest batch that was run; none where
            one can't be computed for several samples.
        rows: How many samples that was.
        axes: The axis of samples of each; None for what is empty, since its loop never runs.
        unfit: By number, those that have no row for each sample, or hold what can't be stored;
            where one can't be computed for several samples, that one alone.
    """

    results: Sequence[tf.Tensor]
    rows: int
    axes: Sequence[int | None]
    unfit: dict[int, Unfit]


def probe(engine: Engine, samples: Samples, batch_size: int | None) -> Probed:
    """Run a few samples to find the axis of samples in every result.

    Args:
        engine: What runs the sub-graph.
        samples: The samples; only the first ones are looked at.
        batch_size: The batch size that is asked for. No batch is smaller: its samples may belong
            together, as the nodes of a graph or the frames of a clip do.

    Raises:
        ModelError: The model fails on such batches.
        InputError: There are fewer samples than a batch is to have, and the model fails on them.
    """
    size = engine.batch_size
    try:
        if size is None and (batch_size or 1) > 1:
            size = count_rows(samples.peek(batch_size or 1))
        if size is None:
            results, found = _compare_sizes(engine, samples, batch_size)
        else:
            results, found = _change_last(engine, samples, size)
    except UnevenError as error:
        # Where they are the samples, a sample that is run by itself has one.
        by_itself = engine.batch_size in (None, 1)
        return Probed([], 0, [], {error.fetch: Unfit(error.reason, alone=by_itself, axis=0)})
    except ModelError as error:
        enough = size is None or batch_size is None or size >= batch_size
        if enough or error.remedy is not None:
            raise
        hint = f"give {batch_size} at least"
        raise too_few(f"the only batch would have {size} samples", error, hint) from error
    unfit = {number: axis for number, axis in enumerate(found) if isinstance(axis, Unfit)}
    for number, result in enumerate(results):
        if not (result.dtype.is_numpy_compatible or result.dtype == tf.string):
            unfit[number] = Unfit(f"holds {result.dtype.name}, which can't be stored")
    axes = [None if isinstance(axis, Unfit) else axis for axis in found]
    return Probed(results, size or 1, axes, unfit)


def run_first(engine: Engine, samples: Samples, rows: int = 1) -> list[tf.Tensor]:
    """Run the first samples."""
    return engine({name: batch[:rows] for name, batch in samples.peek(rows).items()})


def _compare_sizes(
    engine: Engine, samples: Samples, batch_size: int | None
) -> tuple[list[tf.Tensor], list[int | Unfit | None]]:
    """Compare what one sample gives with what another gives, and what both give."""
    rows = {name: _repeat(batch, 2) for name, batch in samples.peek(2).items()}
    try:
        one = engine({name: batch[:1] for name, batch in rows.items()})
        other = engine({name: batch[1:] for name, batch in rows.items()})
        two = engine(rows)
    except UnevenError:
        raise
    except ModelError as error:
        if batch_size is not None:
            return _change_last(engine, samples, batch_size)
        if error.remedy is not None or not _OF_SHAPES.search(error.faults[0]):
            raise  # it says itself what to do, or isn't about so few samples
        raise ModelError(
            *error.faults,
            hint=Hint(
                "where so many samples belong together, as the nodes of a graph do, say how many: ",
                Setting("batch_size", "N", python="N"),
            ),
        ) from error.__cause__
    found: list[int | Unfit | None] = []
    for number, tensors in enumerate(zip(one, two, other, strict=True)):
        *shapes, another = (tuple(tensor.shape) for tensor in tensors)
        axis = _find_batch_axis(*shapes)
        never_ran = number in engine.lifted and shapes[0] == shapes[1] and 0 in shapes[0]
        if another != shapes[0]:
            reason = f"has shape {shapes[0]} for one sample and {another} for another"
            uneven = _find_batch_axis(*shapes, uneven=True)
            # Of one box in one image and two in another, the boxes aren't the samples.
            if uneven is not None and another[uneven : uneven + 1] != (1,):
                uneven = None
            found.append(Unfit(reason, alone=True, axis=uneven))
        elif axis is None and not never_ran:
            reason = f"has shape {shapes[0]} for one sample and {shapes[1]} for two: {_NO_ROWS}"
            found.append(Unfit(reason, alone=True, axis=_find_batch_axis(*shapes, uneven=True)))
        else:
            found.append(axis)
    return one, found


_NO_ROWS = "not a row for each sample"


def _change_last(
    engine: Engine, samples: Samples, size: int
) -> tuple[list[tf.Tensor], list[int | Unfit | None]]:
    """Look which rows change with the last sample of a batch of the only size."""
    rows = {name: _repeat(batch, size) for name, batch in samples.peek(size).items()}
    changed = {name: _change(batch) for name, batch in rows.items()}
    results = engine(rows)
    found: list[int | Unfit | None] = []
    unsure: dict[int, list[int]] = {}
    for number, pair in enumerate(zip(results, engine(changed), strict=True)):
        one, other = (tensor.numpy() for tensor in pair)
        shape = one.shape
        if shape != other.shape:
            reason = f"has shape {shape} for {size} samples and {other.shape} for others"
            axis = 0 if shape[:1] == other.shape[:1] == (1,) else None
            found.append(Unfit(reason, alone=size == 1, axis=axis))
            continue
        places = [axis for axis, length in enumerate(shape) if length == size]
        if number in engine.lifted and 0 in shape and (shape[:2] == (0, 0) or not places):
            found.append(None)  # its loop never ran
            continue
        # Not a number is the same as itself here.
        differing = np.argwhere((one != other) & ((one == one) | (other == other)))
        axes = [axis for axis in places if {*differing[:, axis]} == {size - 1}]
        reason = f"has shape {shape} for {size} samples: {_NO_ROWS}"
        if places and not axes:
            # Nothing differs, or all does, as with statistics of the batch.
            axes = unsure[number] = places
        found.append(axes[0] if axes else Unfit(reason, alone=size == 1))
    if unsure and engine.batch_size is None:
        _compare_double(engine, samples, size, unsure, results, found)
    return results, found


def _compare_double(
    engine: Engine,
    samples: Samples,
    size: int,
    unsure: Mapping[int, Sequence[int]],
    results: Sequence[tf.Tensor],
    found: list[int | Unfit | None],
) -> None:
    """Look which axis of a result is twice as long in a batch of twice the size, if it takes one.

    Args:
        engine: What runs the sub-graph.
        samples: The samples.
        size: The batch size.
        unsure: By number the results to look at, each with the axes that are as long as a batch.
        results: The results for a batch of that size.
        found: What was found of each result, which is corrected.
    """
    rows = {name: _repeat(batch, 2 * size) for name, batch in samples.peek(2 * size).items()}
    try:
        doubled = engine(rows)
    except (ModelError, UnevenError):  # a graph is of one size
        return
    for number, places in unsure.items():
        one, two = (tuple(each[number].shape) for each in (results, doubled))
        grown = [
            axis for axis, sizes in enumerate(zip(one, two, strict=False)) if len({*sizes}) > 1
        ]
        if grown and grown == [axis for axis in places if two[axis] == 2 * size]:
            found[number] = grown[0]
        else:
            reason = f"has shape {one} for {size} samples and {two} for {2 * size}: {_NO_ROWS}"
            found[number] = Unfit(reason, alone=size == 1)


def _change(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Put another sample in the place of the last: a real one where one differs, zeros or ones."""
    changed = batch.copy()
    others = [*batch[:-1], np.zeros_like(batch[-1]), np.ones_like(batch[-1])]
    changed[-1] = next(other for other in others if np.any(other != batch[-1]))
    return changed


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
