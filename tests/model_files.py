"""Fixtures that write model files: by both Kerases, or with a config made by hand."""

from __future__ import annotations

import fcntl
import json
import os
import zipfile
from pathlib import Path

import h5py
import pytest


@pytest.fixture(scope="session")
def saved(tmp_path_factory, warm_python):
    """A directory of models that both Kerases saved, and truth.json; one for all of xdist."""
    place = tmp_path_factory.getbasetemp()
    directory = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "saved"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "truth.json").exists():  # which is written last
            script = Path(__file__).parent / "models" / "save_models.py"
            environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
            done = warm_python.run(script, directory, env=environment)
            assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="session")
def truth(saved):
    return json.loads((saved / "truth.json").read_text())


@pytest.fixture
def write_h5(tmp_path):
    """Write an HDF5 model file with a hand-made config."""

    def write(config, version="2.15.0", name="model.h5"):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            text = config if isinstance(config, str) else json.dumps(config)
            file.attrs["model_config"] = text
            if version:
                file.attrs["keras_version"] = version
        return path

    return write


@pytest.fixture
def write_keras(tmp_path):
    """Write a `.keras` file with a hand-made config."""

    def write(config, version="3.9.0", name="model.keras", compression=zipfile.ZIP_STORED):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", compression) as archive:
            if version:
                archive.writestr("metadata.json", json.dumps({"keras_version": version}))
            text = config if isinstance(config, str | bytes) else json.dumps(config)
            archive.writestr("config.json", text)
        return path

    return write
