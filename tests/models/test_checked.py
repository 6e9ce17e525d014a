"""What is loaded is what was checked, whatever becomes of the file meanwhile."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from collection import read_cases

from kprobe.errors import ModelError, ShortageError, UnsafeModelError
from kprobe.models.checked import KEEP_INSIDE, SAVE_AGAIN
from kprobe.models.file import choose_signature, read_model_file
from kprobe.models.load import load_source
from kprobe.models.weights.weight_list import list_weights

CHANGED = "{}: was changed after it was checked"


def copy_aged(source, path):
    """Copy a file, or a directory, as if that had been long ago."""
    if source.is_dir():
        shutil.copytree(source, path)
    else:
        shutil.copyfile(source, path)
    for file in [path, *path.rglob("*")]:
        os.utime(file, (10**9, 10**9))
    return path


@pytest.mark.parametrize("name", ["k3_plain.keras", "k2_plain.h5"])
def test_a_file_that_takes_the_place_of_what_was_checked_is_never_read(saved, tmp_path, name):
    expected = list_weights(read_model_file(saved / name)).weights
    path = copy_aged(saved / name, tmp_path / name)
    file = read_model_file(path)
    copy_aged(saved / name.replace("plain", "big"), tmp_path / "other").replace(path)
    try:
        assert list_weights(file).weights == expected
    except UnsafeModelError as error:  # HDF5 opens no file whose path is gone
        assert name.endswith(".h5")
        assert error.faults == (CHANGED.format(path),)  # noqa: PT017
    assert Path(file.name).read_bytes() == (saved / name).read_bytes()
    with pytest.raises(UnsafeModelError) as caught:
        load_source(file)
    assert caught.value.faults == (CHANGED.format(path),)


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    double = tf.function(lambda x: x * module.weight)
    path = tmp_path_factory.mktemp("saved") / "model"
    tf.saved_model.save(module, path, double.get_concrete_function(tf.TensorSpec([None])))
    return path


@pytest.mark.parametrize("name", ["k3_plain.keras", "k2_plain.h5", "saved_model"])
def test_a_file_that_is_written_to_after_it_was_checked_is_not_used(
    saved, saved_model, tmp_path, name
):
    source = saved_model if name == "saved_model" else saved / name
    path = copy_aged(source, tmp_path / name)
    model_file = read_model_file(path)
    changed = path / "saved_model.pb" if path.is_dir() else path
    with changed.open("r+b") as file:
        start = file.read(8)
        file.seek(0)
        file.write(start)  # even if it's the same
    os.utime(changed, (10**9, 10**9))  # which doesn't hide it
    with pytest.raises(UnsafeModelError, match="was changed after it was checked") as caught:
        load_source(model_file)
    assert str(path) in caught.value.faults[0]


def test_a_file_stays_open_as_long_as_what_it_says_is_used(write_h5):
    path = write_h5({"class_name": "Sequential", "config": {"name": "s", "layers": []}})
    read_model_file(path)
    gc.collect()
    before = len([*Path("/proc/self/fd").iterdir()])
    files = [read_model_file(path) for _ in range(3)]
    assert len([*Path("/proc/self/fd").iterdir()]) == before + 3
    del files
    gc.collect()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_file_may_be_no_larger_than_the_user_allows(write_h5):
    path = write_h5({"class_name": "Sequential", "config": {"name": "s", "layers": []}})
    size = path.stat().st_size
    assert read_model_file(path, max_model_bytes=size).path == path
    with pytest.raises(UnsafeModelError) as caught:
        read_model_file(path, max_model_bytes=size - 1)
    assert str(caught.value) == (
        f"{path}: takes {size:,} bytes, above the limit of {size - 1:,}; `max_model_bytes` sets it"
    )
    with pytest.raises(UnsafeModelError):  # whom the user trusts doesn't matter
        read_model_file(path, allow=None, max_model_bytes=size - 1)


def test_a_saved_model_is_loaded_though_its_directory_is_called_otherwise(saved_model, tmp_path):
    path = copy_aged(saved_model, tmp_path / "model")
    file = read_model_file(path)
    signature = load_source(choose_signature(file, None))
    path.rename(tmp_path / "elsewhere")
    assert signature.function(tf.constant([3.0]))["output_0"].numpy() == [6]


def test_what_is_no_regular_file_is_refused():
    with pytest.raises(ModelError, match="expected a regular file, received a device"):
        read_model_file("/dev/zero")


@pytest.mark.parametrize("name", ["k3_plain.keras", "k3_plain.h5", "k2_plain.keras", "k2_plain.h5"])
def test_no_folder_for_temporary_files_is_needed(saved, tmp_path, monkeypatch, name):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert load_source(saved / name).weights


def test_packed_weights_need_a_folder_for_temporary_files(saved, tmp_path, monkeypatch):
    path = tmp_path / "packed.keras"
    with (
        zipfile.ZipFile(saved / "k3_plain.keras") as archive,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    plain = load_source(saved / "k3_plain.keras").get_weights()
    for value, expected in zip(load_source(path).get_weights(), plain, strict=True):
        np.testing.assert_array_equal(value, expected)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(ShortageError, match="its weights can't be unpacked to a temporary file: "):
        load_source(path)


def test_a_message_of_a_loader_names_the_file_as_the_user_did(saved, tmp_path):
    path = tmp_path / "broken.keras"
    content = bytearray((saved / "k3_plain.keras").read_bytes())
    place = content.index(b"\x89HDF")
    content[place + 2000 : place + 4000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_source(path)
    text = str(caught.value)
    assert text.startswith(f"{path}")
    assert "/proc/" not in text
    assert "/model.keras" not in text


CASES = {case.name: case for case in read_cases(name=("archive-", "hdf5-"))}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("hdf5-soft-link-in-keras", KEEP_INSIDE),
        ("hdf5-external-link-in-keras", KEEP_INSIDE),
        ("hdf5-external-storage-in-keras", KEEP_INSIDE),
        ("hdf5-view-in-keras", KEEP_INSIDE),
        ("archive-comment", SAVE_AGAIN),
        ("archive-bzip2", SAVE_AGAIN),
    ],
)
def test_nothing_is_advised_that_does_not_help(name, advice, tmp_path):
    """What even trust doesn't open isn't said to be opened by it, nor is its cure another one."""
    path = CASES[name].make(tmp_path, tmp_path / "marker")
    with pytest.raises(UnsafeModelError) as refused:
        load_source(path)
    assert refused.value.hint == advice
    with pytest.raises(ModelError) as unread:
        load_source(path, unsafe=True)
    if advice == KEEP_INSIDE:
        assert unread.value.hint == advice


def test_hdf5_of_keras_2_with_values_elsewhere_is_opened_where_it_is_trusted(tmp_path):
    path = CASES["hdf5-external-storage"].make(tmp_path, tmp_path / "marker")
    with pytest.raises(UnsafeModelError) as refused:
        load_source(path)
    assert refused.value.hint == (
        f"{KEEP_INSIDE}; of Keras 2 `unsafe=True` opens it all the same: only for files you trust"
    )
    model = load_source(path, unsafe=True)
    (outside,) = (each for each in tmp_path.iterdir() if each != path)
    held = np.fromfile(outside, "float32", 2)
    np.testing.assert_array_equal(model.get_weights()[1], held)
