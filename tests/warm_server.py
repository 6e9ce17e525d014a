"""Run in a process of its own: a Python that has imported modules, and forks. `SOCKET MODULE...`.

Each connection asks for one process: its arguments, directory, environment and standard streams.
The process is a fork of this one, which has used nothing of the modules, and runs what
`python ARGUMENTS` would: `-m MODULE`, `-c CODE` or a script. The answers are its number, and its
exit code once it has ended.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from pathlib import Path


def reap(_signal, _frame):
    """Wait for those who waited, so that what they used is counted."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def serve(listening):
    """Fork for each connection; return in the process that is to run something.

    Ends when stdin does, which is when the tests have ended, however that was.
    """
    signal.signal(signal.SIGCHLD, reap)
    while True:
        ready, _, _ = select.select([listening, 0], [], [])
        if 0 in ready:
            sys.exit()
        connection, _ = listening.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listening.close()
        message, streams, *_ = socket.recv_fds(connection, 1 << 20, 3)
        asked = json.loads(message)
        child = os.fork()
        if not child:
            connection.close()
            return asked, streams
        for stream in streams:
            os.close(stream)
        connection.sendall(f"{child}\n".encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(f"{status}\n".encode())
        os._exit(0)


def become(asked, streams):
    """Be the process that was asked for, as Python's start makes it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
    for number in asked["closed"]:
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    arguments = asked["arguments"]
    sys.path[:] = asked["path"]
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path.insert(0, "")
        exec(compile(arguments[1], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")


def end(code):
    """End as Python does, but for taking each module apart: a fork would copy it all for that."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    for module in sys.argv[2:]:
        importlib.import_module(module)
    # So that each process needn't start its own.
    importlib.import_module("kprobe.gate.apart").start()
    gc.freeze()  # else the first collection of each process copies it all
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1])
    server.listen()
    given = serve(server)
    status = 0
    try:
        become(*given)
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise
        status = ended.code or 0
    end(status)
