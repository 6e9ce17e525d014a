"""What is done with a batch's results while the next batches are computed."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Bytes of values: less is gone through before a thread would have begun.
_SMALL = 1 << 16


class Beside:
    """Threads that go through the tensors of a batch, one task for each tensor.

    Tasks of one batch must have nothing to do with each other. Between batches there is `wait`, so
    that each tensor is gone through in the order of batches: what comes out doesn't depend on how
    many threads there are, and one batch at most is kept for it.

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

    def submit(self, size: int, task: Callable[..., None], *arguments: Any) -> None:
        """Begin a task of the batch; a small one is done at once.

        Args:
            size: The bytes that it goes through.
            task: What is called.
            *arguments: With what.
        """
        if size < _SMALL:
            task(*arguments)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "kprobe-beside")
        self._under_way.append(self._pool.submit(task, *arguments))

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
