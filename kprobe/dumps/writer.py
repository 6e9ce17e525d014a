"""The writer of a dump: rows go straight to their places in the file, from several threads."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

from kprobe.dumps.layout import (
    COMPLETE,
    TIME,
    Attribute,
    Column,
    Samples,
    encode,
    find_offsets,
    lay_out,
)
from kprobe.dumps.output import read_output
from kprobe.dumps.partial import (
    claim,
    explain,
    is_complete,
    partial_path,
    publish,
)
from kprobe.dumps.pieces import as_array, check_columns, cut
from kprobe.dumps.ragged import RaggedWriter, move_together
from kprobe.dumps.resuming import find_differences
from kprobe.dumps.trim import trim
from kprobe.dumps.writes import Writes
from kprobe.errors import DumpError
from kprobe.hdf5 import open_for_reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy as np


# Measured on ext4 with two cores, 3.3 GB of a model that computes nothing, medians of five rounds:
# 2.4 s with four, 2.6 s with two.
_THREADS = 4


class Writer:
    """A dump being written: a context manager.

    The rows go to `NAME.partial`, a valid HDF5 file at every instant, which `finish` renames to
    NAME. When the context is left without that, by an exception or not, the rows handed over
    without a gap are committed if that works, and the partial file stays; without any, it is
    removed. An old NAME
    stays whole until the rename, and what isn't a dump is never replaced. A partial file with rows
    of an earlier run, or one that another process is writing, is refused.

    Args:
        path: The finished dump, NAME.
        columns: The datasets; those with a `value` are there from the start, the others wait
            for their rows.
        samples: The identity of every row, as `lay_out` takes them; there are as many rows.
        attrs: Attributes of the file.
        overwrite: Whether an existing NAME, and an earlier run's rows, may be replaced.
        resume: Whether to go on with the partial file of an earlier run, if there is one.
        open_ended: Whether there may be fewer rows in the end; `finish` is told how many.
        threads: Threads that write.
        in_flight: Batches that may wait to be written; with more, `write` blocks.

    Attributes:
        path: The finished dump.
        partial: The file that the rows go to.
        rows: The number of rows.

    Raises:
        DumpError: NAME can't be one of a file. On entering: NAME exists, can't be written, is
            being written by another process, the disk has no room for it, or the partial file is of
            another run than the one to be gone on with.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Sequence[Column],
        samples: Samples,
        attrs: Mapping[str, Attribute],
        *,
        overwrite: bool = False,
        resume: bool = False,
        open_ended: bool = False,
        threads: int = _THREADS,
        in_flight: int = 4,
    ) -> None:
        self.path = read_output(path)
        self.partial = partial_path(self.path)
        self.rows = len(samples)
        self._earlier = 0  # rows that an earlier run committed
        self._background: Writes | None = None
        self._all_columns = columns
        with_rows = [column for column in columns if column.value is None]
        self._columns = {column.name: column for column in with_rows if not column.ragged}
        self._ragged_columns = [column for column in with_rows if column.ragged]
        self._ragged: dict[str, RaggedWriter] = {}
        self._samples = samples
        self._attrs = attrs
        self._overwrite = overwrite
        self._resume = resume
        self._open_ended = open_ended
        self._threads = threads
        self._in_flight = in_flight
        self._covered = 0  # every row below was handed over
        self._ahead: dict[int, int] = {}  # start to stop of batches handed over beyond it
        self._finished = False

    def is_done(self) -> bool:
        """Tell whether NAME is finished already, by an earlier run of the same kind.

        Raises:
            DumpError: NAME is of another run, and mustn't be overwritten.
        """
        if self.partial.exists():
            if not is_complete(self.partial) or self._find_differences(self.partial):
                return False
            publish(self.partial, self.path, overwrite=self._overwrite)  # it was killed just before
            return True
        if not self.path.exists():
            return False
        if is_complete(self.path):
            found = self._find_differences(self.path)
            if found and not self._overwrite:
                raise _another_run(self.path, found)
            return not found
        if not self._overwrite:
            raise DumpError(
                f"{self.path}: isn't complete, and can be gone on with as {self.partial} only",
                hint="rename it, or start anew with --overwrite",
            )
        return False

    def __enter__(self) -> Writer:
        self._file, place = claim(
            self.path, self.partial, overwrite=self._overwrite, resume=self._resume
        )
        try:
            if place == self.partial:
                self._go_on()
            else:
                self._lay_out(place)
                place.rename(self.partial)
            self._find_places()
            self._background = Writes(
                self._file,
                self.partial,
                self._offsets,
                committed=self._earlier,
                threads=self._threads,
                in_flight=self._in_flight,
            )
        except BaseException as error:
            if place != self.partial:
                place.unlink(missing_ok=True)
            os.close(self._file)
            if isinstance(error, OSError):
                raise explain(error, self.partial) from error
            raise
        return self

    def write(self, start: int, batch: Mapping[str, Any]) -> None:
        """Hand over the rows of a batch, in any order of batches; they are written later.

        Args:
            start: The row of the batch's first sample.
            batch: For every column with rows an array of shape (rows of the batch,
                *column.shape) and of the column's dtype, C-contiguous: a numpy array, or anything
                with the buffer protocol. It is kept, not copied: don't change it until a commit.
                For a ragged column a sequence of arrays, one a row; then batches come in order.

        Raises:
            DumpError: The batch doesn't fit the columns or the rows, or an earlier write failed.
        """
        self._writes.collect()
        ragged = {
            name: [as_array(name, row) for row in batch[name]]
            for name in self._ragged
            if name in batch
        }
        arrays = {
            name: as_array(name, value) for name, value in batch.items() if name not in ragged
        }
        stop = start + self._check(start, arrays, ragged)
        try:
            for name, rows in ragged.items():
                self._ragged[name].append(rows)
        except OSError as error:
            raise explain(error, self.partial) from error
        pieces = cut(start, arrays, self._columns, self._offsets)
        self._writes.put(start, pieces)
        self._cover(start, stop)

    def commit(self, rows: int) -> None:
        """Make the rows below a number safe, and record that in the file.

        Args:
            rows: The number of rows from the first that were handed over, all of them.

        Raises:
            DumpError: Some of these rows were never handed over, or writing failed.
        """
        self.commit_soon(rows)
        self._writes.collect(wait=True)

    def commit_soon(self, rows: int) -> None:
        """Begin to commit, and let the next rows be written meanwhile.

        Only one commit is under way at a time: this waits for the last one.

        Args:
            rows: As for `commit`.

        Raises:
            DumpError: As for `commit`, also of what was begun before.
        """
        if rows > self._covered:
            raise DumpError(
                f"{self.partial}: expected rows 0 to {rows} to commit, and row {self._covered} "
                "was not written"
            )
        self._writes.commit_soon(rows)

    @property
    def committed(self) -> int:
        """The rows, from the first, that are safe; known after the context is left, too."""
        return self._earlier if self._background is None else self._background.committed

    @property
    def covered(self) -> int:
        """The rows from the first that were handed over."""
        return self._covered

    @property
    def waiting(self) -> int:
        """How many batches were handed over and aren't written yet."""
        return self._writes.waiting

    @property
    def committing(self) -> bool:
        """Whether a commit is under way."""
        return self._writes.committing

    def finish(self, samples: Samples | None = None) -> None:
        """Commit all rows, mark the dump as complete and give it its name.

        Args:
            samples: The identities of the rows there are, in a dump that was open-ended.

        Raises:
            DumpError: Rows are missing, writing failed, or NAME appeared in the meantime and
                mustn't be overwritten.
        """
        if samples is not None:
            self._trim(samples)
            return
        self.commit(self.rows)
        try:
            move_together(list(self._ragged.values()), self._file)
        except OSError as error:
            raise explain(error, self.partial) from error
        self._writes.record("finished", time.time(), TIME)
        self._writes.record("complete", 1, COMPLETE)
        self._writes.sync()
        publish(self.partial, self.path, overwrite=self._overwrite)
        self._finished = True

    def _trim(self, samples: Samples) -> None:
        self.commit(len(samples))
        new = self.partial.with_name(f"{self.partial.name}.new")
        try:
            trim(self.partial, new, self._all_columns, samples, self._attrs, time.time())
            new.rename(self.partial)
        except BaseException as error:
            new.unlink(missing_ok=True)  # it may be as large as the dump
            if isinstance(error, OSError):
                raise explain(error, self.partial) from error
            raise
        publish(self.partial, self.path, overwrite=self._overwrite)
        self._finished = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if not self._finished:
                # What made the caller leave matters more than that this fails as well.
                with contextlib.suppress(DumpError):
                    self.commit(self._covered)
        finally:
            self._writes.close()
            # Removed while the lock is held, or it could be another process's file.
            if not self._finished and not self.committed:
                self.partial.unlink(missing_ok=True)
            os.close(self._file)

    @property
    def _writes(self) -> Writes:
        if self._background is None:
            raise ValueError(f"{self.partial}: the context isn't entered")
        return self._background

    @property
    def ragged_bytes(self) -> int:
        """The bytes of the values of ragged columns that were handed over."""
        return sum(ragged.nbytes for ragged in self._ragged.values())

    def _lay_out(self, place: Path) -> None:
        lay_out(
            place,
            self._all_columns,
            self._samples,
            self._attrs,
            shown=self.partial,
            open_ended=self._open_ended,
        )

    def _go_on(self) -> None:
        """Take the rows that an earlier run committed.

        Raises:
            DumpError: It was another run.
        """
        if found := self._find_differences(self.partial):
            raise _another_run(self.partial, found)
        with open_for_reading(self.partial) as file:
            self._earlier = self._covered = int(file["committed"][()])

    def _find_differences(self, path: Path) -> list[str]:
        return find_differences(
            path,
            self._all_columns,
            encode(self._samples),
            self._attrs,
            any_rows=self._open_ended and is_complete(path),
        )

    def _find_places(self) -> None:
        with open_for_reading(self.partial) as file:
            self._offsets = find_offsets(file, self._all_columns)
            self._ragged = {
                column.name: RaggedWriter(column, self._file, file[column.name], self._earlier)
                for column in self._ragged_columns
            }

    def _check(
        self,
        start: int,
        arrays: Mapping[str, np.ndarray[Any, Any]],
        ragged: Mapping[str, Sequence[np.ndarray[Any, Any]]],
    ) -> int:
        """Return the number of rows of a batch that fits."""
        rows, faults = check_columns(arrays, ragged, self._columns, self._ragged)
        if any(ragged) and start != self._covered:
            faults.append(f"expected rows from {self._covered} on, and {start} came")
        if not 0 <= start <= start + rows <= self.rows:
            faults.append(
                f"expected rows within 0 to {self.rows}, and {start} to {start + rows} came"
            )
        elif rows and (start < self._covered or start in self._ahead):
            faults.append(f"expected every row once, and row {start} came again")
        if faults:
            raise DumpError(*faults)
        return rows

    def _cover(self, start: int, stop: int) -> None:
        if stop > start:
            self._ahead[start] = stop
        while self._covered in self._ahead:
            self._covered = self._ahead.pop(self._covered)


def _another_run(path: Path, differences: Sequence[str]) -> DumpError:
    return DumpError(
        f"{path}: is of another run, and can't be gone on with",
        *differences,
        hint="give the same options, or start anew with --overwrite",
    )
