"""Continuing an unfinished dump: the end is that of an unbroken run, byte for byte."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from written import blank_times

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from warm import Process, WarmPython

FLOAT = np.dtype(np.float32)
ROWS = 400
COLUMNS = [
    Column("dense", (5, 7), FLOAT, {"addresses": ["dense"]}),
    Column("nothing", (-1, 0), FLOAT, {"addresses": ["nothing"]}),
    Column("empty", (-1,), FLOAT, {"addresses": ["empty"]}),
    Column("boxes", (-1, 4), FLOAT, {"addresses": ["boxes"]}),
    Column("both", (-1, -1), np.dtype(np.int64), {"addresses": ["both"]}),
    Column("weight", (3,), FLOAT, {}, np.arange(3, dtype=FLOAT)),
]
NAMES = [f"s{row}" for row in range(ROWS)]
ATTRS: dict[str, Any] = {"seed": 1, "inputs": '[{"input": "x", "bytes": 12}]', "addresses": ["a"]}


def make_batch(start: int, stop: int) -> dict[str, Any]:
    rows = range(start, stop)
    return {
        "dense": np.repeat(np.arange(start, stop, dtype=FLOAT), 35).reshape(-1, 5, 7),
        "nothing": [np.zeros((row % 3, 0), FLOAT) for row in rows],
        "empty": [np.zeros(0, FLOAT) for _ in rows],
        "boxes": [np.full((row % 7, 4), row, FLOAT) for row in rows],
        "both": [np.full((row % 3, row % 5), row) for row in rows],
    }


def write(path: Path, start: int, stop: int, step: int = 10, **options: Any) -> int:
    """Write some rows, and finish when they are all; return how many were there before."""
    with Writer(
        OutputSpec(path=path, **options), Contents(columns=COLUMNS, samples=NAMES, attrs=ATTRS)
    ) as writer:
        before = writer.committed
        for first in range(max(start, before), stop, step):
            writer.write(first, make_batch(first, min(first + step, stop)))
        if stop == ROWS:
            writer.finish()
    return before


def test_a_run_gone_on_with_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.h5", tmp_path / "broken.h5"
    write(whole, 0, ROWS)
    assert write(broken, 0, 130) == 0
    assert write(broken, 0, 300, resume=True) == 130
    assert write(broken, 0, ROWS, resume=True) == 300
    assert blank_times(broken) == blank_times(whole)
    assert sorted(tmp_path.iterdir()) == [broken, whole]


def test_without_an_earlier_run_one_starts_anew(tmp_path: Path) -> None:
    assert write(tmp_path / "a.h5", 0, ROWS, resume=True) == 0


RUN = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_resuming
left = int(sys.argv[3])  # the writes after which it kills itself
write = os.pwrite
def count(*args):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(*args)
os.pwrite = count
print("ready", flush=True)
test_resuming.write(Path(sys.argv[2]), 0, test_resuming.ROWS, step=2, resume=True)
print(left)
"""


@pytest.fixture
def run(light_python: WarmPython) -> Callable[..., Process]:
    def run(path: Path, writes: int = 0) -> Process:
        return light_python.open("-c", RUN, Path(__file__).parent, path, writes)

    return run


def test_killed_at_any_moment_it_is_gone_on_with(
    tmp_path: Path, run: Callable[..., Process]
) -> None:
    whole, broken = tmp_path / "whole.h5", tmp_path / "broken.h5"
    write(whole, 0, ROWS, step=2)
    generator = random.Random(0)
    for _ in range(8):
        with run(broken) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(generator.uniform(0, 0.05))
        if broken.exists():
            break
    if not broken.exists():
        write(broken, 0, ROWS, step=2, resume=True)
    assert blank_times(broken) == blank_times(whole)


def test_killed_while_it_finishes_it_is_gone_on_with(
    tmp_path: Path, run: Callable[..., Process]
) -> None:
    whole, counted = tmp_path / "whole.h5", tmp_path / "counted.h5"
    write(whole, 0, ROWS, step=2)
    total = -int(run(counted).wait().stdout.split()[-1])
    for writes in range(total - 12, total + 1):
        broken = tmp_path / f"{writes}.h5"
        assert run(broken, writes).wait().returncode == -signal.SIGKILL
        assert write(broken, 0, ROWS, step=2, resume=True) in (0, ROWS)
        assert blank_times(broken) == blank_times(whole), writes


@pytest.mark.parametrize(
    ("columns", "names", "attrs", "message"),
    [
        (COLUMNS, NAMES, ATTRS | {"seed": 2}, "seed: 1 then, 2 now"),
        (COLUMNS, NAMES, ATTRS | {"addresses": ["b"]}, r"addresses\[0\]: a then, b now"),
        (
            COLUMNS,
            NAMES,
            ATTRS | {"inputs": '[{"input": "x", "bytes": 13}]'},
            r"inputs\[0\]\.bytes: 12 then, 13 now",
        ),
        (COLUMNS, NAMES, {k: v for k, v in ATTRS.items() if k != "seed"}, "seed: 1 then, none now"),
        (COLUMNS, NAMES[:-1], ATTRS, "400 samples then, 399 now"),
        (COLUMNS, [name + "x" for name in NAMES], ATTRS, "the samples have other names"),
        ([Column("other", (), FLOAT), *COLUMNS[1:]], NAMES, ATTRS, "other: isn't there"),
        (COLUMNS[1:], NAMES, ATTRS, "dense: there then, not now"),
        (
            [Column("dense", (5, 8), FLOAT), *COLUMNS[1:]],
            NAMES,
            ATTRS,
            r"dense: shape \(5, 7\) then, \(5, 8\) now",
        ),
        ([Column("dense", (5, 7), np.dtype("f8"))], NAMES, ATTRS, "float32 then, float64 now"),
        ([Column("boxes", (4,), FLOAT)], NAMES, ATTRS, "boxes: has rows of different shapes there"),
        ([Column("weight", (3,), FLOAT, {}, np.ones(3, FLOAT))], NAMES, ATTRS, "other values"),
    ],
)
def test_another_run_is_refused_with_what_differs(
    tmp_path: Path, columns: Any, names: Any, attrs: Any, message: str
) -> None:
    path = tmp_path / "a.h5"
    write(path, 0, 100)
    before = (tmp_path / "a.h5.partial").stat().st_mtime_ns
    writer = Writer(
        OutputSpec(path=path, resume=True), Contents(columns=columns, samples=names, attrs=attrs)
    )
    with pytest.raises(DumpError, match=message) as caught, writer:
        pass
    assert "start anew with overwrite=True" in caught.value.lines[-1]
    assert (tmp_path / "a.h5.partial").stat().st_mtime_ns == before
    with open_dump(tmp_path / "a.h5.partial") as dump:
        assert dump.committed == 100


def test_rows_of_a_newer_format_are_left_alone(tmp_path: Path) -> None:
    path, partial = tmp_path / "a.h5", tmp_path / "a.h5.partial"
    write(path, 0, 100)
    with h5py.File(partial, "r+") as file:
        file.attrs["format_version"] = 3
    before = partial.stat().st_mtime_ns
    with pytest.raises(DumpError, match="a later version of kprobe wrote it, in format 3"):
        write(path, 0, ROWS, resume=True)
    assert partial.stat().st_mtime_ns == before


VERSIONS = {"kprobe_version": "1", "tensorflow_version": "2.18", "keras": "keras 3.5"}


def ask_again(path: Path, attrs: dict[str, Any]) -> bool:
    contents = Contents(columns=COLUMNS, samples=NAMES, attrs=attrs)
    return Writer(OutputSpec(path=path, resume=True), contents).is_done()


def test_a_finished_dump_is_done_whichever_version_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write(path, 0, ROWS)
    with h5py.File(path, "r+") as file:
        file.attrs.update(VERSIONS)
    now = ATTRS | {"kprobe_version": "2", "tensorflow_version": "2.21", "keras": "keras 3.15"}
    assert ask_again(path, now)
    with pytest.raises(DumpError, match="keras: keras then, tf_keras now"):
        ask_again(path, now | {"keras": "tf_keras 2.21"})
    with h5py.File(path, "r+") as file:  # as format 1 had the names
        file.attrs["format_version"] = 1
        del file["sample"]
        file["sample"] = file["sample_name"][:]
        del file["sample_name"]
    assert ask_again(path, now)
    with pytest.raises(DumpError, match="seed: 1 then, 2 now"):
        ask_again(path, now | {"seed": 2})
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 3
    with pytest.raises(DumpError, match="a later version of kprobe wrote it, in format 3"):
        ask_again(path, now)


def test_an_unfinished_dump_is_continued_by_the_version_that_began_it(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write(path, 0, 100)
    with h5py.File(f"{path}.partial", "r+") as file:
        file.attrs.update(VERSIONS)
    contents = Contents(columns=COLUMNS, samples=NAMES, attrs=ATTRS | VERSIONS | {"keras": "k 4"})
    writer = Writer(OutputSpec(path=path, resume=True), contents)
    with pytest.raises(DumpError, match=r"keras: keras 3\.5 then, k 4 now"), writer:
        pass


LAY_OUT = """
import signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_resuming
import kprobe.dumps.layout
kprobe.dumps.layout.reserve = lambda *_: (print("laying out", flush=True), signal.pause())
test_resuming.write(Path(sys.argv[2]), 0, 10)
"""


def test_a_kill_while_the_file_is_laid_out_leaves_no_partial_file(
    tmp_path: Path, light_python: WarmPython
) -> None:
    path = tmp_path / "a.h5"
    with light_python.open("-c", LAY_OUT, Path(__file__).parent, path) as process:
        assert process.stdout.readline() == "laying out\n"
        with pytest.raises(DumpError, match="another process is writing it"):
            write(path, 0, 10)
    assert not Path(f"{path}.partial").exists()
    write(path, 0, ROWS)
    assert list(tmp_path.iterdir()) == [path]
