"""Weights that are given by themselves are opened once, and judged as models are."""

from __future__ import annotations

import json
import os

import h5py
import numpy as np
import pytest

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.spec import ModelSpec
from kprobe.models.weights.stored_weights import check_weights
from kprobe.models.weights.weights_file import open_weights_file


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((2, 3), "f4")
    return path


def write_sharded(folder, *names):
    """Write weights in several files, and give the one that lists them."""
    for name in names:
        write_hdf5(folder / name)
    path = folder / "m.weights.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": {"/layers/dense/vars": [*names]}}))
    return path


def test_several_files_are_opened_once_each(tmp_path):
    path = write_sharded(tmp_path, "m_0.weights.h5", "m_1.weights.h5")
    file = open_weights_file(path)
    assert [each.path.name for each in file.list_files()] == [
        "m.weights.json",
        "m_0.weights.h5",
        "m_1.weights.h5",
    ]
    file.check_unchanged()
    write_hdf5(tmp_path / "m_1.weights.h5")
    with pytest.raises(UnsafeModelError, match=r"m_1\.weights\.h5: was changed after"):
        file.check_unchanged()


@pytest.mark.parametrize(
    ("put", "kind"),
    [
        (lambda path, other: path.symlink_to(other), "a symbolic link"),
        (lambda path, other: os.mkfifo(path), "a pipe"),
        (lambda path, other: path.mkdir(), "a directory"),
    ],
)
def test_a_file_among_several_is_a_regular_one(put, kind, tmp_path):
    path = write_sharded(tmp_path, "m_0.weights.h5", "m_1.weights.h5")
    shard = tmp_path / "m_1.weights.h5"
    shard.rename(tmp_path / "secret")
    put(shard, tmp_path / "secret")
    with pytest.raises(ModelError) as caught:
        open_weights_file(path)
    assert caught.value.rule == "file-kind"
    assert caught.value.faults == (f"{shard}: expected a regular file, received {kind}",)


def test_which_files_there_are_is_read_as_strictly_as_configs(tmp_path):
    write_sharded(tmp_path, "m_0.weights.h5", "m_1.weights.h5")
    path = tmp_path / "m.weights.json"
    # One reader takes the first, another the last.
    twice = '{"weight_map": {"/a": ["m_0.weights.h5"]}, "weight_map": {"/a": ["m_1.weights.h5"]}}'
    path.write_text(twice)
    with pytest.raises(ModelError, match="has the key 'weight_map' twice"):
        open_weights_file(path)


@pytest.mark.parametrize("name", ["../m_0.weights.h5", "", "..", "a\\b", "a\0b", "/etc/passwd"])
def test_no_file_elsewhere_is_one_of_several(name, tmp_path):
    (tmp_path / "here").mkdir()
    write_hdf5(tmp_path / "m_0.weights.h5")
    path = tmp_path / "here" / "m.weights.json"
    path.write_text(json.dumps({"weight_map": {"/a": name}}))
    with pytest.raises(ModelError, match="names files that aren't beside it"):
        open_weights_file(path)


def test_the_bound_on_bytes_counts_all_files(tmp_path):
    path = write_sharded(tmp_path, "m_0.weights.h5", "m_1.weights.h5")
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert len(open_weights_file(path, max_model_bytes=size).shards) == 2
    with pytest.raises(UnsafeModelError) as caught:
        open_weights_file(path, max_model_bytes=size - 1)
    assert caught.value.rule == "file-size"
    assert str(caught.value) == (
        f"{path}: takes {size:,} bytes with all its files, above the limit of {size - 1:,}; "
        "`max_model_bytes` sets it"
    )


@pytest.mark.parametrize("weights", ["w.weights.h5", "ck-1"])
def test_a_model_and_its_weights_are_opened_by_the_same_settings(weights, tmp_path):
    """A file that lists a dataset twice is odd, and a link no part of a checkpoint."""
    model = tmp_path / "model.json"
    model.write_text('{"class_name": "Sequential", "config": {"name": "s", "layers": []}}')
    path = tmp_path / weights
    if weights == "ck-1":
        (tmp_path / "ck-1.index").symlink_to(model)
        (tmp_path / "ck-1.data-00000-of-00001").write_bytes(bytes(9))
        rule = "savedmodel-members"
    else:
        with h5py.File(write_hdf5(path), "r+") as file:
            file["other"] = file["layers/dense/vars/0"]
        rule = "hdf5-links"
    with pytest.raises(UnsafeModelError) as caught:
        check_weights(None, ModelSpec(model=model, weights=path))
    assert caught.value.rule == rule
    assert check_weights(None, ModelSpec(model=model, weights=path, unsafe=True)) is not None
    with pytest.raises(UnsafeModelError) as caught:
        check_weights(None, ModelSpec(model=model, weights=path, unsafe=True, max_model_bytes=1))
    assert caught.value.rule == "file-size"


def test_what_is_not_there_is_said(tmp_path):
    for name in ("gone.h5", "a\0b", ""):
        with pytest.raises(ModelError, match="weights: there is no file"):
            open_weights_file(f"{tmp_path}/{name}" if name else "")
