"""README.md is pasted, block after block, into one shell and one Python session, and all works."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from pasting import (
    check_claims,
    check_printed,
    make_environment,
    paste_all,
    read_blocks,
    write_command,
)

import kprobe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = read_blocks(ROOT / "README.md")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder as a fresh clone, but for the tests, of which the shortest stands for all."""
    place = tmp_path_factory.mktemp("readme") / "kprobe"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("kprobe", "sample_models"):
        shutil.copytree(ROOT / name, place / name, ignore=ignore)
    (place / "tests").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "tests/test_errors.py"):
        shutil.copy(ROOT / name, place / name)
    return place


@pytest.fixture(scope="module")
def walk(clone):
    """Paste all blocks in their order; give the folder, and what each showed.

    The packages of the Python that runs the tests stand in for those that pip would fetch: the
    environment that the README makes sees them, and pip finds them in place. It has no script for
    what pip didn't install: one that stands further back runs pytest with its Python.
    """
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    env = make_environment(
        write_command(clone.parent / "bin", "pytest", "python -m pytest"),
        PYTHONPATH=":".join(packages),
        VIRTUAL_ENV_DISABLE_PROMPT="1",
        PIP_NO_INDEX="1",
        PIP_NO_BUILD_ISOLATION="0",  # which is how pip is told not to isolate
    )
    return clone, paste_all(BLOCKS, clone, env, clone / ".venv/bin/python")


def test_all_blocks_are_run():
    assert all(block.is_run and block.language in ("sh", "python") for block in BLOCKS)


def test_it_is_read_in_a_few_minutes():
    assert len(README.split()) <= 1500


def test_two_commands_do_all_the_set_up():
    marked = re.findall(r"<!-- (\w+) -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert [mark for mark, _ in marked] == ["run", "tests"]
    assert all(text.count("\n") == 1 for _, text in marked)
    assert README.count("pip install") == sum("pip install" in text for _, text in marked) == 2


@pytest.mark.pages
def test_the_first_block_does_the_main_job(walk):
    place, _ = walk
    with kprobe.open_dump(place / "shapes_rpn.activations.h5") as dump:
        assert dump.columns == ["conv5_3", "rpn_class"]


@pytest.mark.pages
def test_a_block_of_commands_prints_what_its_last_one_is_for(walk):
    _, shown = walk
    blocks = [block for block in BLOCKS if block.language == "sh"]
    assert " passed" in shown[blocks[1]]
    for block in blocks:
        check_printed(block, shown[block])


@pytest.mark.pages
def test_values_are_what_the_comments_say(walk):
    _, shown = walk
    blocks = [block for block in BLOCKS if block.language == "python"]
    assert sum(check_claims(block, shown[block]) for block in blocks) >= 4


@pytest.mark.pages
def test_what_is_on_stdout_is_what_python_dumps(walk):
    place, _ = walk
    with h5py.File(place / "features.h5") as one, kprobe.open_dump(place / "scans.h5") as other:
        assert other["features"].shape == (360, 64)
        np.testing.assert_allclose(one["features"], other["features"], rtol=0, atol=1e-5)


@pytest.mark.pages
def test_xarray_opens_the_example(walk):
    place, _ = walk
    assert 'xarray.open_dataset("acts.h5", engine="h5netcdf")' in README
    with xarray.open_dataset(place / "acts.h5", engine="h5netcdf") as labelled:
        assert labelled["conv5_3"].dims[0] == "sample"
