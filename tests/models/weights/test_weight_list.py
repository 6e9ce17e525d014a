"""The weights that a file's metadata lists, against those of the models that were saved."""

from __future__ import annotations

from collections import Counter

import h5py
import keras
import pytest
import tf_keras

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.models.file import read_model_file
from kprobe.models.weights.weight_list import list_weights

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
# Keras's, when it saves a variable.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def make_model(k):
    """A model with a nested one that is called twice, two layers of one class, and a cell."""
    layers = k.layers
    steps = k.Input((6, 4), name="steps")
    inner = layers.BatchNormalization(name="norm")(layers.Dense(4, name="dense")(steps))
    encoder = k.Model(steps, inner, name="encoder")
    x = k.Input((6, 4), name="x")
    y = layers.Dropout(0.5, name="drop")(encoder(encoder(layers.Dense(4, name="first")(x))))
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    y = layers.Bidirectional(layers.LSTM(3, activation="relu"), name="both")(y)
    return k.Model(x, layers.Dense(2, use_bias=False, name="last")(y))


def list_real(model, *, inside, path=()):
    """Give the weights of a model as its Keras has them, with the path of each one's layer.

    With `inside` that is the innermost layer, else the innermost that isn't inside another layer.
    """
    for layer in getattr(model, "layers", None) or list_wrapped(model):
        here = (*path, layer.name)
        if hasattr(layer, "layers") or (inside and list_wrapped(layer)):
            yield from list_real(layer, inside=inside, path=here)
        else:
            for weight in layer.weights:
                dtype = weight.dtype if isinstance(weight.dtype, str) else weight.dtype.name
                yield here, tuple(weight.shape), dtype


def list_wrapped(layer):
    names = ("forward_layer", "backward_layer", "cell")
    return [getattr(layer, name) for name in names if hasattr(layer, name)]


def list_file(path):
    return list_weights(read_model_file(path))


@KERASES
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_each_weight_is_listed_once_with_its_layer_shape_and_dtype(k, suffix, tmp_path):
    model = make_model(k)
    model.save(tmp_path / f"model{suffix}")
    told = list_file(tmp_path / f"model{suffix}")
    found = [(weight.layer, weight.shape, weight.dtype) for weight in told.weights]
    # In the archives of tf_keras nothing is named.
    inside = (k, suffix) != (tf_keras, ".keras")
    assert Counter(found) == Counter(list_real(model, inside=inside))
    assert sum(weight.size for weight in told.weights) == model.count_params()
    # Of a layer without weights it's known that it has none.
    assert {("first",), ("drop",), ("last",), ("encoder", "norm")} <= told.layers


@KERASES
def test_names_within_a_layer_are_different(k, tmp_path):
    model = make_model(k)
    model.save(tmp_path / "model.keras")
    weights = list_file(tmp_path / "model.keras").weights
    assert len({(weight.layer, weight.name) for weight in weights}) == len(weights)


def test_an_architecture_alone_tells_of_no_weights(tmp_path):
    model = make_model(keras)
    (tmp_path / "model.json").write_text(model.to_json())
    told = list_file(tmp_path / "model.json")
    assert (told.weights, told.layers) == ([], frozenset())
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        del file["model_weights"]
    told = list_file(tmp_path / "model.h5")
    assert (told.weights, told.layers) == ([], frozenset())


def test_weights_that_are_named_and_not_there_are_damage(tmp_path):
    make_model(keras).save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        del file["model_weights/first/first/kernel"]
    with pytest.raises(UnsafeModelError, match=r"model\.h5: layer 'first': expected weights of"):
        list_file(tmp_path / "model.h5")
    trusted = read_model_file(tmp_path / "model.h5", allow=None)
    with pytest.raises(ModelError, match=r"model\.h5: its weights are truncated or damaged: "):
        list_weights(trusted)
