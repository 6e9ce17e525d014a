"""The process that inspects files for others: `kprobe.gate.apart` starts it, and asks it."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import h5py  # noqa: F401 - so that the forks have it

from kprobe.gate.findings import Findings, Limits, Opened
from kprobe.gate.inspect import inspect
from kprobe.gate.opened import adopt_file
from kprobe.gate.opened_checkpoint import OpenedCheckpoint, list_checkpoint
from kprobe.gate.opened_directory import OpenedDirectory, list_files
from kprobe.gate.rules import Fault
from kprobe.shortage import find_shortage

_MESSAGE_BYTES = 1 << 16
_NUMBER_BYTES = 8
# What is unpacked to a file has to end somewhere: see `kprobe.models.weights.archive`.
_FILE_BYTES = 16 << 30
# What it takes to begin with, code and libraries included.
_USUAL_BYTES = 1 << 30


def serve() -> None:
    """Inspect what is asked for, each file in a fork, until nobody can ask any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    gc.freeze()
    # It isn't closed: what it is a part of ends without that.
    asked = socket.socket(fileno=os.dup(0))
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, _MESSAGE_BYTES, 2)
        if not message:
            os._exit(0)
        with contextlib.suppress(OSError):  # without an answer, who asked tries again
            if not os.fork():
                _answer(message, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _import_rest()


def _import_rest() -> None:
    """Import what the first file mustn't wait for, and later ones shouldn't."""
    if "kprobe.gate.graphs.saved_model_proto" not in sys.modules:
        import kprobe.gate.graphs.saved_model_proto  # noqa: F401

        gc.freeze()


def _answer(message: bytes, descriptors: list[int]) -> None:
    """Be the fork that inspects a file, and end."""
    try:
        gc.disable()
        os.close(0)
        request = json.loads(message)
        limits = Limits(**request["limits"])
        answer = socket.socket(fileno=descriptors[1])
        answer.sendall(os.getpid().to_bytes(_NUMBER_BYTES, "big"))
        _bind(limits)
        answer.sendall(_inspect(descriptors[0], request, limits).to_json())
    finally:
        os._exit(0)


def _inspect(descriptor: int, request: dict[str, Any], limits: Limits) -> Findings:
    opened: Opened | Fault
    try:
        path = Path(request["path"])
        if request["checkpoint"]:
            members = list_checkpoint(descriptor, path.name)
            opened = OpenedCheckpoint(path, descriptor, members)
        elif request["directory"]:
            opened = OpenedDirectory(path, descriptor, list_files(descriptor))
        else:
            opened = adopt_file(descriptor, path)
        if isinstance(opened, Fault):
            return Findings((opened,))
        return inspect(opened, limits)
    except (MemoryError, RecursionError):
        raise  # without an answer, it is told
    except Exception as error:
        if (shortage := find_shortage(error)) is not None:
            return Findings(shortage=str(shortage))
        said = (str(error) or type(error).__name__).splitlines()[0]
        fault = Fault("file-parser", f"can't be inspected: {said[:100]}")
        return Findings((fault,))


def _measure_memory() -> int:
    """Measure how much memory this process may use so far, in bytes, libraries included."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # a container without /proc
        return _USUAL_BYTES
    return pages * resource.getpagesize()


def _bind(limits: Limits) -> None:
    """Bind this process to its limits."""
    bounds = {
        resource.RLIMIT_AS: _measure_memory() + limits.memory_bytes,
        # A byte and not none: a program that takes cores asks for those that are bound to none.
        resource.RLIMIT_CORE: 1,
        resource.RLIMIT_FSIZE: _FILE_BYTES,
    }
    for bound, value in bounds.items():
        hard = resource.getrlimit(bound)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(bound, (value, value))
    # Both signals end it, whatever code it is in.
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds)
