"""How several threads share pieces of work, whose results are given in the order of the pieces."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from kprobe.stopping import deferring_stops, stop_if_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from concurrent.futures import Future

    # Raises `DroppedError` where a piece isn't needed any more.
    Check = Callable[[], None]

Piece = TypeVar("Piece")
Part = TypeVar("Part")

# Pieces for each thread that are begun, or wait, or whose results do: what is held of them.
_AHEAD = 4


class DroppedError(Exception):
    """A piece that isn't needed any more; nobody sees it."""


def work_in_order(
    pieces: Iterable[Piece],
    begin: Callable[[Check], Callable[[Piece], Part]],
    threads: int | None = None,
) -> Generator[tuple[Piece, Part], None, None]:
    """Work on pieces in several threads.

    Closing the generator drops the pieces that no thread has begun, and the others at the next
    check.

    Args:
        pieces: What is worked on, a few of them ahead of what was given.
        begin: Called once in each thread; gives what works on a piece there. It is given a check,
            to be called now and then, which raises where the piece isn't needed any more.
        threads: How many threads; by default as many as there are cores for the process.

    Yields:
        Each piece with what became of it, in the order of the pieces.
    """
    threads = threads or len(os.sched_getaffinity(0))
    own = threading.local()
    closed = threading.Event()

    def check() -> None:
        if closed.is_set():
            raise DroppedError

    def work(piece: Piece) -> Part:
        if not hasattr(own, "work"):
            own.work = begin(check)
        part: Part = own.work(piece)
        return part

    ahead: deque[tuple[Piece, Future[Part]]] = deque()
    pool = ThreadPoolExecutor(threads, "kprobe-pieces")
    with deferring_stops():
        try:
            for piece in pieces:
                stop_if_asked()
                ahead.append((piece, pool.submit(work, piece)))
                if len(ahead) == _AHEAD * threads:
                    first, future = ahead.popleft()
                    yield first, future.result()
            while ahead:
                stop_if_asked()
                first, future = ahead.popleft()
                yield first, future.result()
        finally:
            closed.set()
            pool.shutdown(cancel_futures=True)
