import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.sandbox import find_lack

needs_sandbox = pytest.mark.skipif(find_lack() is not None, reason=str(find_lack()))


def call(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "kprobe", *map(str, arguments)],
        cwd=cwd,
        text=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def prying(tmp_path_factory):
    """A model whose Lambda gives how much of what it tries was done: 3 where nothing bars it."""
    import keras

    folder = tmp_path_factory.mktemp("prying")
    marker = str(folder / "marker")

    def pry(x, marker):
        import os
        import pathlib
        import socket

        done = 0.0
        for attempt in (
            lambda: socket.socket().close(),
            lambda: pathlib.Path(marker).touch(),
            lambda: os.utime(pathlib.Path(marker).parent),
        ):
            try:
                attempt()
            except OSError:
                continue
            done += 1
        return x * 0 + done

    pry.__name__ = "<lambda>"  # what is called so, Keras saves as bytecode
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Lambda(pry, (2,), arguments={"marker": marker}, name="pry"),
        ]
    )
    model.save(folder / "prying.keras")
    Path(marker).unlink(missing_ok=True)
    return folder / "prying.keras", Path(marker)


@needs_sandbox
def test_code_of_a_model_reaches_nothing(prying, tmp_path):
    model, marker = prying
    found = call(
        *("dump", model, "--unsafe", "--all", "--random", "2"),
        *("--sandbox", "-o", "results/acts.h5"),
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stderr
    assert f"in a sandbox: no network; writes only in {tmp_path / 'results'}" in found.stderr
    assert not marker.exists()
    with h5py.File(tmp_path / "results" / "acts.h5") as file:
        np.testing.assert_array_equal(file["pry"], np.zeros((2, 2)))
    # Without, the same model does what it wants.
    free = kprobe.activations(model, layers=["pry"], random=2, unsafe=True)
    np.testing.assert_array_equal(free["pry"], np.full((2, 2), 3))
    assert marker.exists()


@needs_sandbox
def test_nothing_is_left_of_a_sandbox(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    found = call("ls", "missing.keras", "--sandbox", cwd=own)
    assert found.returncode == 2
    assert "no such file" in found.stderr
    assert [*own.iterdir()] == []


@needs_sandbox
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a folder of its own for the output, received none"),
        (("-o", "acts.h5"), "received ., which has 1 other file; give `--output NEW_FOLDER/acts.h"),
        (
            ("-o", "new/acts.h5", "--profile", "../own"),
            "for --profile, received ../own, which has 1 other file; give `--profile NEW_FOLDER/`",
        ),
    ],
)
def test_an_output_needs_a_folder_of_its_own(tmp_path, arguments, message):
    own = tmp_path / "own"
    own.mkdir()
    (own / "notes.txt").touch()
    found = call("dump", "model.keras", "--random", 1, "--all", "--sandbox", *arguments, cwd=own)
    assert found.returncode == 2
    assert message in found.stderr
    assert len(found.stderr.splitlines()) == 1
