"""Keep the rows of a plan in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.contents import REASON, VALID
from kprobe.pipeline.running.run import run_range
from kprobe.pipeline.running.sink import Sink, make_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kprobe.dumps.contents import Column
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.batches import Computed


class _Memory(Sink):
    """The rows of each column that has any."""

    committed = 0
    waiting = 0
    taken_bytes = 0

    def __init__(self, plan: Plan, also: Callable[[Computed], None] | None) -> None:
        self._plan = plan
        self._also = also
        self.batches: dict[str, list[Any]] = {column.name: [] for column in plan.fetched}
        self.reasons: list[str] = []  # of the samples that couldn't be read, "" of the others

    def take(self, batch: Computed) -> None:
        rows = make_columns(self._plan, batch)
        if self._also is not None:
            self._also(batch)
        for column, result in zip(self._plan.fetched, batch.results, strict=True):
            # A dump has texts as bytes of one length.
            self.batches[column.name].append(result if _holds_text(column) else rows[column.name])
        span = range(batch.first, batch.first + batch.rows)
        self.reasons += [batch.faults.get(row, "") for row in span]

    def commit_soon(self, rows: int) -> None:
        """Memory isn't kept."""

    def finish(self) -> None:
        """All is there."""

    def __enter__(self) -> _Memory:
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing is open."""


def collect(plan: Plan, also: Callable[[Computed], None] | None = None) -> dict[str, Any]:
    """Run a plan and give its results.

    Args:
        plan: The plan.
        also: What is called besides with every batch.

    Returns:
        By the address that was asked for, or the alias: an array with a row for each sample; a list
        of arrays where the rows differ in shape; the value of a weight. Where samples that can't be
        read are skipped, also `valid` and `reason`, as `kprobe.open_dump` gives them: no address
        has such a name.

    Raises:
        KprobeError: As for `run`, but for what is wrong with a file.
    """
    from kprobe.compat.eager_mode import eagerly

    with _Memory(plan, also) as memory:
        eagerly(run_range)(plan, memory, 0, plan.rows)
    values: dict[str, Any] = {}
    for column in plan.columns:
        if column.value is not None:
            values[column.name] = column.value
        elif column.name in memory.batches:
            values[column.name] = _join(column, memory.batches[column.name])
    named = {name: values[column] for name, column in plan.names.items()}
    if plan.job.samples.on_error == "skip":
        reasons = np.array(memory.reasons, str)
        named |= {VALID.name: reasons == "", REASON.name: reasons}
    return named


def _holds_text(column: Column) -> bool:
    return bool(column.attrs["dtype"] == "string")


def _join(column: Column, batches: Sequence[Any]) -> Any:
    """Put the rows of all batches together."""
    text = _holds_text(column)
    shape = column.shape[:-1] if text else column.shape
    if -1 in shape:
        return [
            np.asarray(row)
            for rows in batches
            for row in (rows if isinstance(rows, list) else np.asarray(rows))
        ]
    dtype = np.dtype(object) if text else column.dtype
    return np.concatenate([np.empty((0, *shape), dtype), *(np.asarray(b, dtype) for b in batches)])
