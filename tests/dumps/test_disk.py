"""What goes to the disk past the system's memory is what was to be written, wherever it begins."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

import kprobe.dumps.disk
from kprobe.dumps.disk import open_direct, write_direct
from kprobe.dumps.layout import Column
from kprobe.dumps.writer import Writer

PAGE = mmap.PAGESIZE


@pytest.fixture
def always(monkeypatch):
    """Let every file that may be written so be written so."""
    monkeypatch.setattr(kprobe.dumps.disk, "_LEAST_FILE_BYTES", 0)
    monkeypatch.setattr(kprobe.dumps.disk, "_LEAST_BYTES", 2 * PAGE)


@pytest.fixture
def both(tmp_path, always):
    """A file's two descriptors."""
    path = tmp_path / "file"
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    direct = open_direct(path, 1)
    if direct is None:
        os.close(file)
        pytest.skip("temporary files lie on a filesystem whose files aren't written so")
    yield direct, file
    os.close(direct)
    os.close(file)


@pytest.mark.parametrize("place", [0, 1, PAGE - 1, PAGE, 3 * PAGE + 7])
@pytest.mark.parametrize(
    "size", [0, 1, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE + 5, (4 << 20) + PAGE, (9 << 20) + 3]
)
def test_any_bytes_anywhere_and_nothing_else(both, place, size):
    direct, file = both
    generator = np.random.default_rng(size)
    before = generator.bytes(place + size + 2 * PAGE + 3)
    os.pwrite(file, before, 0)
    content = generator.bytes(size)
    write_direct(direct, file, place, memoryview(content))
    after = before[:place] + content + before[place + size :]
    assert os.pread(file, len(after) + 1, 0) == after


def test_what_the_disk_does_not_take_goes_through_memory(both):
    direct, _ = both
    # No such write begins within a block.
    assert kprobe.dumps.disk._try_to_write(direct, 1, memoryview(bytes(PAGE))) == 0
    with pytest.raises(OSError, match="descriptor"):
        kprobe.dumps.disk._try_to_write(10**6, 0, memoryview(bytes(PAGE)))


def test_files_in_memory_and_small_ones_are_left_to_the_system(tmp_path):
    assert open_direct(tmp_path, 1 << 20) is None
    if Path("/dev/shm").is_dir():
        assert open_direct(Path("/dev/shm"), 1 << 40) is None


@pytest.mark.parametrize("row", [1023, 1 << 12, 5000])
def test_a_dump_is_the_same_either_way(tmp_path, row, request):
    columns = [Column("a", (row,), np.dtype("f4")), Column("b", (3,), np.dtype("f8"))]
    rows = np.random.default_rng(0).random((200, row), "float32")
    paths = [tmp_path / "cached.h5", tmp_path / "direct.h5"]
    for path in paths:
        with Writer(path, columns, [""] * 200, {}, threads=3) as writer:
            for start in (160, 0, 40, 120, 80):
                part = rows[start : start + 40]
                writer.write(start, {"a": part, "b": np.full((40, 3), start, "f8")})
            writer.finish()
        with h5py.File(path) as file:
            np.testing.assert_array_equal(file["a"][:], rows)
            assert file["b"][:, 0].tolist() == [40.0 * (row // 40) for row in range(200)]
        request.getfixturevalue("always")
