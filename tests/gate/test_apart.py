"""Files are inspected in a process of its own, within bounds."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from kprobe.errors import ShortageError
from kprobe.gate import apart
from kprobe.gate.apart import inspect_apart
from kprobe.gate.findings import Findings, Limits
from kprobe.gate.inspect import inspect
from kprobe.gate.opened import open_file
from kprobe.gate.rules import Fault

SAMPLE = Path(__file__).parents[2] / "sample_models" / "shapes_rpn.h5"


@pytest.fixture(scope="module")
def slow_file(tmp_path_factory):
    """Give a config that takes 0.1 s or more, and 50 MB or more, to be parsed."""
    path = tmp_path_factory.mktemp("slow") / "model.json"
    path.write_text('{"class_name": "Sequential", "config": [' + "[0]," * 600_000 + "0]}")
    return open_file(path)


def find_process(owner):
    """Find the process that inspects for another one: what lists of processes show of it."""
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"-c" in words[:-2] and words[words.index(b"-c") + 2] == str(owner).encode():
            return int(folder.name)
    return None


def test_what_is_found_is_what_an_inspection_in_this_process_finds():
    opened = open_file(SAMPLE)
    found = inspect_apart(opened)
    assert found == inspect(opened)
    assert found.size == SAMPLE.stat().st_size
    assert found.faults == ()


@pytest.mark.parametrize(
    "limits", [Limits(cpu_seconds=0.001), Limits(wall_seconds=0.001), Limits(memory_bytes=10**7)]
)
def test_a_file_that_takes_too_much_is_refused(slow_file, limits):
    [fault] = inspect_apart(slow_file, limits).faults
    assert fault.rule == "file-parser"
    assert inspect_apart(slow_file).faults == ()
    # Others are inspected meanwhile, and afterwards.
    assert inspect_apart(open_file(SAMPLE)).faults == ()


def test_where_the_process_is_bound_more_tightly_the_file_is_not_at_fault(slow_file):
    before = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (10**9, before[1]))
    try:
        with pytest.raises(ShortageError, match="the process that checks the file ends before"):
            inspect_apart(slow_file, Limits(cpu_seconds=10**10, wall_seconds=0.001))
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, before)


def test_a_new_process_takes_the_place_of_one_that_was_killed():
    inspect_apart(open_file(SAMPLE))
    before = find_process(os.getpid())
    os.kill(before, signal.SIGKILL)
    while find_process(os.getpid()) == before:
        time.sleep(0.001)
    assert inspect_apart(open_file(SAMPLE)).faults == ()
    assert find_process(os.getpid()) != before


def test_threads_ask_at_the_same_time_and_nothing_stays_open():
    opened = open_file(SAMPLE)
    inspect_apart(opened)
    before = len([*Path("/proc/self/fd").iterdir()])
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(inspect_apart(opened))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [inspect(opened)] * 8
    assert len([*Path("/proc/self/fd").iterdir()]) == before


PROGRAM = """
    import json, multiprocessing, os, sys
    sys.stdin.close(); os.close(0)
    os.chdir(sys.argv[2]); os.rmdir(sys.argv[2])
    from kprobe.gate.apart import inspect_apart
    from kprobe.gate.opened import open_file

    def count(path):
        return len(inspect_apart(open_file(path)).faults), os.getppid()

    path = sys.argv[1]
    here = count(path)
    fork = os.fork()
    if not fork:
        # As programs do that become daemons: the socket's number is that of another file now.
        os.closerange(3, 1 << 10)
        others = [os.open(sys.argv[1], os.O_RDONLY) for _ in range(64)]
        found = count(path)[0]
        os._exit(10 + found + sum(os.lseek(other, 0, os.SEEK_CUR) for other in others))
    assert os.waitpid(fork, 0)[1] == 10 << 8
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    else:
        sys.exit("there is a child that the program didn't start")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map(count, [path] * 4)
    print(json.dumps([here[0], [found for found, _ in there], os.getpid()]))
"""


def test_programs_that_fork_close_all_files_or_have_no_folder_are_served(tmp_path):
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(PROGRAM), SAMPLE, tmp_path / "gone"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    here, there, number = json.loads(done.stdout)
    assert [here, *there] == [0] * 5
    while find_process(number) is not None:  # it ends with the program
        time.sleep(0.001)


def test_an_answer_is_not_believed_unchecked():
    found = Findings((Fault("file-size", "text", "owner"),), 3, "h5", "3.1", 4, 5, 6)
    assert Findings.from_json(found.to_json()) == found
    good = json.loads(found.to_json())
    for wrong in (
        [],
        {},
        {**good, "size": "3"},
        {**good, "more": 1},
        {**good, "faults": [{"rule": "none", "text": "", "owner": ""}]},
        {**good, "faults": [{"rule": "file-size", "text": 1, "owner": ""}]},
        {**good, "faults": [{"rule": "file-size"}]},
        {**good, "faults": 3},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - any
            Findings.from_json(json.dumps(wrong).encode())
    with pytest.raises(ValueError):  # noqa: PT011 - any
        Findings.from_json(b"[" * 100_000)


def test_without_a_python_to_start_it_is_inspected_here(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.setattr(sys, "exec_prefix", "/nowhere")
    asked = find_process(os.getpid())
    assert inspect_apart(open_file(SAMPLE)).size == SAMPLE.stat().st_size
    assert find_process(os.getpid()) == asked
    assert apart.start() is None
