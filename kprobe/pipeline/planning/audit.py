"""Prove that fetching disturbs nothing: the model's outputs with the fetches and without."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.engines.engine import FetchSpec
from kprobe.engines.results import Computation
from kprobe.errors import AddressError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.engines.engine import Engine
    from kprobe.session.session import Session


def audit(
    session: Session,
    engine: Engine,
    batch: Mapping[str, Any],
) -> int:
    """Compare the model's outputs on a batch, computed with the fetches and without.

    Args:
        session: The model.
        engine: What computes the tensors of the dump.
        batch: An array for each feed.

    Returns:
        The largest difference, in units in the last place of the outputs' dtype.

    Raises:
        ModelError: The model has no floating-point output that follows from the batch.
    """
    floating = [tensor for tensor in session.traced.outputs if tensor.dtype.is_floating]
    if not floating:
        raise ModelError("the audit compares floating-point outputs, and the model has none")
    every = [FetchSpec(tensor.name, tensor) for tensor in floating]
    outputs = [fetch for fetch in every if _follows(session, fetch, batch)]
    if not outputs:
        raise ModelError("the audit needs an output that can be computed from what is fed")
    results = []
    fetches = [replace(fetch, dtype=None) for fetch in engine.fetches]
    for wanted in (outputs, [*outputs, *fetches]):
        audited = session.make_engine(wanted, frozen=engine.frozen)
        results.append(audited(batch)[: len(outputs)])
        audited.restore()
    return max(
        count_ulps(np.asarray(one), np.asarray(other)) for one, other in zip(*results, strict=True)
    )


def _follows(session: Session, output: FetchSpec, batch: Mapping[str, Any]) -> bool:
    try:
        return set(session.list_needed([output])) <= set(batch)
    except AddressError:  # it needs an input that isn't given
        return False


def measure_error(
    session: Session, computation: Computation, batch: Mapping[str, Any], rows: float
) -> float:
    """Compare what will be stored of a batch with what float32 gives.

    Args:
        session: The model.
        computation: What will compute it, in another precision.
        batch: An array for each feed.
        rows: How many rows there will be, at most.

    Returns:
        The largest difference, in parts of the largest magnitude of its tensor.
    """
    session = session.recompute(precision="float32")
    engine = session.make_engine(computation.engine.fetches, rows=rows)
    exact = Computation(engine, computation.axes)
    errors = [0.0]
    for one, other in zip(exact(batch), computation(batch), strict=True):
        if one.dtype.is_floating and one.shape == other.shape and one.shape.num_elements():
            values = np.asarray(one, np.float64), np.asarray(other, np.float64)
            # What isn't finite in one of them has no distance.
            finite = np.isfinite(values[0]) & np.isfinite(values[1])
            scale = np.abs(values[0], where=finite, out=np.zeros_like(values[0])).max()
            error = np.abs(values[0][finite] - values[1][finite]).max(initial=0.0)
            errors.append(float(error / scale if scale else error))
    exact.restore()
    computation.restore()
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
