"""The samples of a run: a source for each input of the model."""

from __future__ import annotations

import copy
import math
from itertools import count as count_from
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.closing import Closing
from kprobe.errors import Hint, InputError, SampleError, Setting
from kprobe.inputs.fitting import check_bounds, find_integer_bounds
from kprobe.inputs.needed import check_needed, check_rows
from kprobe.inputs.sources.fallible import FallibleSource
from kprobe.inputs.sources.random_rows import RandomRows
from kprobe.inputs.sources.row_names import RowNames
from kprobe.inputs.sources.uneven import stack_alike

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from kprobe.inputs.labels import Labels
    from kprobe.inputs.sources.model_input import ModelInput
    from kprobe.inputs.sources.source import Source

Batch = dict[str, npt.NDArray[Any]]


class Samples(Closing):
    """Equally many rows from a source for each input, read together in order.

    Use it as a context manager, or close it: files stay open while it reads.

    Attributes:
        rows: The number of samples, at least one; 0 without sources; None where nobody knows it.
        limit: The most that are taken; None for all.
        sources: The source for each input, by the input's name, in the model's order.
        labels: A class for every row, before any limit; None where there are none.
        keep_going: Whether rows that can't be read are passed over, instead of an error.
        faults: The rows that couldn't be read until now, each with the reason: "NAME: REASON".
            A batch's are in it before `batches` gives the batch.
    """

    def __init__(
        self,
        sources: Mapping[ModelInput, Source],
        *,
        limit: int | None = None,
        labels: Labels | None = None,
        keep_going: bool = False,
        lacking: Mapping[ModelInput, InputError | None] | None = None,
    ) -> None:
        """Take the samples of some inputs.

        Args:
            sources: The source of each input, in the model's order.
            limit: The most samples to take; None for all.
            labels: As the attribute.
            keep_going: As the attribute.
            lacking: The inputs without a source, each with why it has none if that is known.
        """
        self.labels = labels
        self.keep_going = keep_going
        self.limit = limit
        self.faults: dict[int, str] = {}
        self.sources = {model_input.name: source for model_input, source in sources.items()}
        self._lacking = lacking or {}
        self._bounds = {
            model_input.name: (model_input, bounds)
            for model_input, source in sources.items()
            if (bounds := find_integer_bounds(model_input, source.dtype)) is not None
        }
        self.rows = self._count()

    @property
    def most(self) -> float:
        """How many there are at most: `rows`, else `limit`, else infinity."""
        return math.inf if self._end is None else self._end

    @property
    def _end(self) -> int | None:
        return self.limit if self.rows is None else self.rows

    @property
    def given(self) -> list[str]:
        """The names of the inputs that have a source."""
        return list(self.sources)

    @property
    def notes(self) -> list[str]:
        """What the user should know of the sources, a line each."""
        return [note for source in self.sources.values() for note in source.notes]

    @property
    def replayable(self) -> bool:
        """Whether the samples can be read again from the first one on."""
        return all(source.replayable for source in self.sources.values())

    def restrict(self, needed: Collection[str]) -> None:
        """Keep the sources of those inputs that are needed, and close the others.

        Args:
            needed: The names of the inputs, and of what is fed, that what is asked for depends on.

        Raises:
            InputError: One of them has no source, and can't do without; or they have several
                numbers of rows.
        """
        check_needed(self._lacking, needed)
        for name in [name for name in self.sources if name not in needed]:
            self.sources.pop(name).close()
            self._bounds.pop(name, None)
        check_rows(self.sources.values(), self.labels)
        self.rows = self._count()

    @property
    def random(self) -> bool:
        """Whether the samples are made up."""
        return any(isinstance(source, RandomRows) for source in self.sources.values())

    def change_lengths(self, *, to_run: bool = False) -> bool:
        """Give random samples other lengths where the inputs leave it open how long they are.

        Args:
            to_run: Whether the model is run to find out if it takes them.

        Returns:
            Whether there were others.
        """
        random = [source for source in self.sources.values() if isinstance(source, RandomRows)]
        changed = [source.change_length(to_run=to_run) for source in random]  # each of them
        return any(changed)

    def reshape(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Give random samples, as `find_open` gave them, other shapes."""
        for name, shape in shapes.items():
            source = self.sources[name]
            if isinstance(source, RandomRows):
                source.reshape(shape)

    def find_open(self) -> dict[str, tuple[int, ...]]:
        """Give the inputs whose random samples have lengths that nobody said, with their shapes."""
        return {
            name: source.shape
            for name, source in self.sources.items()
            if isinstance(source, RandomRows) and source.is_open
        }

    def first(self, rows: int) -> Samples:
        """Give the first rows as samples of their own, all where there are fewer.

        The sources are the same: close one of both, and read from one at a time.
        """
        limited = copy.copy(self)
        limited.faults = {}
        limited.limit = rows if self.limit is None else min(rows, self.limit)
        limited.rows = None if self.rows is None else min(rows, self.rows)
        return limited

    def specs(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Give for each input the shape of one sample, as `Source.shape`, and the dtype."""
        return {name: (source.shape, source.dtype) for name, source in self.sources.items()}

    def names(self, start: int = 0, stop: int | None = None) -> RowNames | npt.NDArray[Any]:
        """Give rows start to stop an identity each, after the first input's source.

        Returns:
            UTF-8 text such as "shapes.npz:image[12]", made when it is sliced, as of an array of
            shape (stop - start,), dtype "S<width>".
        """
        if not self.sources:
            return np.empty(0, "S1")
        stop = self._end if stop is None else stop
        if stop is None:
            raise ValueError("nobody knows how many samples there are: say which names")
        return RowNames(next(iter(self.sources.values())), range(start, stop))

    def identity(self) -> list[dict[str, Any]]:
        """Tell what is read from what, without reading it.

        Returns:
            JSON-able values for each input: "input" (its name), "rows" (before any limit; None
            where nobody knows),
            "shape" (of one sample), "dtype", and what `Source.identity` gives.
        """
        return [
            {
                "input": name,
                **source.identity(),
                "rows": source.rows,
                "shape": list(source.shape),
                "dtype": "string" if source.dtype.kind in "SUO" else source.dtype.name,
            }
            for name, source in self.sources.items()
        ]

    def peek(self, count: int) -> Batch:
        """Read the first rows ahead of `batches`, which will give them again.

        Args:
            count: How many rows; fewer are given when there are fewer. With `keep_going` they
                are the first that can be read. Where rows differ in shape they are those among
                them that have the shapes of the first.

        Raises:
            SampleError: A row can't be read; with `keep_going`, none can.
        """
        most = count if self._end is None else self._end
        looked = min(count, most)
        while True:
            batch, faults = self._read(0, looked, peeking=True)
            if not faults:
                return stack_alike(batch)
            read = len(next(iter(batch.values())))
            good = [row for row in range(read) if row not in faults][:count]
            if len(good) == count or looked == most or read < looked:
                break
            looked = min(2 * looked, most)
        if not good:
            raise next(iter(faults.values()))
        return stack_alike({name: rows[good] for name, rows in batch.items()})

    def batches(
        self, batch_size: int, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, Batch]]:
        """Read rows start to stop in order.

        Args:
            batch_size: Rows a batch; the last may have fewer.
            start: The first row.
            stop: The row after the last; by default all rows. Where nobody knows how many there
                are, they may end before.

        Yields:
            The batch's first row, and new arrays by input name, each of shape
            (rows of the batch, *sample shape). With `keep_going`, rows that can't be read are
            zeros, and in `faults`.

        Raises:
            InputError: If rows can't be read, or hold integers that the input can't.
            SampleError: If a row can't be read, and without `keep_going`.
        """
        stop = self._end if stop is None else stop
        within = stop is None or start <= stop <= self.most
        if batch_size < 1 or start < 0 or not within:
            raise ValueError(f"no batches of {batch_size} in rows {start} to {stop} of {self.most}")
        firsts = count_from(start, batch_size) if stop is None else range(start, stop, batch_size)
        for first in firsts:
            last = first + batch_size if stop is None else min(first + batch_size, stop)
            batch, faults = self._read(first, last)
            self.faults |= {row: str(error) for row, error in faults.items()}
            if rows := count_rows(batch):
                yield first, batch
            if rows < last - first:
                return

    def close(self) -> None:
        """Close the files."""
        for source in self.sources.values():
            source.close()

    def _count(self) -> int | None:
        if not self.sources:
            return 0
        known = [source.rows for source in self.sources.values() if source.rows is not None]
        if not known:
            return None
        return min(known) if self.limit is None else min([*known, self.limit])

    def _read(
        self, start: int, stop: int, *, peeking: bool = False
    ) -> tuple[Batch, dict[int, SampleError]]:
        """Read some rows, and give for those that can't be read, which are zeros, an error.

        Raises:
            SampleError: The first of those, unless the others are to be read all the same.
        """
        batch: Batch = {}
        faults: dict[int, SampleError] = {}
        for name, source in self.sources.items():
            reasons: dict[int, str] = {}
            if isinstance(source, FallibleSource):
                rows, reasons = source.salvage(start, stop)
            else:
                rows = source.peek(stop) if peeking else source.read(start, stop)
            if name in self._bounds:
                check_bounds(*self._bounds[name], source, rows, start)
            batch[name] = rows
            for row, reason in reasons.items():
                error = SampleError(source.names(row, row + 1)[0].decode(), row, reason)
                if not self.keep_going:
                    raise error
                faults.setdefault(row, error)
        self._check_lengths(batch, start, stop, peeking=peeking)
        return batch, faults

    def _check_lengths(self, batch: Batch, start: int, stop: int, *, peeking: bool) -> None:
        """Refuse sources of which one ends before its time."""
        lengths = {name: len(rows) for name, rows in batch.items()}
        if peeking or not lengths or min(lengths.values()) == stop - start:
            return
        name = min(lengths, key=lengths.__getitem__)
        if self.rows is not None or len(set(lengths.values())) > 1:
            ended = start + lengths[name]
            raise InputError(
                f"{self.sources[name].label}: expected {stop} samples, and it ended after {ended}",
                hint=Hint(Setting("limit", ended)) if ended else None,
            )


def count_rows(batch: Mapping[str, Any]) -> int:
    """Count the rows of a batch."""
    return len(next(iter(batch.values())))
