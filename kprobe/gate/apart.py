"""Inspect a file in a process of its own, so that one that breaks what reads it harms nobody.

One process inspects for all that a program opens: it starts with the first file, has h5py and the
gate and no more, and forks for each file. A file that crashes, hangs or swells its parser ends its
fork alone, and is told by that. The forks are bound in computing, time and memory, and leave no
core. Elsewhere than on Linux, and where no Python can be started by its name, files are inspected
in the program itself, by the same rules, and nothing bounds what h5py, protobuf or json take.

Programs that fork share the process: each request is one message, and brings the socket for its
answer. It ends when the last of them does.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.errors import ShortageError
from kprobe.gate.findings import Findings, Limits
from kprobe.gate.opened_checkpoint import OpenedCheckpoint
from kprobe.gate.opened_directory import OpenedDirectory
from kprobe.gate.rules import Fault
from kprobe.shortage import explain_end, find_shortage, is_bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from kprobe.gate.findings import Opened

# The process that was started ends at once, so that a program that waits for its children isn't
# given one that it knows nothing of.
_PROGRAM = """
import os, sys
if os.fork():
    os._exit(0)
sys.path += sys.argv[2:]
from kprobe.gate.inspector import serve
serve()
"""
# An answer is no longer than this.
_MOST_BYTES = 4 << 20
_NUMBER_BYTES = 8
# It starts in 0.2 s; where it doesn't in this time, it is no fault of the file.
_START_SECONDS = 60


def inspect_apart(opened: Opened, limits: Limits | None = None) -> Findings:
    """Inspect a file by all rules but those of names, within bounds.

    Args:
        opened: The file or directory.
        limits: What the inspection may cost.

    Returns:
        What it finds. A file that can't be inspected within the limits breaks "file-parser".

    Raises:
        ShortageError: No process can be started, or it isn't given what it takes to inspect.
    """
    return begin(opened, limits)()


def begin(opened: Opened, limits: Limits | None = None) -> Callable[[], Findings]:
    """Begin to inspect a file, and give what waits for the findings: see `inspect_apart`."""
    limits = (limits or Limits()).fit(opened.size)
    if not _find_python():
        from kprobe.gate.inspect import inspect

        return lambda: inspect(opened, limits)
    answer = _inspector.ask(opened, limits)

    def finish() -> Findings:
        found = _receive(answer, opened, limits)
        if found is None:  # it was killed, or couldn't fork
            _inspector.end()
            found = _receive(_inspector.ask(opened, limits), opened, limits)
        if found is None:
            raise explain_end("the process that checks files ends before it does")
        return found

    return finish


def start() -> None:
    """Start the process that inspects, if there is none, so that those that are forked share it.

    Raises:
        ShortageError: It can't be started.
    """
    if _find_python():
        _inspector.start()


class _Inspector:
    """The process that inspects."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._number: int | None = None
        self._lock = threading.Lock()

    def start(self) -> socket.socket:
        """Start it if there is none, without waiting until it is ready."""
        with self._lock:
            if self._socket is not None and _number(self._socket) != self._number:
                # Programs that become daemons close all that is open, and open other things.
                self._socket.detach()
                self._socket = None
            if self._socket is None:
                self._socket = _start_process()
                self._number = _number(self._socket)
            return self._socket

    def ask(self, opened: Opened, limits: Limits) -> socket.socket:
        """Ask for an inspection, and give where the answer will be received."""
        request = {
            "path": str(opened.path.absolute()),
            "directory": isinstance(opened, OpenedDirectory),
            "checkpoint": isinstance(opened, OpenedCheckpoint),
            "limits": vars(limits),
        }
        message = json.dumps(request).encode()
        answer, theirs = socket.socketpair()
        with theirs:
            descriptors = [opened.descriptor, theirs.fileno()]
            try:
                socket.send_fds(self.start(), [message], descriptors)
            except OSError:  # it was killed
                self.end()
                socket.send_fds(self.start(), [message], descriptors)
        return answer

    def end(self) -> None:
        """End it, once it has answered what it was asked, unless others share it."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    def renew_lock(self) -> None:
        """Forget who has the lock: in a fork it is nobody."""
        self._lock = threading.Lock()


_inspector = _Inspector()
atexit.register(_inspector.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inspector.renew_lock)


def _number(opened: socket.socket) -> int | None:
    """Give what tells a socket from what else may have its descriptor; None for a closed one."""
    try:
        return os.fstat(opened.fileno()).st_ino
    except OSError:
        return None


def _start_process() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    home = str(Path(__file__).resolve().parents[2])
    places = [
        place for place in [*sys.path, home] if isinstance(place, str) and Path(place).is_absolute()
    ]
    with theirs:
        try:
            # Its program is this module's. Lists of processes tell by the number whose it is.
            started = subprocess.Popen(  # noqa: S603
                [_find_python() or "", "-I", "-S", "-B", "-c", _PROGRAM, str(os.getpid()), *places],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                # A library of threads would start some, and what forks must have none.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"},
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            reason = f"the process that checks files can't be started: {error.strerror}"
            raise find_shortage(error) or ShortageError(reason) from None
    started.wait()
    return ours


def _find_python() -> str | None:
    """Find the Python that this program runs in, or one like it where it is a part of another."""
    if sys.platform != "linux":
        return None
    for path in (sys.executable, f"{sys.exec_prefix}/bin/python3"):
        if path and Path(path).name.startswith("python") and os.access(path, os.X_OK):
            return path
    return None


def _receive(answer: socket.socket, opened: Opened, limits: Limits) -> Findings | None:
    """Wait for an answer; None where nothing has looked at the file."""
    with answer:
        number = _receive_bytes(answer, _NUMBER_BYTES, time.monotonic() + _START_SECONDS)
        if len(number) < _NUMBER_BYTES:
            return None
        try:
            text = _receive_bytes(answer, _MOST_BYTES, time.monotonic() + limits.wall_seconds)
            with contextlib.suppress(ValueError):
                found = Findings.from_json(text)
                if found.shortage is not None:
                    raise ShortageError(found.shortage)
                return found
        finally:
            # Whatever it is doing, or if it was stopped. It has the socket, so it's no other.
            if not _has_ended(answer):
                with contextlib.suppress(OSError):
                    os.kill(int.from_bytes(number, "big"), signal.SIGKILL)
    if is_bound(memory_bytes=limits.memory_bytes, cpu_seconds=limits.cpu_seconds):
        raise explain_end("the process that checks the file ends before it has")
    return Findings((_describe_end(limits),), opened.size)


def _receive_bytes(answer: socket.socket, count: int, deadline: float) -> bytes:
    """Receive until there are so many bytes, or no more, or it is too late."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    parts = bytearray()
    while len(parts) < count:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            break
        try:
            part = answer.recv(count - len(parts))
        except ConnectionResetError:  # it ended with something unread
            break
        if not part:
            break
        parts += part
    return bytes(parts)


def _has_ended(answer: socket.socket) -> bool:
    poll = select.poll()
    poll.register(answer, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def _describe_end(limits: Limits) -> Fault:
    return Fault(
        "file-parser",
        f"expected a file that is inspected within {limits.cpu_seconds:.3g} s and "
        f"{limits.memory_bytes / 1e9:.3g} GB, received one that takes more, or that crashes what "
        "reads it",
    )
