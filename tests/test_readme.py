"""The commands of README.md work as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import kprobe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETUP = ".venv/bin/"
# Keras's, when it saves a variable.
SAVING = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


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
    line
    for mark in ("examples", "operations", "code")
    for line in find_blocks(mark)[0][1].splitlines()
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


def test_a_dump_is_made_again_from_what_it_says(place):
    if not (place / "acts.h5").exists():
        run_command(next(line for line in EXAMPLES if "acts.h5" in line), place)
    (_, commands), (_, config) = find_blocks("config")
    assert run_command(commands, place) == ""
    assert (place / "job.toml").read_text() == config
    with kprobe.open_dump(place / "few.h5") as few, kprobe.open_dump(place / "acts.h5") as dump:
        # Fewer samples in a batch move the last bits.
        np.testing.assert_allclose(few["conv5_3"], dump["conv5_3"][:8], rtol=0, atol=1e-5)


def run_walk(mark: str, place: Path, names: dict[str, object]) -> None:
    for language, text in find_blocks(mark):
        if language == "python":
            exec(compile(text, "README.md", "exec"), names)
        else:
            assert run_command(text, place) == ""


def test_what_a_layer_computes_follows_what_is_fed_inside_it(place, monkeypatch):
    monkeypatch.chdir(place)
    if not Path("roi.h5").exists():
        run_command(next(line for line in EXAMPLES if "roi.h5" in line), place)
    run_walk("feed", place, {"kprobe": kprobe, "np": np})
    with kprobe.open_dump("roi.h5") as dump, kprobe.open_dump("moved.h5") as moved:
        boxes, scores = dump["ROI[0]"][:], dump["ROI[1]"][:]
        found = (scores > 0)[..., np.newaxis]
        assert found.any()
        np.testing.assert_allclose(moved["ROI[0]"][:], np.where(found, boxes + 4, 0), atol=1e-4)
        np.testing.assert_array_equal(moved["ROI[1]"][:], scores)


def test_h5py_reads_rows_of_different_shapes(place, monkeypatch):
    monkeypatch.chdir(place)
    boxes = np.random.default_rng(0).normal(size=(6, 7, 4)).astype("float32")
    x = keras.Input((7, 4))
    model = keras.Model(x, keras.layers.Lambda(lambda x: x[x[..., 0] > 0], name="kept")(x))
    kprobe.dump(model, "kept", inputs=boxes, output="kept.h5")
    for i, image in enumerate(boxes):
        names = {"h5py": h5py, "i": i}
        run_walk("ragged", place, names)
        np.testing.assert_array_equal(names["row"], image[image[:, 0] > 0])


@SAVING
def test_gates_and_cell_states_are_there_at_every_step(place, monkeypatch):
    monkeypatch.chdir(place)
    run_walk("steps", place, {"keras": keras})
    with kprobe.open_dump("gates.h5") as dump:
        values = {name: dump[name][:] for name in dump.columns}
    assert list(values) == ["input", "forget", "output", "cell", "lstm"]
    assert all(values[name].shape == (4, 7, 5) for name in list(values)[:4])
    last = values["output"][:, -1] * np.tanh(values["cell"][:, -1])
    np.testing.assert_allclose(values["lstm"], last, rtol=1e-5, atol=1e-6)


def test_code_with_the_weights_of_a_model_is_that_model(place, monkeypatch):
    monkeypatch.chdir(place)
    for name in ("acts.h5", "code.h5"):
        if not Path(name).exists():
            run_command(next(line for line in EXAMPLES if name in line), place)
    with kprobe.open_dump("acts.h5") as file, kprobe.open_dump("code.h5") as code:
        np.testing.assert_allclose(code["conv5_3"][:], file["conv5_3"][:], rtol=1e-5, atol=1e-5)


def test_xarray_opens_the_example(place, monkeypatch):
    xarray = pytest.importorskip("xarray")
    monkeypatch.chdir(place)
    assert 'xarray.open_dataset("acts.h5", engine="h5netcdf")' in README
    with xarray.open_dataset("acts.h5", engine="h5netcdf") as labelled:
        assert labelled["conv5_3"].dims[0] == "sample"


@SAVING
def test_the_python_section_works(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    text = re.search(r"## Python\n\n```python\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "sample_models").symlink_to(ROOT / "sample_models")
    (tmp_path / "model.keras").symlink_to(ROOT / "sample_models/digits_cnn.keras")
    (tmp_path / "build.py").write_text(
        "import keras\n\n\ndef make_model(units):\n"
        "    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])\n"
    )
    trained = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    trained.save_weights("trained.weights.h5")
    names = {"kprobe": kprobe, "a": digits[:3], "b": digits[3:6], "scans": digits[:4]}
    exec(compile(text, "README.md", "exec"), names)
    assert names["function"].feeds == ["left", "right"]
    with kprobe.open_dump("features.h5") as dump:
        assert dump["features"].shape == (4, 64)
