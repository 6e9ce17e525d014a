"""Prove that fetching disturbs nothing: the model's outputs with the fetches and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import tensorflow as tf

    from kprobe.graph.subgraph import Subgraph
    from kprobe.pipeline.opened import OpenModel
    from kprobe.pipeline.settle import Settled


def audit(
    cut: Callable[[Sequence[tf.Tensor]], Subgraph],
    outputs: Sequence[tf.Tensor],
    fetches: Sequence[tf.Tensor],
    batch: Mapping[str, Any],
    *,
    frozen: bool,
) -> int:
    """Compare the model's outputs on a batch, computed with the fetches and without.

    Args:
        cut: Makes the sub-graph that gives some tensors.
        outputs: The model's outputs.
        fetches: The tensors of the dump.
        batch: An array for each feed.
        frozen: Whether the dump's sub-graph is frozen.

    Returns:
        The largest difference, in units in the last place of the outputs' dtype.

    Raises:
        ModelError: The model has no floating-point output that follows from the batch.
    """
    outputs = [tensor for tensor in outputs if tensor.dtype.is_floating]
    if not outputs:
        raise ModelError("the audit compares floating-point outputs, and the model has none")
    if not set(cut(outputs).feeds) <= set(batch):
        outputs = [output for output in outputs if set(cut([output]).feeds) <= set(batch)]
        if not outputs:
            raise ModelError("the audit needs an output that can be computed from what is fed")
    results = []
    for wanted in (outputs, [*outputs, *fetches]):
        subgraph = cut(wanted)
        if frozen:
            subgraph.freeze()
        results.append(subgraph(batch)[: len(outputs)])
        subgraph.restore()
    return max(
        count_ulps(np.asarray(one), np.asarray(other)) for one, other in zip(*results, strict=True)
    )


def measure_error(
    opened: OpenModel, settled: Settled, batch: Mapping[str, Any], rows: float
) -> float:
    """Compare what will be stored of a batch with what float32 gives.

    Args:
        opened: The model, to be computed in float32.
        settled: What will be computed, in another precision.
        batch: An array for each feed.
        rows: How many rows there will be.

    Returns:
        The largest difference, in parts of the largest magnitude of its tensor.
    """
    exact = opened.cut(settled.groups, rows)
    exact.batch_axes |= settled.subgraph.batch_axes
    exact.whole |= settled.subgraph.whole
    errors = [0.0]
    for one, other in zip(exact(batch), settled.subgraph(batch), strict=True):
        if one.dtype.is_floating and one.shape == other.shape and one.shape.num_elements():
            scale = float(np.abs(one).max())
            error = float(np.abs(np.subtract(one, other, dtype=np.float64)).max())
            errors.append(error / scale if scale else error)
    for subgraph in (exact, settled.subgraph):
        subgraph.restore()
    return max(errors)


def count_ulps(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    """Give the largest difference of two arrays in units in the last place.

    The numbers of a floating-point format are counted in their order, so that neighbours differ
    by 1, across zero too (Bruce Dawson, "Comparing Floating Point Numbers", 2012).

    Args:
        one: Floating-point numbers of 2, 4 or 8 bytes.
        other: An array of the same shape and dtype.
    """
    if not one.size:
        return 0
    ordered = []
    for array in (one, other):
        bits = array.view(f"i{array.dtype.itemsize}")
        lowest = np.iinfo(bits.dtype).min
        ordered.append(
            np.where(bits < 0, lowest - bits, bits).astype(object if one.itemsize == 8 else "i8")
        )
    return int(np.abs(ordered[0] - ordered[1]).max())
