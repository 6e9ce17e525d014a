"""What was gathered of tensors: their statistics, and what is known of where they are from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kprobe.analysis.statistics.accumulate import Statistics


@dataclass(frozen=True, kw_only=True, eq=False)
class Gathered:
    """Statistics of tensors.

    Attributes:
        source: What they are of: the name of a dump, or of a model.
        statistics: By address, in the order in which the model computes the tensors, as far as
            that is known; weights come last.
        weights: Which of the addresses are those of weights, which have no samples.
        rows: How many samples were gone through, those that couldn't be read among them.
        total: How many there are; None where nobody knows.
        left_out: How many of those gone through couldn't be read, and don't count.
        uncounted: What has no statistics, such as text, each with the reason.
        names: By row the names of samples, as far as they are needed.
        attrs: What is known of the model, the samples and how it was computed.
    """

    source: str
    statistics: Mapping[str, Statistics]
    weights: Sequence[str]
    rows: int
    total: int | None
    left_out: int = 0
    uncounted: Sequence[str] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_sample(self) -> bool:
        """Whether each sample is known by itself."""
        return any(each.by_sample for each in self.statistics.values())

    @property
    def complete(self) -> bool:
        """Whether all samples were gone through."""
        return self.rows == self.total


def find_named_rows(statistics: Iterable[Statistics]) -> list[int]:
    """Give the rows whose names are needed, ascending: of each sample, or the first with NaN."""
    rows: set[int] = set()
    for each in statistics:
        if each.by_sample:
            rows.update(sample.row for sample in each.summarize_samples())
        found = each.summarize()
        rows.update(row for row in (found.first_nan, found.first_inf) if row is not None)
    return sorted(rows)


def name_rows(rows: Sequence[int], read: Callable[[int, int], Sequence[str]]) -> dict[int, str]:
    """Give the names of rows.

    Args:
        rows: Which, ascending.
        read: Gives the names from a row to the one before another.
    """
    if len(rows) > 1 and rows[-1] - rows[0] + 1 == len(rows):
        return dict(zip(rows, read(rows[0], rows[-1] + 1), strict=True))
    return {row: read(row, row + 1)[0] for row in rows}
