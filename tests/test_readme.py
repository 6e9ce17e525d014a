"""The commands of README.md work as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kprobe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETUP = ".venv/bin/"


def find_blocks(mark: str) -> list[tuple[str, str]]:
    """The fenced blocks right after a mark, with their languages."""
    start = README.index(f"<!-- {mark} -->\n")
    blocks = []
    position = start + len(f"<!-- {mark} -->\n")
    pattern = re.compile(r"\s*```(\w+)\n(.*?)```\n", re.DOTALL)
    while found := pattern.match(README, position):
        blocks.append((found[1], found[2]))
        position = found.end()
    return blocks


EXAMPLES = [
    line for mark in ("examples", "operations") for line in find_blocks(mark)[0][1].splitlines()
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the sample models in it, and kprobe on the PATH and in .venv."""
    place = tmp_path_factory.mktemp("readme")
    (place / "sample_models").symlink_to(ROOT / "sample_models")
    binaries = place / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "kprobe").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kprobe "$@"\n')
    (binaries / "kprobe").chmod(0o755)
    return place


def run_command(line: str, place: Path) -> str:
    path = f"{place / '.venv/bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=place,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_commands_do_all_the_set_up():
    blocks = re.findall(r"<!-- (\w+) -->\n```sh\n(.*?)```", README, re.DOTALL)
    setup = [(mark, text) for mark, text in blocks if "pip install" in text]
    assert [mark for mark, _ in setup] == ["run", "tests"]
    assert all(text.count("\n") == 1 for _, text in setup)
    assert README.count("pip install") == 2


def test_the_command_that_runs_ends_with_the_main_job(place):
    (_, text), *_ = find_blocks("run")
    setup, _, job = text.strip().rpartition(" && ")
    assert "pip install" in setup
    assert job == (".venv/bin/kprobe dump sample_models/shapes_rpn.h5 --layers conv5_3,rpn_class")
    assert run_command(job, place) == ""
    with kprobe.open_dump(place / "shapes_rpn.activations.h5") as dump:
        assert dump.columns == ["conv5_3", "rpn_class"]


@pytest.mark.parametrize("line", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_works(line, place):
    printed = run_command(line, place)
    if " ls " in line or "--dry-run" in line:
        assert printed.startswith("address ")
    elif " find " in line:
        assert printed.startswith("hops ")
    else:
        assert printed == ""


def test_the_python_after_the_examples_works(place, monkeypatch):
    monkeypatch.chdir(place)
    (_, text), *others = find_blocks("examples")[1:]
    assert others == []
    if not Path("acts.h5").exists():
        run_command(next(line for line in EXAMPLES if "acts.h5" in line), place)
    # What the comments say of a value, that it is.
    claims = {"(32, 8, 8, 40)": '["conv5_3"].shape', "'shapes.npz:image[0]'": ".sample[0]"}
    for claim, expression in claims.items():
        assert any(expression in line and claim in line for line in text.splitlines())
    exec(compile(text, "README.md", "exec"), {})
    with kprobe.open_dump("acts.h5") as dump:
        assert dump["conv5_3"].shape == (32, 8, 8, 40)
        assert dump.sample[0] == "shapes.npz:image[0]"


def test_xarray_opens_the_example(place, monkeypatch):
    xarray = pytest.importorskip("xarray")
    monkeypatch.chdir(place)
    assert 'xarray.open_dataset("acts.h5", engine="h5netcdf")' in README
    with xarray.open_dataset("acts.h5", engine="h5netcdf") as labelled:
        assert labelled["conv5_3"].dims[0] == "sample"


def test_the_python_section_works(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    text = re.search(r"## Python\n\n```python\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "sample_models").symlink_to(ROOT / "sample_models")
    (tmp_path / "model.keras").symlink_to(ROOT / "sample_models/digits_cnn.keras")
    names = {"kprobe": kprobe, "a": digits[:3], "b": digits[3:6], "scans": digits[:4]}
    exec(compile(text, "README.md", "exec"), names)
    assert names["function"].feeds == ["left", "right"]
    with kprobe.open_dump("features.h5") as dump:
        assert dump["features"].shape == (4, 64)
