"""Folders in passing go: behind the block, and later where a process was killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe.scratch import make_scratch

WAITING = """
import sys
from pathlib import Path
from kprobe.scratch import make_scratch

with make_scratch("own-", Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def age(*folders):
    for folder in folders:
        os.utime(folder, (10**9, 10**9))


def test_a_folder_goes_behind_its_block_whatever_happens(tmp_path):
    def break_off():
        with make_scratch("own-", tmp_path) as folder:
            assert folder.parent == tmp_path
            (folder / "file").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert [*tmp_path.iterdir()] == []


def test_the_next_one_takes_away_what_killed_processes_left_and_nothing_else(tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", WAITING, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        left = Path(os.fsdecode(other.stdout.readline().strip()))
        check_the_next(left, other)
    finally:
        other.kill()
        other.communicate()


def check_the_next(left, other):
    tmp_path = left.parent
    others = [tmp_path / name for name in ("own-young", "other-x", "target")]
    for folder in others:
        folder.mkdir()
    (tmp_path / "own-link").symlink_to(tmp_path / "target")
    (tmp_path / "own-file").touch()
    age(left, others[1], others[2], tmp_path / "own-file")
    kept = {"own-young", "other-x", "target", "own-link", "own-file"}
    with make_scratch("own-", tmp_path) as folder:  # the other one is in use still
        assert {path.name for path in tmp_path.iterdir()} == kept | {left.name, folder.name}
    other.kill()
    other.wait()
    with make_scratch("own-", tmp_path):
        assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == kept
