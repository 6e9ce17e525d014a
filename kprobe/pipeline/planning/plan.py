"""A plan: a job made ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kprobe.closing import Closing
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.dumps.contents import Column
    from kprobe.engines.results import Computation
    from kprobe.inputs.samples import Samples
    from kprobe.pipeline.planning.job import Job
    from kprobe.session.session import Session


# Of a dump that nobody knows the length of: a file of holes at first.
_MOST_BYTES = 1 << 42
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Plan(Closing):
    """A job made ready: what will be computed, and what will be written.

    A context manager that closes the samples and leaves the model as it was.

    Attributes:
        job: What was asked for.
        session: The model, with its feeds: whatever else is asked of it.
        samples: The rows to run.
        computation: What computes a batch; its results are in the order of those `columns` that
            have rows.
        columns: The datasets of the dump.
        addresses: The addresses that name the tensor of each, the one asked for first leading.
        names: By the name that each tensor was asked for by, in that order, the name of its column.
        left_out: What a pattern named and can't be stored, each with the reason.
        one_by_one: By address the tensors for whose sake samples are run one by one, each with the
            reason: they have no rows, and the whole tensor of a sample is stored as its row.
        batch_size: In samples; ranges begin at its multiples.
        streams: How many batches are computed at a time.
        order: The numbers of the fetched columns in the order in which the model computes them.
        attrs: The root attributes of the dump.
        notes: What the user should know about the model and the samples, a line each.
    """

    job: Job
    session: Session
    samples: Samples
    computation: Computation
    columns: Sequence[Column]
    addresses: Sequence[Sequence[str]]
    names: Mapping[str, str]
    left_out: Sequence[str]
    one_by_one: Mapping[str, str]
    batch_size: int
    streams: int
    order: Sequence[int]
    attrs: Mapping[str, Any]
    notes: Sequence[str] = ()

    def close(self) -> None:
        """Close the samples and leave the model as it was."""
        self.samples.close()
        self.computation.restore()

    @cached_property
    def fetched(self) -> Sequence[Column]:
        """The columns that the sub-graph computes, in the order of its results."""
        return [column for column in self.tensors if column.value is None]

    @cached_property
    def tensors(self) -> Sequence[Column]:
        """The columns that hold activations and weights: not labels, nor what was left out."""
        return [column for column in self.columns if "addresses" in column.attrs]

    def addresses_of(self, column: Column) -> Sequence[str]:
        """Give the addresses that name the tensor of a column."""
        return self.addresses[self.columns.index(column)]

    def find_obstacle(self) -> str | None:
        """Tell why a part of the rows can't be run by itself; None if it can."""
        if self.job.compute.stateful:
            return "the state of the model comes from all samples before"
        if not self.attrs["reproducible"]:
            return "layers draw random numbers that no seed reaches"
        return None

    @cached_property
    def rows(self) -> int:
        """How many rows there are; where nobody knows, the most that a file has room for."""
        if self.samples.rows is not None:
            return self.samples.rows
        return int(min(self.samples.most, _MOST_BYTES // max(self.row_bytes, 256)))

    def __repr__(self) -> str:
        """Say what it will write."""
        rows = "a stream of samples" if self.samples.rows is None else f"{self.rows} samples"
        names = list_names([column.name for column in self.fetched], _NAMED)
        place = "memory" if self.job.output is None else self.job.output.path
        return f"<Plan {place}: {names}; {rows}>"

    @property
    def row_bytes(self) -> int:
        """The bytes of one sample in all datasets."""
        return sum(column.row_bytes for column in self.columns)

    @property
    def bytes(self) -> int:
        """The bytes of all datasets, for all samples."""
        return sum(column.count_bytes(self.rows) for column in self.columns)
