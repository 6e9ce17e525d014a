"""Two processes at one dump: whatever one does, the other's rows and a finished dump stay."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kprobe.dumps.reader import open_dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from warm import Process, WarmPython

# Writes a dump of four rows; stops before the system calls that it is told, until it gets a line.
RUN = """
import fcntl, os, sys
import numpy as np
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

path, value, *words = sys.argv[1:]

def stop_before(module, name, is_it):
    call = getattr(module, name)
    def stopping(*arguments, **options):
        if is_it(*arguments):
            print("stopped", flush=True)
            sys.stdin.readline()
        return call(*arguments, **options)
    setattr(module, name, stopping)

def is_partial(file):
    return os.readlink(f"/proc/self/fd/{file}").endswith(".partial")

if "publish" in words:
    stop_before(os, "replace", lambda _, to: str(to).endswith(".h5"))
if "rename" in words:
    stop_before(os, "replace", lambda _, to: str(to).endswith(".partial"))
if "gate" in words:
    stop_before(os, "open", lambda path, *_: str(path).endswith(".new"))
if "open" in words:
    stop_before(os, "open", lambda path, *_: str(path).endswith(".partial"))
if "lock" in words:
    taking = (fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW)
    stop_before(fcntl, "fcntl", lambda file, what, *_: what in taking and is_partial(file))
if "remove" in words:
    stop_before(os, "unlink", lambda path, *_: str(path).endswith(".partial"))

columns = [Column("a", (), np.dtype("f4"), {"addresses": ["a"]})]
names, stream = np.array([b"0", b"1", b"2", b"3"]), "stream" in words
samples = np.zeros(1000, "S1") if stream else names
output = OutputSpec(path=path, overwrite="overwrite" in words, resume="resume" in words)
writer = Writer(output, Contents(columns=columns, samples=samples, open_ended=stream))
try:
    if output.resume and writer.is_done():
        print("done already")
    else:
        with writer:
            for row in range(writer.committed, 4):
                writer.write(row, {"a": np.full(1, float(value), "f4")})
            writer.commit(4)
            writer.finish(names if stream else None)
        print("done")
except DumpError as error:
    print(error.faults[0])
"""


class Run:
    """A process that writes a dump, and stops where it is told."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def wait_for_stop(self) -> None:
        assert self._process.stdout.readline() == "stopped\n"

    def go_on(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended
            self._process.stdin.write("\n")

    def end(self) -> str:
        """Let it run to its end, and give the last line it printed."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n" * 100)
        done = self._process.wait()
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def kill(self) -> None:
        self._process.kill()


class Runs:
    """How runs are started, and all that were."""

    def __init__(self, python: WarmPython) -> None:
        self._python, self._started = python, []

    def start(self, path: Path, value: int, *words: str) -> Run:
        self._started.append(Run(self._python.open("-c", RUN, path, value, *words)))
        return self._started[-1]

    def stopped(self, path: Path, value: int, *words: str) -> Run:
        started = self.start(path, value, *words)
        started.wait_for_stop()
        return started

    def run(self, path: Path, value: int, *words: str) -> str:
        return self.start(path, value, *words).end()

    def kill(self) -> None:
        for one in self._started:
            one.kill()


@pytest.fixture
def runs(light_python: WarmPython) -> Iterator[Runs]:
    runs = Runs(light_python)
    yield runs
    runs.kill()  # what a test that fails leaves


def read(path: Path) -> list[float]:
    with open_dump(path) as dump:
        assert dump.complete
        assert dump.rows == 4
        return list(np.asarray(dump["a"]))


def check_end(path: Path, value: int) -> None:
    """Check that there is the finished dump of one run, and nothing else."""
    assert read(path) == [value] * 4
    assert list(path.parent.iterdir()) == [path]


OTHERS = [("overwrite",), ("resume",), ("overwrite", "stream")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", [(), ("stream",)])
@pytest.mark.parametrize("moment", ["rename", "publish"])
def test_a_run_that_ends_is_not_disturbed_by_another(
    path: Path, runs: Runs, kind: tuple[str, ...], moment: str, other: tuple[str, ...]
) -> None:
    first = runs.stopped(path, 1, *kind, moment)
    if kind and moment == "rename":  # that of the layout; the next is that of what was cut
        first.go_on()
        first.wait_for_stop()
    assert "another process is writing it" in runs.run(path, 2, *other)
    assert first.end() == "done"
    check_end(path, 1)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", [(), ("stream",)])
def test_publishing_what_an_earlier_run_completed_is_not_disturbed_by_another(
    path: Path, runs: Runs, kind: tuple[str, ...], other: tuple[str, ...]
) -> None:
    runs.stopped(path, 1, *kind, "publish").kill()
    first = runs.stopped(path, 1, *kind, "resume", "publish")
    assert "another process is writing it" in runs.run(path, 2, *other)
    assert first.end() == "done already"
    check_end(path, 1)


@pytest.mark.parametrize("other", OTHERS)
def test_a_finished_dump_stays_while_it_is_replaced_and_another_tries(
    path: Path, runs: Runs, other: tuple[str, ...]
) -> None:
    assert runs.run(path, 1) == "done"
    first = runs.stopped(path, 2, "overwrite", "publish")
    said = runs.run(path, 3, *other)
    assert "another process is writing it" in said or "exists already" in said
    assert read(path) == [1] * 4
    assert first.end() == "done"
    check_end(path, 2)


@pytest.mark.parametrize("other", OTHERS)
def test_who_looked_before_another_began_and_ended_takes_nothing_away(
    path: Path, runs: Runs, other: tuple[str, ...]
) -> None:
    late = runs.stopped(path, 2, *other, "gate")
    assert runs.run(path, 1) == "done"
    if "overwrite" in other:
        assert late.end() == "done"
        check_end(path, 2)
    else:
        assert late.end() == f"{path}: exists already"
        check_end(path, 1)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("moment", ["open", "lock"])
def test_who_is_about_to_take_an_earlier_run_over_meets_another(
    path: Path, runs: Runs, moment: str, other: tuple[str, ...]
) -> None:
    runs.stopped(path, 0, "publish").kill()
    late = runs.stopped(path, 2, *other, moment)
    first = runs.run(path, 1, "overwrite")
    assert first == "done" or "another process is writing it" in first
    said = late.end()
    if "resume" in other:
        assert said == "done already"
        check_end(path, 1 if first == "done" else 0)
    else:
        assert said == "done"
        check_end(path, 2)


@pytest.mark.parametrize("other", OTHERS)
def test_who_looked_before_another_had_rows_leaves_them(
    path: Path, runs: Runs, other: tuple[str, ...]
) -> None:
    late = runs.stopped(path, 2, *other, "gate")
    first = runs.stopped(path, 1, "publish")
    assert "another process is writing it" in late.end()
    assert first.end() == "done"
    check_end(path, 1)


@pytest.mark.parametrize("other", [("overwrite",), ("overwrite", "stream")])
@pytest.mark.parametrize("kind", [(), ("stream",)])
def test_what_was_published_under_the_eyes_of_another_is_not_its_partial_file(
    path: Path, runs: Runs, kind: tuple[str, ...], other: tuple[str, ...]
) -> None:
    first = runs.stopped(path, 1, *kind, "publish")
    late = runs.start(path, 2, *other, "lock", "publish")
    first.go_on()
    assert first.end() == "done"
    # Whether it saw the first run's lock, its partial file or its end depends on which was faster.
    said = late.end()
    check_end(path, 2 if said == "done" else 1)


@pytest.mark.parametrize("other", OTHERS)
def test_rows_that_are_being_removed_are_not_resumed(
    path: Path, runs: Runs, other: tuple[str, ...]
) -> None:
    runs.stopped(path, 0, "publish").kill()
    first = runs.stopped(path, 1, "overwrite", "remove")
    assert "another process is writing it" in runs.run(path, 2, *other)
    assert first.end() == "done"
    check_end(path, 1)


def test_cutting_waits_for_who_looks_whether_there_is_something(path: Path, runs: Runs) -> None:
    late = runs.stopped(path, 2, "overwrite", "gate", "open")
    first = runs.stopped(path, 1, "stream", "gate")
    first.go_on()  # the gate of the layout
    first.wait_for_stop()  # the gate of the cutting, all rows being committed
    late.go_on()
    late.wait_for_stop()  # it has the gate, and looks at the partial file next
    first.go_on()
    assert "another process is writing it" in late.end()
    assert first.end() == "done"
    check_end(path, 1)


@pytest.mark.parametrize("moment", ["rename", "publish"])
def test_a_kill_while_the_dump_is_cut_loses_nothing(path: Path, runs: Runs, moment: str) -> None:
    first = runs.stopped(path, 1, "stream", moment)
    if moment == "rename":
        first.go_on()
        first.wait_for_stop()
    first.kill()
    assert runs.run(path, 1, "stream", "resume") in ("done", "done already")
    check_end(path, 1)


def test_many_at_once_leave_one_finished_dump_and_never_none(path: Path, runs: Runs) -> None:
    assert runs.run(path, 0) == "done"
    kinds = [("overwrite",), ("overwrite", "stream"), ("overwrite", "resume")]
    finished = 0
    for value in range(1, 4):
        several = [runs.start(path, value, *kind) for kind in kinds]
        for _ in range(20):
            assert read(path)[0] in (value - 1, value)
        said = [one.end() for one in several]
        assert all(
            text in ("done", "done already") or "another process is writing it" in text
            for text in said
        )
        finished += said.count("done")
        if read(path) != [value] * 4:  # all that ran met another, or took it for done
            assert runs.run(path, value, "overwrite") == "done"
        check_end(path, value)
    assert finished
