"""Keep the libraries' own lines off stderr and stdout."""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import shutil
import sys
import tempfile
import warnings

_held: list[io.BufferedRandom] = []


def hold_back_noise() -> None:
    """Send what libraries write to stderr to a file, and keep stderr for kprobe's own lines.

    TensorFlow and what it is made of write to the file descriptor, before and beside any
    logging that could be set up, so nothing less than the descriptor will do.
    """
    if _held:
        return
    # TensorFlow's C++ reads it once, at import: 3 leaves only fatal errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    logging.disable()
    sys.stderr.flush()
    own = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    os.dup2(file.fileno(), 2)
    sys.stderr = own
    # A crash inside TensorFlow itself ends the process without coming back here.
    faulthandler.enable(file=own)
    _held.append(file)


def give_back_stderr() -> None:
    """Write what was held back to stderr: after a bug it may be the only trace."""
    for file in _held:
        file.seek(0)
        shutil.copyfileobj(io.TextIOWrapper(file, errors="replace"), sys.stderr)
    _held.clear()


def take_stdout() -> io.BufferedWriter:
    """Give stdout for data alone: whatever else is printed goes to stderr from here on."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return own
