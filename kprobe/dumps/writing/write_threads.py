"""Rows on their way to the file: written by several threads, made safe by another."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.create import COMMITTED
from kprobe.dumps.files.disk import WriteBehind
from kprobe.dumps.files.lock import check_at
from kprobe.dumps.partial import explain
from kprobe.dumps.writing.pieces import share_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass
class _Queued:
    start: int
    writes: list[Future[None]]


class WriteThreads:
    """The threads that write to a file, in the background; its maker closes it.

    Args:
        file: Descriptor of the file.
        path: Its path, for messages.
        offsets: The byte offset of each dataset.
        committed: The number of rows, from the first, that are safe already.
        threads: Threads that write.
        in_flight: Batches that may wait to be written; with more, `put` blocks.

    Attributes:
        committed: The number of rows, from the first, that are safe.
    """

    def __init__(
        self,
        file: int,
        path: Path,
        offsets: Mapping[str, int | None],
        *,
        committed: int,
        threads: int,
        in_flight: int,
    ) -> None:
        self.committed = committed
        self._file = file
        # An error of the disk is told once to each open file: to a commit, too, by one of its own.
        behind = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._behind: int | None = behind
        self._disk = WriteBehind(behind, os.fstat(file).st_size)
        self._path = path
        self._offsets = offsets
        self._in_flight = in_flight
        self._batches: deque[_Queued] = deque()
        self._commit: Future[None] | None = None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="kprobe-write")
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="kprobe-commit")

    @property
    def waiting(self) -> int:
        """How many batches aren't written yet."""
        return sum(not all(write.done() for write in batch.writes) for batch in self._batches)

    @property
    def committing(self) -> bool:
        """Whether a commit is under way."""
        return self._commit is not None and not self._commit.done()

    def put(self, start: int, pieces: Iterable[tuple[int, memoryview]]) -> None:
        """Begin to write a batch.

        Args:
            start: The row of its first sample.
            pieces: Byte offsets, and the bytes to be written there.

        Raises:
            DumpError: Writing failed.
        """
        writes = [self._pool.submit(self._write, task) for task in share_out(pieces)]
        self._batches.append(_Queued(start, writes))
        while len(self._batches) > self._in_flight:
            self._wait_for(self._batches[0].writes)
            self._batches.popleft()

    def commit_soon(self, rows: int) -> None:
        """Begin to make the rows below a number safe, all of which were put.

        Only one commit is under way at a time: this waits for the last one.

        Raises:
            DumpError: Writing failed.
        """
        self.collect(wait=True)
        if rows > self.committed:
            writes = [w for batch in self._batches if batch.start < rows for w in batch.writes]
            self._commit = self._committer.submit(self._commit_written, rows, writes)

    def collect(self, *, wait: bool = False) -> None:
        """Forget what is written; raise if a write or a commit failed, now and ever after.

        Args:
            wait: Whether to wait for the commit under way.

        Raises:
            DumpError: Writing failed.
        """
        if self._commit is not None and (wait or self._commit.done()):
            self._commit.result()
        for batch in self._batches:
            self._wait_for([write for write in batch.writes if write.done()])
        while self._batches and all(write.done() for write in self._batches[0].writes):
            self._batches.popleft()

    def record(self, name: str, value: float, dtype: np.dtype[Any]) -> None:
        """Write a scalar that was laid out, at once.

        Raises:
            DumpError: It can't be written.
        """
        offset = self._offsets[name] or 0  # scalars always have a place
        try:
            self._write([(offset, np.array([value], dtype).view(np.uint8).data)])
        except OSError as error:
            raise explain(error, self._path) from error

    def sync(self) -> None:
        """Wait until the disk has what is written.

        Raises:
            DumpError: It hasn't.
        """
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise explain(error, self._path) from error

    def close(self) -> None:
        """Wait for what is being written, and drop what isn't."""
        self._committer.shutdown(wait=True)
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._behind is not None:
            os.close(self._behind)
            self._behind = None

    def _write(self, pieces: Sequence[tuple[int, memoryview]]) -> None:
        for offset, content in pieces:
            self._disk.write(offset, content)

    def _wait_for(self, writes: Sequence[Future[None]]) -> None:
        try:
            for write in writes:
                write.result()
        except OSError as error:
            raise explain(error, self._path) from error

    def _commit_written(self, rows: int, writes: Sequence[Future[None]]) -> None:
        self._wait_for(writes)
        # What was removed can be written to all the same, for hours, and is gone in the end.
        check_at(self._file, self._path)
        # The order matters: the counter must never be ahead of the rows.
        self.sync()
        self.record("committed", rows, COMMITTED)
        self.committed = rows
