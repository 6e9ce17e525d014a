"""What is done with a batch's results while the next batches are computed."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    # The bytes that a task goes through, and what does it.
    Task = tuple[int, Callable[[], None]]

# Pieces of a batch for each thread, so that none waits long for the others. To hand over each
# tensor by itself costs as long as it takes to go through 100 KB of it.
_PIECES = 8


class Beside:
    """Threads that go through the tensors of a batch.

    Tasks of one batch must have nothing to do with each other. A batch begins when the one before
    it is done, so that each tensor is gone through in the order of batches: what comes out doesn't
    depend on how many threads there are, and one batch at most is kept for it.

    Args:
        threads: How many; as many as there are cores for the process by default.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or len(os.sched_getaffinity(0))
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: list[Future[None]] = []

    @property
    def waiting(self) -> int:
        """How many batches aren't dealt with yet: 0 or 1."""
        return int(not all(future.done() for future in self._under_way))

    def begin(self, tasks: Sequence[Task]) -> None:
        """Begin the tasks of a batch, when those of the one before are done.

        Args:
            tasks: The tasks.

        Raises:
            BaseException: As `wait`.
        """
        self.wait()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "kprobe-beside")
        for piece in self._cut(tasks):
            self._under_way.append(self._pool.submit(_run, piece))

    def wait(self) -> None:
        """Wait for all tasks.

        Raises:
            BaseException: What the first of them raised that failed; each time it is asked.
        """
        wait(self._under_way)
        for future in self._under_way:
            future.result()
        self._under_way.clear()

    def close(self) -> None:
        """End the threads, behind all tasks."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _cut(self, tasks: Sequence[Task]) -> Iterator[list[Task]]:
        """Cut tasks into pieces of about as many bytes."""
        enough = sum(size for size, _ in tasks) / (self._threads * _PIECES)
        piece: list[Task] = []
        taken = 0
        for size, task in tasks:
            piece.append((size, task))
            taken += size
            if taken >= enough:
                yield piece
                piece, taken = [], 0
        if piece:
            yield piece


def _run(tasks: Sequence[Task]) -> None:
    for _, task in tasks:
        task()
