"""Quantised layers, LoRA, and mixed and mapped dtype policies give what plain Keras gives."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe
from kprobe.models.weights.assign import assign_weights
from kprobe.models.weights.weights_file import open_weights_file

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
]
IMAGES = np.random.default_rng(0).normal(size=(5, 6, 6, 3)).astype("float32")
WORDS = np.random.default_rng(1).integers(0, 20, (5, 6)).astype("int32")


def make_images(k=keras, policy=None):
    k.utils.set_random_seed(0)
    x = k.Input((6, 6, 3))
    y = k.layers.Conv2D(4, 3, name="conv", dtype=policy)(x)
    y = k.layers.Flatten(name="flat", dtype=policy)(y)
    y = k.layers.Dense(16, "relu", name="wide", dtype=policy)(y)
    return k.Model(x, k.layers.Dense(8, name="out", dtype=policy)(y))


def make_words():
    keras.utils.set_random_seed(0)
    x = keras.Input((6,), dtype="int32")
    y = keras.layers.Embedding(20, 8, name="emb")(x)
    y = keras.layers.EinsumDense("abc,cd->abd", (None, 8), bias_axes="d", name="einsum")(y)
    y = keras.layers.GlobalAveragePooling1D(name="mean")(y)
    return keras.Model(x, keras.layers.Dense(8, name="out")(y))


def draw(layer):
    rng = np.random.default_rng(2)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))


def quantised(make, mode):
    model = make()
    model.quantize(mode)
    return model


def with_lora(mode=None):
    model = make_images()
    for name in ("conv", "wide"):
        if mode is None or name == "wide":
            model.get_layer(name).enable_lora(2)
            draw(model.get_layer(name))
    if mode:
        model.quantize(mode)
    return model


def mapped():
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="mixed_bfloat16")
    policies["wide"] = "float32"
    policies["conv"] = "mixed_float16"
    return make_images(keras, policies)


POLICIES = ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"]
MODELS = {
    **{f"{mode} of images": (lambda m=mode: quantised(make_images, m)) for mode in
       ("int8", "int4", "float8")},
    **{f"{mode} of words": (lambda m=mode: quantised(make_words, m)) for mode in
       ("int8", "int4")},
    "LoRA": with_lora,
    "LoRA in int8": lambda: with_lora("int8"),
    "mapped": mapped,
    **{policy: (lambda p=policy: make_images(keras, p)) for policy in POLICIES},
    **{f"{policy} of tf_keras": (lambda p=policy: make_images(tf_keras, p))
       for policy in ("mixed_float16", "mixed_bfloat16")},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_each_layer_is_what_plain_keras_computes(name, tmp_path):
    model = MODELS[name]()
    library = tf_keras if isinstance(model, tf_keras.Model) else keras
    rows = WORDS if "words" in name else IMAGES
    path = tmp_path / "m.keras"
    model.save(path)
    plain = library.models.load_model(path, compile=False)
    layers = [layer for layer in plain.layers if not isinstance(layer, library.layers.InputLayer)]
    computed = library.Model(plain.inputs, [layer.output for layer in layers])([rows])
    for source in (path, plain):
        found = kprobe.activations(source, [layer.name for layer in layers], rows, exact=True)
        for layer, expected in zip(layers, computed, strict=True):
            np.testing.assert_array_equal(
                np.asarray(found[layer.name], "float64"),
                np.asarray(expected).astype("float64"),
                err_msg=layer.name,
            )


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantised_weights_go_into_a_quantised_model(mode, tmp_path):
    trained = quantised(make_images, mode)
    path = tmp_path / "w.weights.h5"
    trained.save_weights(path)
    model = make_images()
    for layer in model.layers:
        for weight in layer.weights:
            weight.assign(weight + 1)
    model.quantize(mode)
    before = np.asarray(model(IMAGES))
    assign_weights(model, open_weights_file(path))
    np.testing.assert_array_equal(model(IMAGES), trained(IMAGES))
    assert np.abs(before - np.asarray(model(IMAGES))).max() > 1e-3
