"""Processes of their own in which modules are imported already: of TensorFlow that takes 3 to 5 s.

What is about the start of a process or the last of its end, or about what TensorFlow writes when
it is imported, is for `subprocess`. What needs a process for other reasons (its streams, its
signals, its kill, eager execution off for good) is run here: as `python ARGUMENTS`, by
`warm_server.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("warm_server.py")
TENSORFLOW = ("keras", "tensorflow", "tf_keras")
# And of kprobe what most commands need: half a second, and more where no bytecode is kept.
KPROBE = (
    "kprobe.api",
    "kprobe.cli.commands.dump",
    "kprobe.pipeline.planning.plan_job",
    "kprobe.pipeline.planning.plan_session",
    "kprobe.pipeline.running.run",
    "kprobe.session.open_session",
)
DUMPS = ("h5py", "numpy", "pytest", "kprobe.dumps.reader", "kprobe.dumps.writing.writer")


class Process:
    """A process that was started warm.

    Attributes:
        stdin: What is written to it, where it was started with pipes.
        stdout: What it writes, where it was started with pipes.
        returncode: How it ended, once `wait` has returned.
    """

    def __init__(self, connection, arguments, output, errors):
        self.arguments, self._output, self._errors = arguments, output, errors
        self._connection = connection
        self.stdin = self.stdout = self.returncode = None
        self.pid = self._read_number()

    def _read_number(self):
        text = b""
        while not text.endswith(b"\n"):
            received = self._connection.recv(1)
            assert received, "the server of warm processes has ended"
            text += received
        return int(text)

    def send_signal(self, number):
        os.kill(self.pid, number)

    def is_running(self):
        return not select.select([self._connection], [], [], 0)[0]

    def wait_at_most(self, seconds):
        """Kill it if it hasn't ended by then."""
        if not select.select([self._connection], [], [], seconds)[0]:
            self.send_signal(signal.SIGKILL)

    def kill(self):
        """Kill it and wait for that, unless it was waited for."""
        if self.returncode is None:
            if self.is_running():
                self.send_signal(signal.SIGKILL)
            self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()  # what a test that fails leaves

    def wait(self, *, text=True):
        """Wait for its end, and give what `subprocess.run` would: of a pipe, what is left of it."""
        told = [None, None]
        if self.stdout is not None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
            with self.stdout:
                told[0] = self.stdout.read()
        self.returncode = self._read_number()
        self._connection.close()
        for number, stream in enumerate((self._output, self._errors)):
            if stream is None:
                continue
            with stream:
                stream.seek(0)
                content = stream.read()
            told[number] = content.decode() if text else content
        return subprocess.CompletedProcess(self.arguments, self.returncode, *told)


class WarmPython:
    """A Python that has imported some modules, and the processes that are forked from it."""

    def __init__(self, folder: Path, modules: tuple[str, ...], **variables: str):
        self._variables = variables
        self._socket = str(folder / "socket")
        self._log = (folder / "log").open("w+")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
        self._server = subprocess.Popen(
            [sys.executable, str(SERVER), self._socket, *modules],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=environment,
        )

    def _connect(self):
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._socket)
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                assert self._server.poll() is None, Path(self._log.name).read_text()
                time.sleep(0.02)  # it still imports
            else:
                return connection

    def start(self, *arguments, cwd=None, env=None, stdin=None, stdout=None, closed=()):
        """Start `python ARGUMENTS`, which reads nothing and writes to files.

        Args:
            arguments: As of `python`.
            cwd: The directory to run in.
            env: Its environment.
            stdin: An open file to read from instead of nothing.
            stdout: An open file to write to instead of what `wait` gives.
            closed: The numbers of the streams that it finds closed.
        """
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - till it is read
        output = None if stdout else tempfile.TemporaryFile()  # noqa: SIM115
        asked = {
            "arguments": [str(each) for each in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": {**(os.environ if env is None else env), **self._variables},
            "closed": closed,
            "path": [path for path in sys.path if path],
        }
        connection = self._connect()
        with Path(os.devnull).open() as nothing:
            streams = [each.fileno() for each in (stdin or nothing, stdout or output, errors)]
            socket.send_fds(connection, [json.dumps(asked).encode()], streams)
        return Process(connection, arguments, output, errors)

    def open(self, *arguments, **options):
        """Start `python ARGUMENTS` with a pipe to write lines to, and one to read from."""
        (taken, asked), (answers, given) = os.pipe(), os.pipe()
        with os.fdopen(taken) as stdin, os.fdopen(given, "w") as stdout:
            process = self.start(*arguments, stdin=stdin, stdout=stdout, **options)
        process.stdin, process.stdout = os.fdopen(asked, "w", buffering=1), os.fdopen(answers)
        return process

    def run(self, *arguments, text=True, **options):
        """Run `python ARGUMENTS`, and give what `subprocess.run` would."""
        return self.start(*arguments, **options).wait(text=text)

    def close(self):
        self._server.stdin.close()
        self._server.wait()
        self._log.close()


def serve(*modules: str, **variables: str):
    # A socket's name has to be short.
    with tempfile.TemporaryDirectory(prefix="kprobe-") as folder:
        python = WarmPython(Path(folder), modules, **variables)
        yield python
        python.close()


@pytest.fixture(scope="session")
def warm_python():
    """Python in a process of its own, with TensorFlow and kprobe imported."""
    yield from serve(*TENSORFLOW, *KPROBE)


@pytest.fixture(scope="session")
def warm_python_of_keras_2():
    """The same, where `tensorflow.keras` is Keras 2."""
    yield from serve(*TENSORFLOW, *KPROBE, TF_USE_LEGACY_KERAS="1")


@pytest.fixture(scope="session")
def light_python():
    """Python in a process of its own, with what writes and reads dumps imported."""
    yield from serve(*DUMPS)
