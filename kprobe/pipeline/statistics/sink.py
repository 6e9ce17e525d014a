"""Statistics of a plan's results: taken batch by batch, and kept in a file now and then."""

from __future__ import annotations

import contextlib
import functools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.statistics.accumulate import Statistics, has_statistics
from kprobe.analysis.statistics.blocks import Scanner, take_many
from kprobe.analysis.statistics.items import describe_rows, name_dtype
from kprobe.dumps.partial import check_output, is_complete, partial_path
from kprobe.dumps.writing.claim import claim
from kprobe.dumps.writing.resuming import another_run, compare_attributes
from kprobe.errors import DumpError
from kprobe.pipeline.running.beside import Beside
from kprobe.pipeline.running.sink import Sink, take_rows
from kprobe.pipeline.statistics.gathered import Gathered, find_named_rows, name_rows
from kprobe.pipeline.statistics.stored import STATISTICS, read_gathered, write_gathered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kprobe.analysis.statistics.moments import Array
    from kprobe.dumps.contents import Column
    from kprobe.dumps.output import OutputSpec
    from kprobe.dumps.writing.claim import Claim
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.batches import Computed

# More tensors share what goes through them, which takes half a MB, and a millisecond to empty.
_SCANNERS = 512


class StatisticsSink(Sink):
    """The statistics of a plan's tensors.

    Args:
        plan: The plan.
        output: Where they are kept; None for in memory alone.
        by_sample: Whether each sample is told of by itself, too.
    """

    def __init__(self, plan: Plan, output: OutputSpec | None, *, by_sample: bool) -> None:
        self._plan = plan
        self._output = output
        self._attrs = {**plan.attrs, "by_sample": by_sample}
        self._by_sample = by_sample
        self._claim: Claim | None = None
        self._finished = False
        self._torn = False
        self._committed = self._rows = self._left_out = 0
        self._bytes = 0
        pairs = zip(plan.columns, plan.addresses, strict=True)
        self._names = {column.name: addresses[0] for column, addresses in pairs}
        self._statistics = {
            self._name(column): self._make(column)
            for column in self._list_columns()
            if _is_countable(column)
        }
        several = len(self._statistics) <= _SCANNERS
        self._scanners = {name: Scanner() for name in self._statistics} if several else {}
        self._shared = threading.local()  # a scanner for each thread, where there are none above
        self._beside = Beside()

    @property
    def partial(self) -> Path | None:
        """The file in which they are kept until all rows are taken."""
        return None if self._output is None else partial_path(self._output.path)

    @property
    def committed(self) -> int:
        """The rows, from the first, whose statistics are in the file."""
        return self._committed

    @property
    def is_torn(self) -> bool:
        """Whether a part of a batch behind `rows` was added, as the run was stopped within it."""
        return self._torn

    @property
    def waiting(self) -> int:
        """How many batches wait to be gone through: one at most."""
        return self._beside.waiting

    @property
    def taken_bytes(self) -> int:
        """The bytes of values that were gone through."""
        return self._bytes

    def find_done(self) -> Gathered | None:
        """Give what an earlier run of the same kind has finished; None if there is nothing.

        Raises:
            DumpError: What is there is of another run, and mustn't be overwritten.
        """
        output, partial = self._output, self.partial
        if output is None or not output.resume:
            return None
        check_output(output.path, overwrite=output.overwrite, resume=True, kind=STATISTICS)
        if partial is None or partial.exists() or not is_complete(output.path, STATISTICS):
            return None
        earlier = read_gathered(output.path)
        found = self._find_differences(earlier)
        if found and not output.overwrite:
            raise another_run(output.path, found)
        return None if found else earlier

    def take(self, batch: Computed) -> None:
        """Begin to add the rows of a batch, when those of the one before are added.

        Raises:
            AddressError: A result has another shape than the first samples'.
        """
        valid: Array | None = None
        if batch.faults:
            valid = np.ones(batch.rows, bool)
            valid[[row - batch.first for row in batch.faults]] = False
        # All of them first: a batch that can't be taken isn't added in part.
        taken = [
            (column, _as_arrays(column, result, batch))
            for column, result in zip(self._plan.fetched, batch.results, strict=True)
            if self._name(column) in self._statistics
        ]
        self._beside.wait()
        # Ctrl-C may come between two tensors, or in the middle of one.
        self._torn = True
        tasks = []
        for column, arrays in taken:
            own = sum(values.nbytes for values in arrays)
            # Told here, in order: by which kernels it is summed mustn't depend on threads.
            part = _Part(self._name(column), arrays, take_many(own))
            self._bytes += own
            tasks.append((own, functools.partial(self._add, part, batch.first, valid)))
        self._beside.begin(tasks)
        self._left_out += len(batch.faults)
        self._rows = batch.first + batch.rows
        self._torn = False

    def _add(self, part: _Part, first_row: int, valid: Array | None) -> None:
        """Add the rows of a tensor."""
        statistics = self._statistics[part.name]
        scanner = self._scanners.get(part.name) or self._share_scanner()
        scanner.compiled = part.compiled
        first = first_row
        for values in part.arrays:
            place = slice(first - first_row, first - first_row + len(values))
            statistics.add(values, first, None if valid is None else valid[place], scanner)
            first += len(values)
        if not self._scanners:
            statistics.finish(scanner)

    def _share_scanner(self) -> Scanner:
        if not hasattr(self._shared, "scanner"):
            self._shared.scanner = Scanner()
        scanner: Scanner = self._shared.scanner
        return scanner

    def commit_soon(self, rows: int) -> None:
        """Keep what there is.

        Raises:
            DumpError: It can't be written.
        """
        if self._claim is None or rows != self._rows or rows == self._committed:
            return
        self._keep(self.gather())

    def _keep(self, gathered: Gathered) -> None:
        claimed = self._claim
        if claimed is None:
            return
        place = claimed.fill if claimed.is_new else claimed.replace
        place(lambda path: write_gathered(path, gathered))
        self._committed = gathered.rows

    def finish(self) -> None:
        """Give the file its name, with all that was gathered.

        Raises:
            DumpError: It can't be written, or a file of that name appeared meanwhile.
        """
        if self._claim is not None:
            self._keep(self.gather(finished=True))
            self._claim.publish()
        self._finished = True

    def gather(self, *, finished: bool = False) -> Gathered:
        """Give what was gathered until now.

        Args:
            finished: Whether all rows were taken, also where nobody knew how many there are.
        """
        self._beside.wait()
        torn, self._torn = self._torn, True
        for name, scanner in self._scanners.items():
            self._statistics[name].finish(scanner)
        self._torn = torn
        plan = self._plan
        weights = [self._name(column) for column in plan.columns if _is_weight(column)]
        with_rows = (each for name, each in self._statistics.items() if name not in weights)
        named = find_named_rows(with_rows)
        return Gathered(
            source=str(plan.attrs["model"]),
            statistics=self._statistics,
            weights=weights,
            rows=self._rows,
            total=self._rows if finished else plan.samples.rows,
            left_out=self._left_out,
            uncounted=[
                f"{self._name(column)} holds no numbers"
                for column in self._list_columns()
                if not _is_countable(column)
            ],
            names=name_rows(named, lambda a, b: [n.decode() for n in plan.samples.names(a, b)[:]]),
            attrs=self._attrs,
        )

    def __enter__(self) -> StatisticsSink:
        if self._output is None:
            return self
        self._claim = claim(self._output, STATISTICS)
        try:
            if not self._claim.is_new:
                self._take_up(self._claim.partial)
        except BaseException:
            self._claim.close()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            self._leave()
        finally:
            self._beside.close()

    def _leave(self) -> None:
        claimed = self._claim
        if claimed is None:
            return
        try:
            # Of a batch that was added in part nothing is kept: it is computed again.
            if not self._finished and not self._torn:
                # What made the caller leave matters more than that this fails as well.
                with contextlib.suppress(DumpError):
                    self.commit_soon(self._rows)
        finally:
            if not self._finished and not self._committed:
                claimed.remove()
            claimed.close()

    def _take_up(self, partial: Path) -> None:
        """Take up what an earlier run has kept.

        Raises:
            DumpError: It is of another run.
        """
        earlier = read_gathered(partial)
        if found := self._find_differences(earlier):
            raise another_run(partial, found)
        self._statistics = dict(earlier.statistics)
        self._rows = self._committed = earlier.rows
        self._left_out = earlier.left_out

    def _find_differences(self, earlier: Gathered) -> list[str]:
        found = compare_attributes(earlier.attrs, self._attrs)
        now, then = self._plan.samples.rows, earlier.total
        if now is not None and now != then:
            found.append(f"{then if then is None else f'{then:,}'} samples then, {now:,} now")
        return found

    def _list_columns(self) -> list[Column]:
        """List the columns of tensors in the order of computing, and those of weights."""
        plan = self._plan
        weights = [column for column in plan.columns if _is_weight(column)]
        return [*(plan.fetched[number] for number in plan.order), *weights]

    def _name(self, column: Column) -> str:
        return self._names[column.name]

    def _make(self, column: Column) -> Statistics:
        dtype = name_dtype(str(column.attrs["dtype"]), column.dtype)
        about = describe_rows(column.shape, dtype, [name or "" for name in column.axes])
        by_sample = self._by_sample and column.value is None
        statistics = Statistics(**about, by_sample=by_sample)
        if column.value is not None:
            statistics.add(column.value[np.newaxis], 0)
        return statistics


@dataclass(frozen=True)
class _Part:
    """The rows of a tensor: one array, or several that follow each other."""

    name: str
    arrays: Sequence[Array]
    compiled: bool


def _as_arrays(column: Column, result: Any, batch: Computed) -> list[Array]:
    """Give rows as one array, in the memory where they are; those that differ as one for each."""
    if not isinstance(result, list):
        result = np.asarray(result)
    rows = take_rows(column, result, batch)
    return [np.asarray(row)[np.newaxis] for row in rows] if column.ragged else [np.asarray(rows)]


def _is_weight(column: Column) -> bool:
    return column.value is not None and "addresses" in column.attrs


def _is_countable(column: Column) -> bool:
    return has_statistics(column.dtype) and column.attrs["dtype"] != "string"
