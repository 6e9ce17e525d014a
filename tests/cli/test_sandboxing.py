import subprocess
import sys
import time
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


def save_lambda(path, function, **arguments):
    import keras

    function.__name__ = "<lambda>"  # what is called so, Keras saves as bytecode
    layer = keras.layers.Lambda(function, (2,), arguments=arguments, name="pry")
    keras.Sequential([keras.Input((2,)), layer]).save(path)


@pytest.fixture(scope="module")
def prying(tmp_path_factory):
    """A model whose Lambda gives how much of what it tries was done: 4 where nothing bars it."""
    folder = tmp_path_factory.mktemp("prying")
    marker = str(folder / "marker")

    def pry(x, marker):
        import os
        import pathlib
        import socket
        import subprocess

        done = 0.0
        for attempt in (
            lambda: socket.socket().close(),
            lambda: pathlib.Path(marker).touch(),
            lambda: os.utime(pathlib.Path(marker).parent),
            # It has the pipe to whoever reads this command's output, and so would be waited for.
            lambda: subprocess.Popen(["sleep", "0"]).wait(),
        ):
            try:
                attempt()
            except OSError:
                continue
            done += 1
        return x * 0 + done

    save_lambda(folder / "prying.keras", pry, marker=marker)
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
    np.testing.assert_array_equal(free["pry"], np.full((2, 2), 4))
    assert marker.exists()


WRITING = """
import os, sys
from pathlib import Path
from kprobe.cli.main import cli
from kprobe.errors import ModelError
from kprobe.sandbox import restrict

@cli.command()
def write():
    try:
        Path("marker").touch()
    except OSError as error:
        raise ModelError("the model can't be run") from error

@cli.command()
def divide():
    raise ModelError("the model can't be run")

folder, command = sys.argv[1:]
restrict([Path(folder)])
os.environ |= {"KPROBE_SANDBOX": folder, "KPROBE_SANDBOX_PLACES": folder}
cli([command])
"""


@needs_sandbox
@pytest.mark.parametrize("command", ["write", "divide"])
def test_only_what_may_be_of_the_sandbox_is_said_to_be(tmp_path, command):
    (tmp_path / "results").mkdir()
    found = subprocess.run(
        [sys.executable, "-c", WRITING, tmp_path / "results", command],
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    first, *more = found.stderr.splitlines()
    assert first.startswith("kprobe: the model can't be run")
    hint = f"the sandbox bars writing outside {tmp_path / 'results'}, the network, and starting"
    assert more == ([f"kprobe: hint: {hint} programs"] if command == "write" else [])
    assert found.returncode == 2
    assert not (tmp_path / "marker").exists()


@needs_sandbox
def test_nothing_is_left_of_a_sandbox(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    found = call(
        *("dump", "missing.keras", "--all", "--random", "1", "--sandbox", "-o", "new/deep/acts.h5"),
        cwd=own,
    )
    assert found.returncode == 2
    assert f"writes only in {own / 'new' / 'deep'}\n" in found.stderr
    assert "no such file" in found.stderr
    # What removes it isn't waited for.
    for _ in range(600):
        if not [*own.iterdir()]:
            break
        time.sleep(0.05)
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
        (
            ("-o", "/proc/new/acts.h5"),
            "kprobe: /proc/new: can't be made: No such file or directory",
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
