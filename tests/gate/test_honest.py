"""Honest models are accepted, all of them, without any opt-in."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import keras
import pytest
import tf_keras
from gate import every_layer, save_honest

from kprobe.pipeline.checking import check_models

KERASES = pytest.mark.parametrize(("tag", "k"), [("k3", keras), ("k2", tf_keras)])
OLD = Path(__file__).parents[1] / "models" / "old"
# Their layers run Python that is kept in the file.
LAMBDAS = {"keras-2.2.4-lambdas.h5", "tf-2.15.1-lambdas.h5"}


def is_whole(path):
    """Tell a model from weights alone."""
    return "weights" not in path.name


def is_saved_model(path):
    return (path / "saved_model.pb").exists()


def check_accepted(paths):
    paths = [path for path in paths if path.suffix in (".keras", ".h5") or is_saved_model(path)]
    results = check_models(paths)
    assert [(result.path, result.lines) for result in results if not result.accepted] == []
    return results


@pytest.fixture(scope="module")
def honest(tmp_path_factory, warm_python):
    folder = tmp_path_factory.mktemp("honest")
    done = warm_python.run(save_honest.__file__, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_layer_of_both_kerases_is_accepted(honest):
    results = check_accepted(honest.iterdir())
    assert len(results) == 14


@KERASES
def test_no_layer_is_left_out(honest, tag, k):
    covered = json.loads((honest / "covered.json").read_text())[tag]
    left = {*every_layer.list_layers(k)} - {*covered} - every_layer.NOT_ALONE
    assert left == {*save_honest.WITHOUT[tag]}


def test_models_of_the_other_tests_are_accepted(saved, samples):
    paths = [path for path in saved.iterdir() if "tower" not in path.name]
    check_accepted(path for path in paths if is_whole(path))
    check_accepted(path for path in samples.iterdir() if path.name != "shapes_roi.keras")


def test_files_of_old_versions_are_accepted():
    paths = [path for path in OLD.iterdir() if is_whole(path)]
    results = check_accepted(path for path in paths if path.name not in LAMBDAS)
    assert len(results) > 15


def test_every_layer_of_later_old_versions_is_accepted(tmp_path):
    """As Keras 3.0 to 3.14 and TensorFlow 2.12 and 2.15 saved them: see `save_old.py`."""
    with tarfile.open(Path(__file__).with_name("old.tar.xz")) as packed:
        packed.extractall(tmp_path, filter="data")
    results = check_accepted(tmp_path.iterdir())
    versions = {result.keras_version for result in results}
    assert versions >= {"2.12.0", "2.15.0", "3.0.5", "3.3.3", "3.6.0", "3.10.0", "3.14.0"}
    assert sum(result.layers or 0 for result in results) > 1500
    assert sum(result.format == "saved_model" for result in results) == 7


FAMILIES = [
    *("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2"),
    *("InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50"),
    *("ResNet50V2", "VGG16", "Xception", "RegNetX002", "ResNetRS50"),
    "VGG19",
]


# Of these no HDF5 says whose their own layers are, and so their Keras doesn't load it either.
NOT_IN_HDF5 = {("k2", "ConvNeXtTiny"), ("k3", "ConvNeXtTiny"), ("k3", "InceptionResNetV2")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras 3, saving HDF5
@pytest.mark.parametrize("name", FAMILIES)
@KERASES
def test_every_family_of_applications_is_accepted(tmp_path, tag, k, name):
    make = getattr(k.applications, name, None)
    if make is None:
        pytest.skip("this Keras has no such family")
    k.backend.clear_session()
    model = make(weights=None)
    for suffix in ("keras",) if (tag, name) in NOT_IN_HDF5 else ("keras", "h5"):
        model.save(tmp_path / f"model.{suffix}")
    check_accepted(tmp_path.iterdir())


@KERASES
def test_no_family_of_applications_is_left_out(tag, k):
    """A family is what is made in one module."""
    modules = {
        name: make.__module__
        for name, make in vars(k.applications).items()
        if name[0].isupper() and callable(make)
    }
    assert {*modules.values()} == {modules[name] for name in FAMILIES if name in modules}
