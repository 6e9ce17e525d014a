"""A fault that is planted in one layer is born there, and in no other."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kprobe

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
RNG = np.random.default_rng(0)


def make_lstm():
    x = keras.Input((6, 5), name="x")
    y = keras.layers.LSTM(4, return_sequences=True, name="lstm1")(x)
    y = keras.layers.LSTM(3, name="lstm2")(y)
    return keras.Model(x, keras.layers.Dense(2, name="out")(y))


def make_transformer():
    x = keras.Input((6, 8), name="x")
    attended = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    y = keras.layers.LayerNormalization(name="norm1")(keras.layers.Add(name="add1")([x, attended]))
    z = keras.layers.Dense(16, activation="gelu", name="wide")(y)
    z = keras.layers.Dense(8, name="narrow")(z)
    z = keras.layers.LayerNormalization(name="norm2")(keras.layers.Add(name="add2")([y, z]))
    return keras.Model(x, keras.layers.Dense(3, name="out")(z))


def make_nested():
    x = keras.Input((5,), name="inner_x")
    y = keras.layers.Dense(6, activation="relu", name="first")(x)
    inner = keras.Model(x, keras.layers.Dense(4, name="last")(y), name="inner")
    x = keras.Input((7,), name="x")
    y = inner(keras.layers.Dense(5, name="before")(x))
    return keras.Model(x, keras.layers.Dense(3, name="after")(y))


def make_normed(precise=None, epsilon=1e-3):
    """A chain, of which one layer may have another precision, or another epsilon."""
    dtype = dict.fromkeys(("a", "norm", "b", "c"), "float32") | (precise or {})
    x = keras.Input((6,), name="x")
    y = keras.layers.Dense(8, activation="relu", name="a", dtype=dtype["a"])(x)
    y = keras.layers.BatchNormalization(epsilon=epsilon, name="norm", dtype=dtype["norm"])(y)
    y = keras.layers.Dense(8, activation="relu", name="b", dtype=dtype["b"])(y)
    return keras.Model(x, keras.layers.Dense(3, name="c", dtype=dtype["c"])(y))


def plant(model, layer):
    """Change one weight of a layer's first kernel by 1e-3 of its largest."""
    found = next(own for own in model._flatten_layers() if own.name == layer)
    values = found.get_weights()
    number = next(number for number, value in enumerate(values) if value.ndim > 1)
    kernel = values[number]
    kernel.flat[np.abs(kernel).argmax()] += 1e-3 * np.abs(kernel).max()
    found.set_weights(values)


def check_born(a, b, *places, **settings):
    result = kprobe.diff(a, b, **settings)
    table = [(t.pair.b.address, t.local and t.local.relative) for t in result.tensors]
    assert result.verdict.kind == "born", (result.verdict, table)
    assert result.verdict.born in places
    # In the places alone, and exactly 0 elsewhere.
    assert {name for name, local in table if local} <= set(places), table
    return result


def make_twice(make, **others):
    keras.utils.set_random_seed(0)
    one = make()
    other = make(**others)
    other.set_weights(one.get_weights())
    return one, other


@pytest.mark.parametrize(
    ("make", "layer", "place"),
    [
        (make_lstm, "lstm1", "lstm1"),
        (make_lstm, "lstm2", "lstm2"),
        (make_transformer, "attention", "attention/query"),
        (make_transformer, "narrow", "narrow"),
        (make_nested, "first", "inner/first"),
        (make_nested, "before", "before"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_weight_of_one_layer(make, layer, place):
    one, other = make_twice(make)
    plant(other, layer)
    samples = RNG.normal(size=(16, *one.input_shape[1:])).astype("float32")
    check_born(one, other, place, inputs=samples)


SAMPLE_MODELS = [
    ("digits_cnn.keras", "conv2", ("conv2",), {}),
    ("shapes_rpn.h5", "conv4_2", ("conv4_2",), {}),
    ("siamese.keras", "conv1", ("encoder@0/conv1", "encoder@1/conv1"), {}),
    ("shapes_roi.keras", "conv4_2", ("conv4_2",), {"custom_objects": "roi_layer.py"}),
]


INPUTS = {
    "digits_cnn.keras": lambda samples: {"inputs": samples / "digits.npz", "limit": 8},
    "siamese.keras": lambda _: {"random": 4},
    "shapes_rpn.h5": lambda samples: {"inputs": samples / "shapes.npz", "limit": 4},
    "shapes_roi.keras": lambda samples: {"inputs": samples / "shapes.npz", "limit": 4},
}


@pytest.mark.parametrize(("name", "layer", "places", "more"), SAMPLE_MODELS)
def test_a_weight_of_one_layer_of_a_sample_model(name, layer, places, more, samples):
    more = {key: samples / value for key, value in more.items()}
    one = kprobe.load_model(samples / name, **more)
    other = kprobe.load_model(samples / name, **more)
    plant(other, layer)
    result = check_born(one, other, *places, **INPUTS[name](samples))
    # A shared layer shows it in each of its calls.
    named = {t.pair.b.address for t in result.tensors if t.local and t.local.relative}
    assert named == set(places)


def test_an_epsilon():
    one, other = make_twice(make_normed, epsilon=1.5e-3)
    check_born(one, other, "norm", inputs=RNG.normal(size=(16, 6)).astype("float32"))


@pytest.mark.parametrize("layer", ["a", "b"])
def test_the_precision_of_one_layer(layer):
    one, other = make_twice(make_normed, precise={layer: "mixed_bfloat16"})
    inputs = RNG.normal(size=(64, 6)).astype("float32")
    result = kprobe.diff(one, other, inputs, rtol=1e-5)
    assert (result.verdict.kind, result.verdict.born) == ("born", layer)
    for tensor in result.tensors:
        if tensor.local is not None and tensor.pair.b.address != layer:
            assert tensor.local.relative == 0
