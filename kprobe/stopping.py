"""Signals that stop a run, raised where that is safe.

A signal's handler runs between any two steps of Python's, and raises there. In the midst of what
threads share (`Future`, `Queue`, `Condition`) that leaves a lock taken for good, and the thread
that wants it next waits without an end (Python's documentation of `signal`, "Note on Signal
Handlers and Exceptions"). So, as long as threads are waited for, a signal is noted, and raised at
the next place where no lock is held.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

# Those that aren't there, as on Windows, aren't sent.
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
# Whoever asks again after so many seconds wants the end at once. What comes earlier is the same
# wish: `timeout` sends its signal to the process and to its group.
_AGAIN_SECONDS = 1.0


class _Noted:
    """The signals of this process, which only its main thread handles."""

    def __init__(self) -> None:
        self._depth = 0
        self._handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
        self._first: float | None = None
        self._number: int | None = None

    def begin(self) -> None:
        """Note from now on the signals whose handlers are Python's."""
        self._depth += 1
        if self._depth > 1:
            return
        self._first = self._number = None
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler) and handler != self._note:
                self._handlers[number] = handler
                signal.signal(number, self._note)

    def end(self) -> None:
        """Give the signals back to their handlers, and raise what was noted."""
        self._depth -= 1
        if self._depth:
            return
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._note:  # else somebody has set another since
                signal.signal(number, handler)
        self.raise_noted()

    def raise_noted(self) -> None:
        """Call the handler of a signal that was noted."""
        number, self._number = self._number, None
        if number is not None:
            self._handlers[number](number, None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._depth or (self._first is not None and now - self._first >= _AGAIN_SECONDS):
            self._handlers[number](number, frame)
        elif self._first is None:
            self._first, self._number = now, number


_noted = _Noted()


@contextlib.contextmanager
def deferring_stops() -> Iterator[None]:
    """Let signals wait for `stop_if_asked`, or for the end of the block.

    A signal that is sent again a second later or more is raised at once, wherever that is. Of
    blocks within each other the outermost counts. In other threads than the main one there is
    nothing to do.

    Raises:
        BaseException: At the end, what the handler of a signal raises that came meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _noted.begin()
    try:
        yield
    finally:
        _noted.end()


def stop_if_asked() -> None:
    """Raise what the handler of a signal raises that came since the block began.

    To be called where no lock is held, and again within a second or two.

    Raises:
        BaseException: What the handler raises: KeyboardInterrupt for Ctrl-C.
    """
    if threading.current_thread() is threading.main_thread():
        _noted.raise_noted()
