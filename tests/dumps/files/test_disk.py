"""What is pushed to the disk as it is written is what was to be written, and leaves memory."""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

import kprobe.dumps.files.disk
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.files.disk import WriteBehind
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

PAGE = mmap.PAGESIZE


@pytest.fixture
def always(monkeypatch):
    """Push whatever is written, with little on its way."""
    monkeypatch.setattr(kprobe.dumps.files.disk, "_LEAST_FILE_BYTES", 0)
    monkeypatch.setattr(kprobe.dumps.files.disk, "_LEAST_BYTES", PAGE)
    monkeypatch.setattr(kprobe.dumps.files.disk, "_PART_BYTES", 2 * PAGE)
    monkeypatch.setattr(kprobe.dumps.files.disk, "_PARTS_UNDER_WAY", 2)


@pytest.fixture
def file(tmp_path, always):
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("place", [0, 1, PAGE - 1, PAGE, 3 * PAGE + 7])
@pytest.mark.parametrize("size", [0, 1, PAGE, 2 * PAGE - 1, 2 * PAGE, 9 * PAGE + 5, 64 * PAGE + 3])
def test_any_bytes_anywhere_and_nothing_else(file, place, size):
    generator = np.random.default_rng(size)
    before = generator.bytes(place + size + 2 * PAGE + 3)
    os.pwrite(file, before, 0)
    content = generator.bytes(size)
    WriteBehind(file, 1).write(place, memoryview(content))
    after = before[:place] + content + before[place + size :]
    assert os.pread(file, len(after) + 1, 0) == after


def test_what_is_written_leaves_memory_when_the_disk_has_it(file, monkeypatch):
    calls = []
    disk = WriteBehind(file, 1)
    sync, advise = disk._sync, os.posix_fadvise

    def note_sync(place, size, flags):
        calls.append(("waited for" if flags & 4 else "set out", place, size))
        sync(place, size, flags)

    def note_advice(descriptor, place, size, advice):
        assert (descriptor, advice) == (file, os.POSIX_FADV_DONTNEED)
        calls.append(("left", place, size))
        advise(descriptor, place, size, advice)

    monkeypatch.setattr(disk, "_sync", note_sync)
    monkeypatch.setattr(os, "posix_fadvise", note_advice)
    disk.write(0, memoryview(bytes(64 * PAGE)))
    if not disk._pushes:
        pytest.skip("this system can't be told to write a part of a file")
    size = 2 * PAGE
    expected = []
    for place in range(0, 64 * PAGE, size):
        expected.append(("set out", place, size))
        if (last := place - 2 * size) >= 0:  # two parts are under way
            expected += [("waited for", last, size), ("left", last, size)]
    assert calls == expected


def test_threads_may_write_side_by_side(file):
    disk = WriteBehind(file, 1)
    content = np.random.default_rng(0).bytes(500 * PAGE + 77)
    begins = range(0, len(content), 3 * PAGE + 11)

    def write(begin):
        disk.write(begin, memoryview(content)[begin : begin + 3 * PAGE + 11])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, begins))
    assert os.pread(file, len(content) + 1, 0) == content


def test_what_cannot_be_pushed_is_written_all_the_same(always):
    read, write = os.pipe()
    # A pipe takes no offsets: this is of what comes after the bytes are written.
    disk = WriteBehind(write, 1)
    disk._push(0, PAGE)
    disk._push(PAGE, PAGE)
    assert not disk._pushes
    os.close(read)
    os.close(write)


def test_an_error_of_the_disk_is_one(always):
    with pytest.raises(OSError, match="descriptor"):
        WriteBehind(10**6, 1)._push(0, PAGE)


@pytest.fixture
def failing_disk(tmp_path):
    """A disk that lies in memory, and fails as soon as that has no room."""
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    image = memory / "image"
    mounted = []
    try:
        for command in (
            ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", memory],
            ["truncate", "-s", "64M", image],
            ["mkfs.ext4", "-q", image],
            ["mount", "-o", "loop", image, disk],
        ):
            subprocess.run(command, check=True, capture_output=True)
            mounted += [command[-1]] if command[0] == "mount" else []
        yield disk
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk takes root")
    finally:
        for place in reversed(mounted):
            subprocess.run(["umount", place], check=True)


def test_an_error_of_the_disk_is_told_to_commits_too(failing_disk, monkeypatch):
    monkeypatch.setattr(kprobe.dumps.files.disk, "_LEAST_FILE_BYTES", 0)
    monkeypatch.setattr(kprobe.dumps.files.disk, "_PARTS_UNDER_WAY", 4)
    ballast = failing_disk.parent / "memory" / "ballast"
    columns = [Column("a", (1 << 20,), np.dtype("u1"))]
    row = np.random.default_rng(0).integers(256, size=(1, 1 << 20), dtype="u1")
    with Writer(
        OutputSpec(path=failing_disk / "a.h5"),
        Contents(columns=columns, samples=[""] * 8),
    ) as writer:
        writer._rows._writes.sync()
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 20)):
                pass
        with (failing_disk / "a.h5.partial").open("rb") as other:
            writer.write(0, {"a": row})
            writer._rows._writes._wait_for(writer._rows._writes._batches[-1].writes)
            # It waits until the disk has failed, and leaves the error to those that are to hear it.
            with pytest.raises(OSError, match=r"No space|Input/output"):
                os.fdatasync(other.fileno())
        ballast.unlink()
        writer.write(1, {"a": np.repeat(row, 7, axis=0)})
        with pytest.raises(DumpError):
            writer._rows._writes._wait_for(writer._rows._writes._batches[-1].writes)
        # As if a commit were under way, which waits for the first row's own write only.
        with pytest.raises(DumpError):
            writer._rows._writes.sync()


@pytest.mark.parametrize("row", [1023, 1 << 12, 5000])
def test_a_dump_is_the_same_either_way(tmp_path, row, request):
    columns = [Column("a", (row,), np.dtype("f4")), Column("b", (3,), np.dtype("f8"))]
    rows = np.random.default_rng(0).random((200, row), "float32")
    paths = [tmp_path / "left.h5", tmp_path / "pushed.h5"]
    for path in paths:
        with Writer(
            OutputSpec(path=path),
            Contents(columns=columns, samples=[""] * 200),
            threads=3,
        ) as writer:
            for start in (160, 0, 40, 120, 80):
                part = rows[start : start + 40]
                writer.write(start, {"a": part, "b": np.full((40, 3), start, "f8")})
            writer.finish()
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["a"][:], rows)
            assert file["b"][:, 0].tolist() == [40.0 * (row // 40) for row in range(200)]
        request.getfixturevalue("always")
