"""SIGTERM, SIGHUP and Ctrl-C: one line, exit code 75, and nothing that looks finished."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import h5py
import pytest

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP


@pytest.fixture(autouse=True)
def interruptible():
    """Where a shell runs the tests in the background, they and their processes ignore signals."""
    before = signal.signal(INT, signal.default_int_handler), signal.signal(HUP, signal.SIG_DFL)
    yield
    for number, handler in zip((INT, HUP), before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [TERM, INT], ids=["SIGTERM", "SIGINT"])
def test_a_run_that_is_stopped_says_so_and_leaves_the_old_dump(number, warm_python, old_dump):
    path, content = old_dump
    command = [
        *("-m", "kprobe", "dump", "sample_models/digits_cnn.keras", "--layers", "digit"),
        *("--random", "200000", "--batch-size", "1", "-o", "a.h5", "--overwrite"),
    ]
    process = warm_python.start(*command)
    partial = path.with_name("a.h5.partial")
    while not partial.exists() and process.is_running():
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(number)
    done = process.wait()
    assert done.returncode == 75
    assert done.stdout == ""
    said, stopped = done.stderr.splitlines()
    assert said == "kprobe: no --input: 200,000 random samples, seed 0"
    assert stopped.startswith("kprobe: stopped")
    assert path.read_bytes() == content
    if partial.exists():
        with h5py.File(partial) as file:
            assert file["committed"][()] < 200_000


# Sends a signal at the moment in which the main thread has just taken the lock that `Future`,
# `Queue` and `Event` share with other threads, and isn't in its `with` block yet.
IN_A_LOCK = """
import signal, sys, threading

from kprobe.cli.main import main
from kprobe.dumps.writing.writer import Writer

number, left = (signal.Signals[sys.argv.pop(1)], int(sys.argv.pop(1)))
write = Writer.write

def follow(frame, event, _):
    global left
    if frame.f_code is threading.Condition.__enter__.__code__:
        if event == "return":
            left -= 1
            if not left:
                sys.settrace(None)
                signal.raise_signal(number)
        return follow

def begin(self, *arguments):
    if left > 0:
        sys.settrace(follow)
    write(self, *arguments)

Writer.write = begin
main()
"""


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_in_the_midst_of_a_lock_stops_the_run_all_the_same(number, warm_python, tmp_path):
    command = [
        *("dump", "sample_models/digits_cnn.keras", "--layers", "digit"),
        *("--random", "2000000", "--batch-size", "1", "-o", str(tmp_path / "a.h5")),
    ]
    for place in (1, 2, 3, 4, 5, 6, 7, 20):
        with warm_python.start("-c", IN_A_LOCK, number, place, *command) as process:
            process.wait_at_most(60)
            done = process.wait()
        assert done.returncode == 75, place
        assert done.stderr.splitlines()[1].startswith("kprobe: stopped"), place
        (tmp_path / "a.h5.partial").unlink(missing_ok=True)


@pytest.mark.parametrize("number", [TERM, INT, HUP], ids=["SIGTERM", "SIGINT", "SIGHUP"])
def test_the_exit_code_is_the_same_when_a_library_runs_text(number, tmp_path):
    # `python -m` dies of SIGINT itself where a KeyboardInterrupt has passed through `exec`.
    (tmp_path / "stop.py").write_text(
        "from kprobe.cli.main import cli, main\n"
        "@cli.command()\n"
        "def stop():\n"
        f"    exec('import os; os.kill(os.getpid(), {int(number)})\\nfor _ in range(9999): pass')\n"
        "main()\n"
    )
    command = [sys.executable, "-m", "stop", "stop"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (75, "kprobe: stopped\n")


def test_what_nohup_runs_goes_on_when_the_terminal_is_closed(tmp_path):
    (tmp_path / "go.py").write_text(
        "import os, signal\n"
        "from kprobe.cli.main import cli, main\n"
        "@cli.command()\n"
        "def go():\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print('done')\n"
        "main()\n"
    )
    command = ["nohup", sys.executable, "-m", "go", "go"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_bug_is_told_as_one_with_its_traceback(tmp_path):
    (tmp_path / "fail.py").write_text(
        "from kprobe.cli.main import cli, main\n@cli.command()\ndef fail():\n    [][0]\nmain()\n"
    )
    command = [sys.executable, str(tmp_path / "fail.py"), "fail"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("kprobe: this is a bug in kprobe: please report the lines above\n")
