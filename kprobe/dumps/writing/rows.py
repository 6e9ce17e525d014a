"""The rows of a dump that is being written: handed over, written and made safe."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from kprobe.dumps.create import COMPLETE, TIME, find_offsets
from kprobe.dumps.layout import encode, identify
from kprobe.dumps.partial import explained
from kprobe.dumps.ragged_columns import RaggedColumns
from kprobe.dumps.writing.batch import Batch, Coverage
from kprobe.dumps.writing.pieces import cut
from kprobe.dumps.writing.write_threads import WriteThreads
from kprobe.errors import DumpError
from kprobe.hdf5 import open_afresh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.dumps.contents import Contents
    from kprobe.dumps.writing.claim import Claim


class WrittenRows:
    """The rows of a dump that was laid out; its maker closes it.

    Args:
        contents: What the dump is to hold.
        claim: Its partial file.
        kept: How many rows of it an earlier run committed.
        threads: Threads that write.
        in_flight: Batches that may wait to be written; with more, `write` blocks.

    Raises:
        OSError: The file can't be read or written.
    """

    def __init__(
        self, contents: Contents, claim: Claim, kept: int, *, threads: int, in_flight: int
    ) -> None:
        self._contents = contents
        self._path = claim.partial
        with open_afresh(self._path) as file:
            self._offsets = find_offsets(file, contents.columns)
            self._ragged = RaggedColumns(contents.ragged.values(), claim.file, file, kept)
        self._coverage = Coverage(contents.rows, kept)
        self._writes = WriteThreads(
            claim.file,
            self._path,
            self._offsets,
            committed=kept,
            threads=threads,
            in_flight=in_flight,
        )

    @property
    def committed(self) -> int:
        """The rows, from the first, that are safe."""
        return self._writes.committed

    @property
    def covered(self) -> int:
        """The rows from the first that were handed over."""
        return self._coverage.stop

    @property
    def waiting(self) -> int:
        """How many batches were handed over and aren't written yet."""
        return self._writes.waiting

    @property
    def committing(self) -> bool:
        """Whether a commit is under way."""
        return self._writes.committing

    @property
    def ragged_bytes(self) -> int:
        """The bytes of the values of ragged columns that were handed over."""
        return self._ragged.nbytes

    def write(self, start: int, values: Mapping[str, Any]) -> None:
        """Hand over the rows of a batch, as `Writer.write` takes them.

        Raises:
            DumpError: They don't fit, or an earlier write failed.
        """
        self._writes.collect()
        batch = Batch(values, self._contents)
        stop = start + batch.rows
        faults = [
            *self._ragged.find_faults(batch.ragged),
            *batch.find_faults(),
            *self._coverage.find_fault(start, stop, in_order=bool(batch.ragged)),
        ]
        if faults:
            raise DumpError(*faults)
        with explained(self._path):
            self._ragged.append(batch.ragged)
        pieces = cut(start, batch.even, self._contents.even, self._offsets)
        if self._contents.open_ended:  # elsewhere they were written when the file was laid out
            named = identify(encode(self._contents.samples), start, stop, self._offsets)
            pieces = itertools.chain(named, pieces)
        self._writes.put(start, pieces)
        self._coverage.add(start, stop)

    def commit(self, rows: int) -> None:
        """Make the rows below a number safe, and record that in the file.

        Raises:
            DumpError: Some of these rows were never handed over, or writing failed.
        """
        self.commit_soon(rows)
        self._writes.collect(wait=True)

    def commit_soon(self, rows: int) -> None:
        """Begin to commit, and let the next rows be written meanwhile.

        Raises:
            DumpError: As for `commit`, also of what was begun before.
        """
        if rows > self.covered:
            raise DumpError(
                f"{self._path}: expected rows 0 to {rows} to commit, and row {self.covered} "
                "was not written"
            )
        self._writes.commit_soon(rows)

    def complete(self) -> None:
        """Commit all rows there are to be, and mark the dump as complete.

        Raises:
            DumpError: Rows are missing, or writing failed.
        """
        self.commit(self._contents.rows)
        with explained(self._path):
            self._ragged.move_together()
        self._writes.record("finished", time.time(), TIME)
        self._writes.record("complete", 1, COMPLETE)
        self._writes.sync()

    def close(self) -> None:
        """Wait for what is being written, and drop what isn't."""
        self._writes.close()
