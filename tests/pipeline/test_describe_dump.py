"""What a dump's file says of it."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

import kprobe
from kprobe.errors import DumpError
from kprobe.pipeline.describe_dump import describe_dump, recall_job


@pytest.fixture
def dumped(samples, tmp_path):
    """Dump a sample model from files, as a command does; gives the path of the dump."""

    def run(layers, **settings):
        path = tmp_path / "a.h5"
        scans = str(samples / "digits.npz")
        kprobe.dump(
            str(samples / "digits_cnn.keras"), layers, inputs=scans, output=path, **settings
        )
        return path

    return run


def test_it_tells_what_the_file_holds(dumped):
    path = dumped("digit,conv1:kernel", limit=5, dtype="float16")
    known = describe_dump(path)
    with h5py.File(path) as file:
        stored = {entry["dataset"]: file[entry["dataset"]] for entry in known["datasets"]}
        for entry in known["datasets"]:
            dataset = stored[entry["dataset"]]
            assert (tuple(entry["shape"]), entry["dtype"]) == (dataset.shape, dataset.dtype.name)
        assert known["batch_size"] == file.attrs["batch_size"]
    assert [entry["addresses"] for entry in known["datasets"]] == [["digit"], ["conv1:kernel"]]
    assert (known["samples"], known["complete"], known["bytes"]) == (5, True, path.stat().st_size)
    assert json.loads(json.dumps(known)) == known


def test_the_job_is_recalled_as_it_was_given(dumped, samples):
    path = dumped("digit,relu*", limit=5, seed=3, exact=True, batch_size=2)
    assert recall_job(path) == {
        "model": str(samples / "digits_cnn.keras"),
        "layers": ["digit", "relu*"],
        "inputs": [str(samples / "digits.npz")],
        "limit": 5,
        "seed": 3,
        "exact": True,
        "batch_size": 2,
    }


def test_every_layer_is_recalled_as_every_layer(dumped):
    assert recall_job(dumped(None, limit=1))["layers"] is None


def test_a_job_from_memory_is_not_recalled(digits_cnn, tmp_path):
    path = tmp_path / "a.h5"
    kprobe.dump(digits_cnn, "digit", inputs=np.zeros((1, 8, 8, 1), "f4"), output=path)
    with pytest.raises(DumpError, match="its model came from the memory of a Python program"):
        recall_job(path)


@pytest.mark.parametrize("tell", [describe_dump, recall_job])
def test_what_is_no_dump_is_refused(tell, samples):
    with pytest.raises(DumpError):
        tell(samples / "shapes_rpn.h5")
