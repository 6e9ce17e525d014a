"""The groups of weights in a file, compared with those that Keras writes."""

from __future__ import annotations

import importlib

import h5py
import pytest

from kprobe.architecture.weight_groups import is_training, name_places, number_groups, read_names


def outline(model):
    return [
        (layer.name, type(layer).__name__, outline(layer) if hasattr(layer, "layers") else None)
        for layer in model.layers
    ]


def list_groups(path):
    """Give the groups of a file that hold arrays."""
    groups = set()

    def note(name, thing):
        if isinstance(thing, h5py.Dataset):
            groups.add(name.partition("/vars/")[0])

    with h5py.File(path) as file:
        file.visititems(note)
    return groups


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
@pytest.mark.parametrize(
    ("library", "name"),
    # tf_keras alone puts something before a name that begins as private ones do.
    [("keras", "HTTPLayer2D"), ("tf_keras", "HTTPLayer2D"), ("tf_keras", "_Own")],
)
def test_groups_are_numbered_as_keras_does(tmp_path, library, name):
    keras = importlib.import_module(library)
    own = type(name, (keras.layers.Dense,), {})
    parts = [keras.Input((3,)), own(3), keras.layers.LayerNormalization(), own(3)]
    inner = keras.Sequential(parts, name="inner")
    layers = [keras.Input((3,)), keras.layers.Dense(3), inner, keras.layers.Dense(2)]
    model = keras.Sequential(layers, name="outer")
    model.save_weights(tmp_path / "a.weights.h5")
    places = name_places(outline(model))
    without_weights = {place for place, names in places.items() if names == ("inner",)}
    assert list_groups(tmp_path / "a.weights.h5") == set(places) - without_weights
    names = [layer.name for layer in model.layers]
    assert [place[0] for place in places.values() if len(place) == 1] == names
    assert [place[1] for place in places.values() if len(place) == 2] == [
        layer.name for layer in inner.layers
    ]


def test_a_class_is_numbered_from_its_second_layer_on():
    assert number_groups(["Dense", "Conv2D", "Dense"]) == ["dense", "conv2d", "dense_1"]


@pytest.mark.parametrize("place", ["optimizer/vars", "layers/dropout/seed_generator", "vars"])
def test_what_training_keeps_is_no_weight(place):
    assert is_training(place)
    assert not is_training(f"layers/{place.partition('/')[0]}")


def test_a_list_of_names_that_keras_split_is_read_in_one(tmp_path):
    from tf_keras.src.saving.legacy.hdf5_format import save_attributes_to_hdf5_group

    names = [f"{number:0100}".encode() for number in range(2000)]
    with h5py.File(tmp_path / "names.h5", "w") as file:
        save_attributes_to_hdf5_group(file, "layer_names", names)
        assert "layer_names" not in file.attrs
        assert read_names(file, "layer_names") == [name.decode() for name in names]
        save_attributes_to_hdf5_group(file, "weight_names", names[:2])
        assert read_names(file, "weight_names") == [name.decode() for name in names[:2]]
