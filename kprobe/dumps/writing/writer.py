"""The writer of a dump: rows go straight to their places in the file, from several threads."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kprobe.dumps.layout import lay_out
from kprobe.dumps.partial import check_output, explained, is_complete, partial_path
from kprobe.dumps.writing.claim import Claim, claim, claim_earlier
from kprobe.dumps.writing.resuming import another_run, find_differences, read_kept
from kprobe.dumps.writing.rows import WrittenRows
from kprobe.dumps.writing.trim import trim
from kprobe.errors import DumpError, Hint, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kprobe.dumps.contents import Contents, SampleNames
    from kprobe.dumps.output import OutputSpec


# Measured on ext4 with two cores, 3.3 GB of a model that computes nothing, medians of five rounds:
# 2.4 s with four, 2.6 s with two.
_THREADS = 4


class Writer:
    """A dump being written: a context manager.

    The rows go to `NAME.partial`, a valid HDF5 file at every instant, which `finish` renames to
    NAME. When the context is left without that, by an exception or not, the rows handed over
    without a gap are committed if that works, and the partial file stays; without any, it is
    removed. An old NAME stays whole until the rename, and what isn't a dump is never replaced. A
    partial file with rows of an earlier run, or one that another process is writing, is refused.

    Args:
        output: What is asked of the file: its path, NAME, and whether an existing NAME and an
            earlier run's rows may be replaced, or those rows continued.
        contents: What it is to hold.
        threads: Threads that write.
        in_flight: Batches that may wait to be written; with more, `write` blocks.

    Attributes:
        output: As given.
        contents: As given.

    Raises:
        DumpError: On entering: NAME exists, can't be written, is being written by another
            process, the disk has no room for it, or the partial file is of another run than the
            one to be continued.
    """

    def __init__(
        self,
        output: OutputSpec,
        contents: Contents,
        *,
        threads: int = _THREADS,
        in_flight: int = 4,
    ) -> None:
        self.output = output
        self.contents = contents
        self._threads = threads
        self._in_flight = in_flight
        self._claim: Claim | None = None
        self._rows: WrittenRows | None = None
        self._finished = False

    @property
    def path(self) -> Path:
        """The finished dump."""
        return self.output.path

    @property
    def partial(self) -> Path:
        """The file that the rows go to."""
        return partial_path(self.path)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.contents.rows

    def is_done(self) -> bool:
        """Tell whether NAME is finished already, by an earlier run of the same kind.

        A partial file that is complete, since its run was killed just before, becomes NAME.

        Raises:
            DumpError: NAME is of another run, and mustn't be overwritten; or another process is
                writing it.
        """
        check_output(self.path, overwrite=self.output.overwrite, resume=True)
        if (earlier := claim_earlier(self.output)) is not None:
            with contextlib.closing(earlier):
                if not is_complete(self.partial) or find_differences(self.partial, self.contents):
                    return False
                earlier.publish()
                return True
        if not self.path.exists():
            return False
        if is_complete(self.path):
            found = find_differences(self.path, self.contents)
            if found and not self.output.overwrite:
                raise another_run(self.path, found)
            return not found
        if not self.output.overwrite:
            raise DumpError(
                f"{self.path}: isn't complete, and can be continued as {self.partial} only",
                hint=Hint("rename it, or start anew with ", Setting("overwrite", True)),
            )
        return False

    def __enter__(self) -> Writer:
        claimed = claim(self.output)
        try:
            is_new = claimed.is_new
            if is_new:
                claimed.fill(lambda place: lay_out(place, self.contents, shown=self.partial))
            with explained(self.partial):
                self._rows = WrittenRows(
                    self.contents,
                    claimed,
                    0 if is_new else read_kept(self.partial, self.contents),
                    threads=self._threads,
                    in_flight=self._in_flight,
                )
        except BaseException:
            if is_new:
                claimed.remove()
            claimed.close()
            raise
        self._claim = claimed
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
        self._entered.write(start, batch)

    def commit(self, rows: int) -> None:
        """Make the rows below a number safe, and record that in the file.

        Args:
            rows: The number of rows from the first that were handed over, all of them.

        Raises:
            DumpError: Some of these rows were never handed over, or writing failed.
        """
        self._entered.commit(rows)

    def commit_soon(self, rows: int) -> None:
        """Begin to commit, and let the next rows be written meanwhile.

        Only one commit is under way at a time: this waits for the last one.

        Args:
            rows: As for `commit`.

        Raises:
            DumpError: As for `commit`, also of what was begun before.
        """
        self._entered.commit_soon(rows)

    @property
    def committed(self) -> int:
        """The rows, from the first, that are safe; known after the context is left, too."""
        return 0 if self._rows is None else self._rows.committed

    @property
    def covered(self) -> int:
        """The rows from the first that were handed over."""
        return 0 if self._rows is None else self._rows.covered

    @property
    def waiting(self) -> int:
        """How many batches were handed over and aren't written yet."""
        return self._entered.waiting

    @property
    def committing(self) -> bool:
        """Whether a commit is under way."""
        return self._entered.committing

    @property
    def ragged_bytes(self) -> int:
        """The bytes of the values of ragged columns that were handed over."""
        return self._entered.ragged_bytes

    def finish(self, samples: SampleNames | None = None) -> None:
        """Commit all rows, mark the dump as complete and give it its name.

        Args:
            samples: The identities of the rows there are, in a dump that was open-ended.

        Raises:
            DumpError: Rows are missing, writing failed, or NAME appeared in the meantime and
                mustn't be overwritten.
        """
        rows, claimed = self._entered, self._claimed
        if samples is None:
            rows.complete()
        else:
            there = replace(self.contents, samples=samples, open_ended=False)
            rows.commit(there.rows)
            claimed.replace(lambda place: trim(self.partial, place, there, time.time()))
        claimed.publish()
        self._finished = True

    def __exit__(self, *exception: object) -> None:
        rows, claimed = self._entered, self._claimed
        try:
            if not self._finished:
                # What made the caller leave matters more than that this fails as well.
                with contextlib.suppress(DumpError):
                    rows.commit(rows.covered)
        finally:
            rows.close()
            if not self._finished and not rows.committed:
                claimed.remove()
            claimed.close()

    @property
    def _entered(self) -> WrittenRows:
        if self._rows is None:
            raise ValueError(f"{self.partial}: the context isn't entered")
        return self._rows

    @property
    def _claimed(self) -> Claim:
        if self._claim is None:
            raise ValueError(f"{self.partial}: the context isn't entered")
        return self._claim
