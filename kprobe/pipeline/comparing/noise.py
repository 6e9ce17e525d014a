"""How far a model's own values are from themselves when it is computed in another way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.difference import Difference
from kprobe.engines.results import Computation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kprobe.pipeline.planning.plan import Plan

# Enough to tell the size of it; and of large ones, two are.
_ROWS = 4
_BYTES = 1 << 28


def measure_noise(plan: Plan, only: int | None) -> Mapping[str, float]:
    """Compute the first samples frozen and exactly, and one by one.

    Args:
        plan: What is computed of the model.
        only: The only number of samples that it takes; None for any.

    Returns:
        By column the root mean square of the larger difference, relative to the standard deviation
        of the values; none of a model whose results follow from what was computed before, or from
        what nobody controls.
    """
    compute = plan.job.compute
    mixing = compute.training or compute.stateful or compute.eager
    if mixing or not plan.attrs["reproducible"] or plan.one_by_one:
        return {}
    rows = only or max(2, min(_ROWS, _BYTES // max(plan.row_bytes, 1)))
    batch = plan.samples.peek(rows)
    rows = len(next(iter(batch.values())))
    base = [np.asarray(result) for result in plan.computation(batch)]
    largest = dict.fromkeys((column.name for column in plan.fetched), 0.0)
    for results in _compute_otherwise(plan, batch, rows, only):
        for column, own, other in zip(plan.fetched, base, results, strict=True):
            if own.dtype.kind not in "biufc" or own.shape != other.shape:
                continue
            found = Difference(own.shape[1:])
            found.add(own, other, 0)
            relative = found.summarize().relative
            largest[column.name] = max(largest[column.name], relative)
    plan.computation.restore()
    return largest


def _compute_otherwise(
    plan: Plan, batch: Mapping[str, Any], rows: int, only: int | None
) -> Iterator[list[Any]]:
    compute, engine = plan.job.compute, plan.computation.engine
    ways = [(True, False), (False, True)] if compute.precision == "float32" else []
    for exact, frozen in ways:
        if (exact, frozen) == (compute.exact, engine.frozen):
            continue
        session = plan.session.recompute(exact=exact)
        # Frozen only where many rows would be.
        other = session.make_engine(engine.fetches, rows=math.inf if frozen else 0)
        if other.frozen != frozen:
            continue
        results = Computation(other, plan.computation.axes)(batch)
        yield [np.asarray(result) for result in results]
        other.restore()
    if only is None and rows > 1:
        parts = [
            plan.computation({name: values[row : row + 1] for name, values in batch.items()}, row)
            for row in range(rows)
        ]
        yield [np.concatenate([np.asarray(p) for p in own]) for own in zip(*parts, strict=True)]
