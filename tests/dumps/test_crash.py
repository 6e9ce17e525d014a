"""What a dump is after its process was killed, or the disk was full."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.files.space import reserve
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from warm import WarmPython

WRITE_UNTIL_KILLED = """
import signal, sys
import numpy as np
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer

columns = [Column("a", (64, 64), np.dtype("f4")), Column("b", (), np.dtype("i8"))]
contents = Contents(columns=columns, samples=[str(row) for row in range(40_000)])
with Writer(OutputSpec(path=sys.argv[1]), contents) as writer:
    print("laid out", flush=True)
    for start in range(0, 40_000, 8):
        rows = np.arange(start, start + 8)
        a = np.broadcast_to(rows[:, None, None], (8, 64, 64)).astype("f4")
        writer.write(start, {"a": a, "b": rows})
        if start % 64 == 56:
            writer.commit(start + 8)
    signal.pause()
"""


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_moment_leaves_a_valid_file_with_its_committed_rows(
    tmp_path: Path, light_python: WarmPython, seed: int
) -> None:
    process = light_python.open("-c", WRITE_UNTIL_KILLED, tmp_path / "a.h5")
    assert process.stdout.readline() == "laid out\n"
    time.sleep(random.Random(seed).uniform(0, 0.3))
    process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5.partial"]
    with h5py.File(tmp_path / "a.h5.partial", "r") as file:
        committed = int(file["committed"][()])
        assert file["complete"][()] == 0
        assert file["a"].shape == (40_000, 64, 64)
        rows = np.arange(committed)
        np.testing.assert_array_equal(file["b"][:committed], rows)
        assert np.all(file["a"][:committed] == rows[:, None, None])


WRITE_RAGGED_UNTIL_KILLED = """
import os, signal, sys
import numpy as np
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer

rows = int(sys.argv[2])
columns = [
    Column("a", (-1, 8), np.dtype("f4"), {"addresses": ["a"]}),
    Column("b", (-1, -1), np.dtype("i8"), {"addresses": ["b"]}),
    Column("c", (64,), np.dtype("f4"), {"addresses": ["c"]}),
]
contents = Contents(columns=columns, samples=[str(row) for row in range(rows)])
with Writer(OutputSpec(path=sys.argv[1]), contents) as writer:
    print("laid out", flush=True)
    for start in range(0, rows, 8):
        numbers = range(start, start + 8)
        writer.write(start, {
            "a": [np.full((row % 50, 8), row, "f4") for row in numbers],
            "b": [np.full((row % 3, row % 5), row) for row in numbers],
            "c": np.repeat(np.arange(start, start + 8, dtype="f4")[:, None], 64, 1),
        })
        if start % 64 == 56:
            writer.commit(start + 8)
    writer.commit(rows)
    left = int(sys.argv[3])  # the writes of finishing after which it kills itself
    def counting(write):
        def count(*args):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return write(*args)
        return count
    os.pwrite, os.copy_file_range = counting(os.pwrite), counting(os.copy_file_range)
    writer.finish()
"""


def check_ragged(path: Path, rows: int) -> None:
    """Check the committed rows of a dump that was killed."""
    with open_dump(path) as dump:
        committed = dump.committed
        assert committed <= rows
        np.testing.assert_array_equal(dump["c"][:committed, 63], np.arange(committed))
        for row in {0, committed // 2, *range(max(committed - 100, 0), committed)} - {committed}:
            assert dump["a"][row].shape == (row % 50, 8)
            assert dump["b"][row].shape == (row % 3, row % 5)
            assert np.all(dump["a"][row] == row)
            assert np.all(dump["b"][row] == row)


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_any_moment_keeps_the_committed_rows_of_different_shapes(
    tmp_path: Path, light_python: WarmPython, seed: int
) -> None:
    arguments = (tmp_path / "a.h5", 400_000, 0)
    process = light_python.open("-c", WRITE_RAGGED_UNTIL_KILLED, *arguments)
    assert process.stdout.readline() == "laid out\n"
    time.sleep(random.Random(seed).uniform(0, 0.3))
    process.kill()
    assert process.returncode == -signal.SIGKILL
    check_ragged(tmp_path / "a.h5.partial", 400_000)


def test_a_kill_between_any_two_writes_of_finishing_keeps_all_rows(
    tmp_path: Path, light_python: WarmPython
) -> None:
    for writes in range(20):
        path = tmp_path / f"{writes}.h5"
        result = light_python.run("-c", WRITE_RAGGED_UNTIL_KILLED, path, 80, writes)
        there = path if path.exists() else path.with_name(f"{path.name}.partial")
        check_ragged(there, 80)
        with open_dump(there) as dump:
            assert dump.committed == 80
        if result.returncode == 0:
            break
    # The values of the second column, both headers, the superblock, the time, and `complete`.
    assert (writes, result.returncode) == (6, 0)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_found_before_anything_is_written(tiny_disk: Path) -> None:
    columns = [Column("a", (1 << 20,), np.dtype(np.uint8))]
    writer = Writer(
        OutputSpec(path=tiny_disk / "a.h5"), Contents(columns=columns, samples=["x", "y"])
    )
    with pytest.raises(DumpError, match=r"2,\d\d\d,\d\d\d bytes are needed, and 1,048,576 bytes"):
        writer.__enter__()
    assert not list(tiny_disk.iterdir())


def test_a_disk_that_fills_up_on_a_stream_is_named_and_committed_rows_stay(
    tiny_disk: Path,
) -> None:
    columns = [Column("a", (1 << 18,), np.dtype(np.uint8))]
    names = np.zeros(1 << 20, "S1")

    def fill(writer: Writer) -> None:
        with writer:
            for row in range(8):
                writer.write(row, {"a": np.full((1, 1 << 18), row, np.uint8)})
                writer.commit(row + 1)

    writer = Writer(
        OutputSpec(path=tiny_disk / "a.h5"),
        Contents(columns=columns, samples=names, open_ended=True),
    )
    with pytest.raises(DumpError) as caught:
        fill(writer)
    assert caught.value.faults == (f"{writer.partial}: the disk is full",)
    assert 1 <= writer.committed < 4
    with h5py.File(writer.partial) as file:
        assert file["committed"][()] == writer.committed
        for row in range(writer.committed):
            assert (file["a"][row] == row).all()


def test_reserving_more_than_the_disk_has_names_both_sizes(tiny_disk: Path) -> None:
    path = tiny_disk / "sparse"
    with path.open("wb") as file:
        file.truncate(3 << 20)
        with pytest.raises(DumpError, match=r"3,145,728 bytes are needed, and [\d,]+ bytes are"):
            reserve(file.fileno(), path)


UNDER_A_LIMIT = """
import resource, sys
import numpy as np
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

before = sys.argv[2] == "before"
def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
if before:
    limit()
try:
    columns = [Column("a", (1 << 20,), np.dtype("u1"))]
    contents = Contents(columns=columns, samples=[*"abcd"])
    with Writer(OutputSpec(path=sys.argv[1]), contents) as writer:
        limit()
        for row in range(4):
            writer.write(row, {"a": np.ones((1, 1 << 20), "u1")})
        writer.finish()
except DumpError as error:
    print(error)
"""


OPEN_ENDED_UNDER_A_LIMIT = """
import resource, sys
import numpy as np
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
columns = [Column("a", (1024,), np.dtype("u1"))]
contents = Contents(columns=columns, samples=np.zeros(1 << 20, "S4"), open_ended=True)
try:
    with Writer(OutputSpec(path=sys.argv[1]), contents):
        pass
except DumpError as error:
    print(error, error.hint)
"""


def test_a_limit_on_the_size_of_files_is_said_of_streams(
    tmp_path: Path, light_python: WarmPython
) -> None:
    result = light_python.run("-c", OPEN_ENDED_UNDER_A_LIMIT, tmp_path / "a.h5")
    assert "ulimit -f" in result.stdout
    assert "say with limit how many" in result.stdout
    assert result.stdout.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("before", "bytes are needed, and this process may write files of 1,048,576 bytes"),
        ("during", "a.h5.partial: can't be written: File too large"),
    ],
)
def test_a_limit_on_the_size_of_files_is_one_clear_line(
    tmp_path: Path, light_python: WarmPython, moment: str, message: str
) -> None:
    result = light_python.run("-c", UNDER_A_LIMIT, tmp_path / "a.h5", moment)
    assert message in result.stdout
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""
    assert not list(tmp_path.iterdir())
