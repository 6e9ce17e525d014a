"""Where finished batches go: a dump is one such place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kprobe.dumps.contents import REASON, VALID, Contents
from kprobe.dumps.ragged_rows import encode_texts
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import AddressError, Hint, Setting, StoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.dumps.attributes import Attribute
    from kprobe.dumps.contents import Column
    from kprobe.dumps.output import OutputSpec
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.batches import Computed

# Batches of results that wait to be written; with those being computed they are all in memory.
IN_FLIGHT = 2


class Sink(ABC):
    """What takes the finished batches of a plan, in order, and can keep what it has.

    A context manager: when it is left, what was taken is kept as far as that can be.
    """

    @property
    @abstractmethod
    def committed(self) -> int:
        """The rows, from the first, that are safe: a run begins behind those of an earlier one."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many batches were taken and aren't dealt with yet."""

    @property
    @abstractmethod
    def taken_bytes(self) -> int:
        """The bytes of what was taken since it was entered."""

    @abstractmethod
    def take(self, batch: Computed) -> None:
        """Take the next batch; it may be dealt with later.

        Raises:
            KprobeError: It can't be taken, or an earlier one couldn't be dealt with.
        """

    @abstractmethod
    def commit_soon(self, rows: int) -> None:
        """Begin to make the rows below a number safe, all of which were taken."""

    @abstractmethod
    def finish(self) -> None:
        """Bring it to its end, when all rows were taken."""

    @abstractmethod
    def __enter__(self) -> Sink: ...

    @abstractmethod
    def __exit__(self, *exception: Any) -> None: ...


class DumpSink(Sink):
    """The dump of a plan."""

    def __init__(
        self,
        plan: Plan,
        output: OutputSpec | None = None,
        rows: range | None = None,
        attrs: Mapping[str, Attribute] | None = None,
    ) -> None:
        """Prepare the writer.

        Args:
            plan: A plan whose job has an output.
            output: Another output, for a dump of some rows alone.
            rows: Which rows it is to have; None for all.
            attrs: What is said of it besides.
        """
        output = output or plan.job.output
        if output is None:
            raise ValueError("the job has no output")
        self._plan = plan
        self._open_ended = plan.samples.rows is None
        self._start = 0 if rows is None else rows.start
        stop = plan.rows if rows is None else rows.stop
        contents = Contents(
            columns=[_cut(column, self._start, stop) for column in plan.columns],
            samples=plan.samples.names(self._start, stop),
            attrs={**plan.attrs, **(attrs or {})},
            open_ended=self._open_ended,
        )
        self._writer = Writer(output, contents, in_flight=IN_FLIGHT)
        self._begun = (0, 0)  # rows and bytes of ragged values of an earlier run

    @property
    def writer(self) -> Writer:
        """What writes the file."""
        return self._writer

    @property
    def committed(self) -> int:
        """The rows, from the first, that are on the disk."""
        return self._writer.committed

    @property
    def waiting(self) -> int:
        """How many batches wait to be written."""
        return self._writer.waiting

    @property
    def taken_bytes(self) -> int:
        """The bytes of activations that were handed to the writer."""
        rows, ragged = self._begun
        fixed = self._plan.row_bytes * (self._writer.covered - rows)
        return fixed + self._writer.ragged_bytes - ragged

    def take(self, batch: Computed) -> None:
        """Hand a batch to the writer.

        Raises:
            AddressError: A result has another shape than the first samples'.
            StoppedError: With it there would be more bytes than are allowed.
            DumpError: It can't be written.
        """
        columns = make_columns(self._plan, batch)
        self._check_size(batch, columns)
        self._writer.write(batch.first - self._start, columns)

    def commit_soon(self, rows: int) -> None:
        """Begin to commit."""
        self._writer.commit_soon(rows - self._start)

    def finish(self) -> None:
        """Complete the dump and give it its name."""
        covered = self._writer.covered
        self._writer.finish(self._plan.samples.names(0, covered) if self._open_ended else None)

    def check_kept(self, rows: int) -> None:
        """Check that what an earlier run has written beside the dump of the first rows is there."""

    def __enter__(self) -> DumpSink:
        self._writer.__enter__()
        self._begun = self._writer.committed, self._writer.ragged_bytes
        return self

    def __exit__(self, *exception: Any) -> None:
        self._writer.__exit__(*exception)

    def _check_size(self, batch: Computed, columns: Mapping[str, Any]) -> None:
        """Refuse a batch larger than what is allowed; where rows were counted, the plan was."""
        most = self._writer.output.max_bytes
        if most is None:
            return
        ragged = [column.name for column in self._plan.columns if column.ragged]
        more = sum(row.nbytes for name in ragged for row in columns[name])
        rows = batch.first + batch.rows
        fixed = sum(column.count_bytes(rows) for column in self._plan.columns)
        if fixed + self._writer.ragged_bytes + more > most:
            raise StoppedError(
                f"{most:,} bytes are allowed, and the next {batch.rows} samples would be more",
                hint=Hint("allow more with ", Setting("max_bytes")),
            )


def _cut(column: Column, start: int, stop: int) -> Column:
    """Give a column for some rows: of what is known of each sample, theirs."""
    if column.value is None or not column.by_sample or stop - start == len(column.value):
        return column
    value = column.value[start:stop]
    return replace(column, value=value, shape=value.shape)


def make_columns(plan: Plan, batch: Computed) -> dict[str, Any]:
    """Give what is written of a batch, by column.

    Args:
        plan: The plan.
        batch: What was computed.

    Returns:
        By the column's name its rows, as `Writer.write` takes them.

    Raises:
        AddressError: A result has another shape than the first samples'.
    """
    pairs = zip(plan.fetched, batch.results, strict=True)
    columns = {column.name: take_rows(column, result, batch) for column, result in pairs}
    if plan.job.samples.on_error == "skip":
        rows = range(batch.first, batch.first + batch.rows)
        columns[VALID.name] = np.array([row not in batch.faults for row in rows], VALID.dtype)
        reasons = [_fit_text(batch.faults.get(row, "")) for row in rows]
        columns[REASON.name] = np.array(reasons, REASON.dtype)
    return columns


def _fit_text(text: str) -> bytes:
    """Cut a text to what a reason may have, and not within a character."""
    return text.encode()[: REASON.dtype.itemsize].decode(errors="ignore").encode()


def take_rows(column: Column, result: Any, batch: Computed) -> Any:
    """Give the rows of a result: an array, or for a ragged column a list of one for each row.

    Args:
        column: Where they would be stored.
        result: What was computed for it.
        batch: What else was.

    Raises:
        AddressError: It has another shape than the first samples'.
    """
    rows, first = batch.rows, batch.first
    if not (column.ragged or isinstance(result, list)) and result.shape == (rows, *column.shape):
        return result
    if isinstance(result, list):  # of samples that differ in shape
        if column.ragged:
            return [encode_texts(row) if row.dtype == object else row for row in result]
        other = next((row for row in result if row.shape != column.shape), None)
        shape = (rows, *(column.shape if other is None else other.shape))
        result = result if other is not None else np.stack(result)
    else:
        shape = tuple(result.shape)
    address = cast("list[str]", column.attrs["addresses"])[0]
    hint = Hint("leave it out, or say so with ", Setting("ragged", address))
    if shape[:1] != (rows,):
        raise AddressError(
            f"{address} has {shape[0] if shape else 'no'} rows for samples {first} to "
            f"{first + rows - 1}: not a row for each sample",
            hint=hint,
        )
    if shape != (rows, *column.shape) and not column.ragged:
        raise AddressError(
            f"{address}: expected shape {(rows, *column.shape)} as of the first samples, received "
            f"{shape} for samples {first} to {first + rows - 1}: it depends on the data, as in a "
            "branch that isn't always taken",
            hint=hint,
        )
    if not column.ragged:
        return result
    values = np.asarray(result)
    # A row that is one text would come out as bytes without the ellipsis.
    cut = [values[row, ...] for row in range(rows)]
    return [encode_texts(row) if row.dtype == object else row for row in cut]
