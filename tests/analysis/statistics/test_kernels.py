from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kprobe

MODULE = Path(kprobe.__file__).parent / "analysis" / "statistics" / "kernels.py"

# The kernels alone, as they lie in a folder; by the one that is compiled quickest.
COUNT = """
import numpy as np, kernels
table = np.zeros((2, 65536), np.uint32)
table[:, 7] = 3, 7
keys, counts = np.zeros(65536, np.uint16), np.zeros(65536, np.int64)
assert kernels.drain(table, keys[:0], counts[:0], keys, counts) == 1
assert (keys[0], counts[0], table.sum()) == (7, 10, 0)
"""
FULL = """
import resource, signal
import numpy as np
from kprobe.analysis.statistics.blocks import Extremes, Scanner
from kprobe.analysis.statistics.moments import Moments
from kprobe.analysis.statistics.sketch import Sketch
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
sketch, scanner = Sketch(), Scanner(compiled=True)
scanner.add(np.array([[1], [2], [2]], np.float32), Moments(1), Extremes(), sketch)
scanner.finish(sketch)
assert sketch.counts.tolist() == [1, 2]
"""


def run(script, **env):
    inherited = {name: value for name, value in os.environ.items() if "NUMBA" not in name}
    return subprocess.run(
        [sys.executable, "-B", "-c", script], env=inherited | env, capture_output=True, check=False
    )


@pytest.fixture
def folder(tmp_path):
    """The module in a folder where numba can't keep anything, whoever asks."""
    folder = tmp_path / "installed"
    folder.mkdir()
    shutil.copy(MODULE, folder)
    (folder / "__pycache__").write_bytes(b"")
    return folder


def test_where_the_package_cannot_be_written_the_users_cache_is_used(folder, tmp_path):
    cache = tmp_path / "cache"
    done = run(COUNT, PYTHONPATH=str(folder), XDG_CACHE_HOME=str(cache))
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(cache.rglob("kernels.drain-*.nbc"))


def test_where_nothing_can_be_written_they_are_compiled_all_the_same(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    nowhere = str(tmp_path / "file" / "home")
    done = run(COUNT, PYTHONPATH=str(folder), HOME=nowhere, XDG_CACHE_HOME=nowhere)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_does_not_stop_them(tmp_path):
    done = run(FULL, NUMBA_CACHE_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    assert not list(tmp_path.rglob("*.nbc"))
