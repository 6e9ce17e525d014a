import json
import os
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.file import (
    WeightsAloneError,
    open_model_file,
    read_model_file,
    read_opened,
)
from kprobe.models.spec import ModelSpec

PLAIN = {"class_name": "Sequential", "config": {"name": "s", "layers": []}}


@pytest.mark.parametrize(
    ("name", "file_format", "major"),
    [
        ("k2_big.h5", "h5", 2),
        ("k2_big.keras", "keras", 2),
        ("k3_big.h5", "h5", 3),
        ("k3_big.keras", "keras", 3),
    ],
)
def test_the_version_in_the_file_chooses_the_keras(saved, name, file_format, major):
    model = read_model_file(saved / name)
    assert (model.format, model.keras_major) == (file_format, major)
    assert model.keras_version.startswith(str(major))
    assert model.config["class_name"] == "Functional"


def test_the_content_counts_where_the_name_says_nothing_else(saved, tmp_path):
    shutil.copy(saved / "k3_plain.keras", tmp_path / "a")
    shutil.copy(saved / "k2_plain.h5", tmp_path / "b.keras")  # as TensorFlow 2.11 writes it
    assert read_model_file(tmp_path / "a").format == "keras"
    assert read_model_file(str(tmp_path / "b.keras")).format == "h5"
    shutil.copy(saved / "k3_plain.keras", tmp_path / "a.h5")
    assert "expected HDF5, as .h5 says, received a zip archive" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["big", "plain"])
def test_without_a_version_the_config_tells_the_keras(saved, tmp_path, name):
    for tag, major in (("k2", 2), ("k3", 3)):
        path = tmp_path / f"{tag}.h5"
        shutil.copy(saved / f"{tag}_{name}.h5", path)
        with h5py.File(path, "r+") as file:
            del file.attrs["keras_version"]
        model = read_model_file(path)
        assert (model.keras_version, model.keras_major) == (None, major)
        with zipfile.ZipFile(saved / f"{tag}_{name}.keras") as archive:
            config = archive.read("config.json")
        bare = tmp_path / f"{tag}.keras"
        with zipfile.ZipFile(bare, "w") as archive:
            archive.writestr("config.json", config)
        assert read_model_file(bare).keras_major == major


def refusal(path):
    with pytest.raises(ModelError) as caught:
        read_model_file(path)
    assert caught.value.exit_code == 2
    assert len(caught.value.faults) == 1
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.h5")


def test_directories_are_refused(tmp_path):
    assert "is a directory without saved_model.pb" in refusal(tmp_path)


def test_the_main_file_of_a_savedmodel_stands_for_its_directory(tmp_path):
    path = tmp_path / "model" / "saved_model.pb"
    assert refusal(path) == f"{path.parent}: no such file; check the model's path"
    path.parent.mkdir()
    path.write_bytes(b"\x08\x01\x12\x04\x0a\x02\x22\x00")
    model = read_model_file(path)
    assert (model.path, model.format) == (path.parent, "saved_model")
    assert ModelSpec(model=path).name == "model"


def test_weights_alone_are_told_apart_from_what_is_no_model(tmp_path):
    for name, content in (("w.index", b"weights"), ("w.weights.json", b'{"weight_map": {}}')):
        (tmp_path / name).write_bytes(content)
        opened, start = open_model_file(tmp_path / name)
        with pytest.raises(WeightsAloneError, match="holds weights only"):
            read_opened(opened, start)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"rubbish that is no model at all", "neither a .keras archive nor HDF5"),
        (b"PK\x03\x04 and then nothing", "is cut short or damaged"),
    ],
)
def test_what_is_not_a_model_is_refused(tmp_path, content, message):
    path = tmp_path / "model"
    path.write_bytes(content)
    assert message in refusal(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("k2_big.h5", "ends after 39,984 of 79,968 bytes; copy or save"),
        ("k3_big.keras", "is cut short or damaged: there is no directory at its end; copy or save"),
    ],
)
def test_a_truncated_model_is_said_to_be_damaged(saved, tmp_path, name, message):
    whole = (saved / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: len(whole) // 2])
    assert message.replace("39,984 of 79,968", f"{len(whole) // 2:,} of {len(whole):,}") in (
        refusal(path)
    )


def test_archives_and_hdf5_files_of_other_kinds_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    assert "without config.json" in refusal(tmp_path / "a.npz")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(3)
    assert "without model_config" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["k2_old_weights.h5", "k2_new.weights.h5", "k3_new.weights.h5"])
def test_a_weights_only_file_is_recognised(saved, name):
    assert "holds weights only" in refusal(saved / name)


def test_a_dump_is_said_to_be_a_dump(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["format"] = "kprobe dump"
    assert "is a dump of activations" in refusal(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("{", "that isn't valid JSON"),
        ("[]", "expected an object, received a list"),
        ('{"class_name": 3}', "class_name and config of a Keras model, received an object without"),
        ("3", "expected an object, received a number"),
    ],
)
def test_a_corrupt_config_is_refused(write_h5, write_keras, config, expected):
    assert expected in refusal(write_h5(config))
    assert expected in refusal(write_keras(config))


def test_an_endless_architecture_is_refused_unread(tmp_path):
    path = tmp_path / "model.json"
    with path.open("wb") as file:
        file.write(json.dumps(PLAIN).encode())
        file.truncate(1 << 32)  # a hole
    with pytest.raises(UnsafeModelError, match="above the limit of"):
        read_model_file(path)


def test_models_deep_within_each_other_are_refused(write_h5):
    around = '{"class_name": "Sequential", "config": {"name": "s", "layers": ['
    for depth in (200, 9000):
        text = around * depth + "]}}" * depth
        for path in (write_h5(text), write_h5(text, version="1.2.2")):
            with pytest.raises(UnsafeModelError, match="levels deep, above the limit of"):
                read_model_file(path)


def test_a_compressed_archive_is_read(write_keras):
    path = write_keras(json.dumps(PLAIN), compression=zipfile.ZIP_DEFLATED)
    assert read_model_file(path).config == PLAIN


def test_a_version_that_is_no_version_counts_as_none(write_h5):
    assert read_model_file(write_h5(PLAIN, version="tip")).keras_version is None


def test_a_pipe_is_refused_unopened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    # Opened, it would wait for somebody to write.
    with pytest.raises(ModelError, match="expected a regular file, received a pipe"):
        read_model_file(tmp_path / "pipe")


def test_converted_models_are_said_to_be_checked_alone(tmp_path):
    for name, start, kind in (
        ("m.tflite", b"\x1c\0\0\0TFL3" + bytes(99), "a TensorFlow Lite model"),
        ("m", b"\x1c\0\0\0TFL3" + bytes(99), "a TensorFlow Lite model"),
        ("m.onnx", b"\x08\x07" + bytes(99), "an ONNX model"),
    ):
        path = tmp_path / name
        path.write_bytes(start)
        with pytest.raises(ModelError) as caught:
            read_opened(*open_model_file(path))
        assert f"received {kind}" in str(caught.value)
        assert f"`kprobe check {path}`" in str(caught.value)
