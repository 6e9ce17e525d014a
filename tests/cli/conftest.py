"""Ways to use the command line: in a new process, a warm one, and here where that will do."""

from __future__ import annotations

import io
import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from kprobe.cli import stdio
from kprobe.cli.main import cli
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer

EXPECTED = Path(__file__).parent.parent / "expected"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder of its own, where sample_models lies as in the repository."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample_models").symlink_to(Path(__file__).parent.parent.parent / "sample_models")
    return tmp_path


@pytest.fixture
def kprobe_process(kprobe_command, folder):
    """Run kprobe as a person does. Once TensorFlow is needed, that takes about 5 s."""

    def run(*arguments: str, text: bool = True, env: dict[str, str] | None = None, **options: Any):
        # Without what the tests set: a person's stderr is to be clean by kprobe's own doing.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        if "stdout" not in options:
            options["stdout"] = subprocess.PIPE
        return subprocess.run(
            [*kprobe_command, *arguments],
            env={**clean, **(env or {})},
            stderr=subprocess.PIPE,
            text=text,
            cwd=folder,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def kprobe_warm(warm_python, folder):
    """Run kprobe in a process of its own that has imported TensorFlow already."""

    def run(*arguments: str, **options: Any):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        return warm_python.run("-m", "kprobe", *arguments, cwd=folder, env=clean, **options)

    return run


@pytest.fixture
def kprobe_light(light_python, folder):
    """Run kprobe in a process of its own without TensorFlow, for what needs none."""

    def run(*arguments: str, **options: Any):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        return light_python.run("-m", "kprobe", *arguments, cwd=folder, env=clean, **options)

    return run


@pytest.fixture
def kprobe_here(folder, monkeypatch):
    """Run a kprobe command in this process, where TensorFlow is imported already.

    `-v` leaves the process's stderr alone.
    """

    def run(command: str, *arguments: str, stdin: bytes | str = ""):
        # The command takes stdout for the rest of the process, which here goes on.
        monkeypatch.setattr("kprobe.cli.stdio._own_stdout", None)
        verbose = ["-v"] if command in ("dump", "stats", "diff", "cam", "plot") else []
        result = CliRunner().invoke(cli, [command, *verbose, *arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert not stdio._held, "without -v, stderr of the process goes to a file from here on"
        return result

    return run


@pytest.fixture
def expected():
    """Read a golden file."""
    return lambda name: (EXPECTED / name).read_text()


@pytest.fixture
def npy():
    """Give an array as the bytes of a .npy file."""

    def save(array: np.ndarray) -> bytes:
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue()

    return save


@pytest.fixture
def old_dump(folder):
    """A dump that is there already: a.h5. Gives its path and its content."""
    path = folder / "a.h5"
    columns = [Column("old", (2,), np.dtype("f4"), {"addresses": ["old"]})]
    with Writer(OutputSpec(path=path), Contents(columns=columns, samples=["x"])) as writer:
        writer.write(0, {"old": np.ones((1, 2), "f4")})
        writer.finish()
    return path, path.read_bytes()


@pytest.fixture
def custom_model(folder):
    """A copy of digits_cnn.keras whose relu1 is of a class that Keras doesn't have."""
    path = folder / "custom.keras"
    source = zipfile.ZipFile(folder / "sample_models/digits_cnn.keras")
    with source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                relu = next(e for e in config["config"]["layers"] if e["config"]["name"] == "relu1")
                relu |= {"module": "mine", "class_name": "Mine", "registered_name": "Mine"}
                content = json.dumps(config).encode()
            target.writestr(name, content)
    return path
