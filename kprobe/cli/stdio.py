"""Keep the libraries' own lines off stderr and stdout."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

from kprobe.errors import KprobeError
from kprobe.escaping import escape_hidden

_held: list[io.BufferedRandom] = []
_own_stdout: TextIO | None = None


class _RawStderr(io.FileIO):
    """A stderr that takes what a closed terminal doesn't: a run isn't to break over it."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(content).nbytes


def open_stderr(descriptor: int) -> TextIO:
    """Open a descriptor as the stream for kprobe's own lines; closing it leaves that open."""
    raw = _RawStderr(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), errors="backslashreplace", line_buffering=True)


def own_stdout() -> TextIO:
    """Give the stream for what commands print; what others print goes elsewhere.

    Raises:
        KprobeError: stdout is closed.
    """
    stream = _own_stdout or sys.stdout
    if stream is None:
        raise KprobeError("stdout is closed, and there is something to write to it")
    return stream


def list_own_streams() -> list[TextIO]:
    """List the streams that kprobe itself writes to, where they are open."""
    streams = (_own_stdout or sys.stdout, sys.stderr)
    return [stream for stream in streams if stream is not None and not stream.closed]


def hold_back_noise(verbose: bool = False) -> None:
    """Keep stdout for what commands print, and stderr for kprobe's own lines.

    What a model's code prints goes to stderr. What libraries write there goes to a file:
    TensorFlow and what it is made of write to the file descriptor, before and beside any
    logging that could be set up, so nothing less than the descriptor will do.

    Args:
        verbose: Whether libraries may write to stderr all the same.
    """
    # Here, because `--help` shall not wait for their imports.
    import faulthandler
    import logging
    import tempfile
    import warnings

    global _own_stdout
    if sys.stdout is not None and _own_stdout is None:
        _own_stdout, sys.stdout = sys.stdout, sys.stderr
    _show_log()
    if verbose or _held:
        return
    # TensorFlow's C++ reads it once, at import: 3 leaves only fatal errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    logging.disable()
    sys.stderr.flush()
    own = open_stderr(os.dup(2))
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    os.dup2(file.fileno(), 2)
    if sys.stdout is sys.stderr:
        sys.stdout = own
    sys.stderr = own
    # A crash inside TensorFlow itself ends the process without coming back here.
    faulthandler.enable(file=own)
    _held.append(file)


def _show_log() -> None:
    """Show what kprobe's own modules say about how they go about it: much of it with -v alone."""
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            # Wherever stderr leads meanwhile.
            print(f"kprobe: {escape_hidden(record.getMessage())}", file=sys.stderr)

    log = logging.getLogger("kprobe")
    log.handlers, log.propagate = [Handler()], False
    log.setLevel(logging.INFO)


def give_back_stderr() -> None:
    """Write what was held back to stderr: after a bug it may be the only trace."""
    import shutil

    for file in _held:
        file.seek(0)
        with io.TextIOWrapper(file, errors="replace") as text:
            shutil.copyfileobj(text, sys.stderr)
    _held.clear()


def take_stdout() -> io.BufferedWriter:
    """Give stdout for data alone: whatever else is written there goes to stderr from here on.

    Raises:
        KprobeError: There is no stdout.
    """
    own_stdout().flush()
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return own
