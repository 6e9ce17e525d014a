"""The axes of tensors are called after what the layers tell."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe
from kprobe.pipeline.planning.axes import name_axes
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace

IMAGE = ("height", "width", "channel")


def make_images(k, first="channels_last"):
    """Images through convolutions and what keeps their axes, to vectors."""
    layers = k.layers
    shape = (3, 12, 10) if first == "channels_first" else (12, 10, 3)
    data_format = {"data_format": first}
    x = image = k.Input(shape, name="image")
    x = layers.Rescaling(0.5, name="scaled")(x)
    x = layers.SeparableConv2D(4, 3, padding="same", name="conv", **data_format)(x)
    x = layers.BatchNormalization(name="norm")(x)
    y = layers.Activation("relu", name="relu")(x)
    x = layers.Add(name="added")([x, y])
    x = layers.Concatenate(axis=1 if first == "channels_first" else -1, name="joined")([x, y])
    x = layers.MaxPooling2D(2, name="pool", **data_format)(x)
    x = layers.Conv2DTranspose(5, 2, name="up", **data_format)(x)
    mean = layers.GlobalAveragePooling2D(name="mean", **data_format)(x)
    kept = layers.GlobalMaxPooling2D(name="kept", keepdims=True, **data_format)(x)
    flat = layers.Flatten(name="flat")(kept)
    unit = layers.Dropout(0.5, name="dropped")(layers.Dense(6, name="dense")(mean))
    square = layers.Reshape((2, 3), name="reshaped")(unit)
    turned = layers.Permute((2, 3, 1), name="turned")(x)
    return k.Model(image, [flat, square, turned])


IMAGES = {
    # A convolution takes what the first one gives, and so tells of it.
    **dict.fromkeys(
        ("scaled", "conv", "norm", "relu", "added", "joined", "pool", "up", "kept"), IMAGE
    ),
    "mean": ("channel",),
    "flat": (None,),
    "dense": ("unit",),
    "dropped": ("unit",),
    "reshaped": (None, None),
    "turned": ("width", "channel", "height"),
    "conv:in": IMAGE,
}


def make_sequences(k):
    """Words through recurrent and attention layers."""
    layers = k.layers
    words = k.Input((7,), dtype="int32", name="words")
    x = layers.Embedding(9, 4, name="embedded")(words)
    x = layers.LayerNormalization(name="norm")(x)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    s = layers.LSTM(5, activation="relu", return_sequences=True, name="lstm")(x)
    b = layers.Bidirectional(layers.GRU(3, activation="relu", name="gru"), name="both")(s)
    c = layers.Conv1D(6, 2, name="conv")(s)
    p = layers.AveragePooling1D(2, name="pool")(c)
    m = layers.GlobalMaxPooling1D(name="most")(s)
    a, scores = layers.MultiHeadAttention(2, 3, name="heads")(x, x, return_attention_scores=True)
    d = layers.TimeDistributed(layers.Dense(2, name="each"), name="steps")(a)
    r = layers.RepeatVector(3, name="again")(m)
    out, h, cell = layers.LSTM(2, activation="relu", return_state=True, name="state")(x)
    return k.Model(words, [b, p, m, d, r, scores, out, h, cell])


SEQUENCES = {
    **dict.fromkeys(("embedded", "norm", "lstm", "heads[0]"), ("step", "unit")),
    "heads[1]": ("head", "step", "key_step"),
    "both": ("unit",),
    "conv": ("step", "channel"),
    "pool": ("step", "channel"),
    "most": ("unit",),
    "steps": ("step", "unit"),
    "again": ("step", "unit"),
    "state[0]": ("unit",),
    "state[1]": ("unit",),
}


def make_films(k):
    """Films through recurrent convolutions, which are recurrent layers and convolutions."""
    layers = k.layers
    film = k.Input((3, 5, 6, 2), name="film")
    x = layers.ConvLSTM2D(2, 2, return_sequences=True, name="frames")(film)
    last, h, _ = layers.ConvLSTM2D(2, 2, return_state=True, name="last")(x)
    return k.Model(film, [last, h])


FILMS = {"frames": ("step", *IMAGE), "last[0]": IMAGE, "last[1]": IMAGE}


def read_axes(path, address):
    """Read with h5py alone how the axes of a column are called; None where nothing says it."""
    with kprobe.open_dump(path) as dump:
        dataset = dump[address]
        return tuple(axis.label or None for axis in dataset.dims)


CASES = {
    "films": (make_films, FILMS),
    "images": (make_images, IMAGES),
    "sequences": (make_sequences, SEQUENCES),
}


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("name", CASES)
def test_axes_are_called_after_the_layers(k, name, tmp_path):
    make, expected = CASES[name]
    path = tmp_path / "a.h5"
    kprobe.dump(make(k), [*expected], random=2, output=path)
    for address, axes in expected.items():
        found = read_axes(path, address)
        assert found == (("sample", *axes) if any(axes) else (None,) * (len(axes) + 1)), address


def test_channels_may_come_first():
    # TensorFlow doesn't compute that on every processor, so the trace alone is looked at.
    model = make_images(keras, "channels_first")
    traced = trace(model, read_signature(model), lambda given: arrange_inputs(model, given))
    axes = name_axes(traced.calls)
    found = {call.address: axes.get(id(call.outputs[0][1])) for call in traced.calls}
    for name, expected in IMAGES.items():
        if expected == IMAGE and ":" not in name:
            assert found[name] == ("channel", "height", "width"), name
    assert found["mean"] == ("channel",)
    assert found["turned"] == ("height", "width", "channel")


class Grown(keras.layers.Conv2D):
    """The user's own convolution."""


class Conv2D(keras.layers.Layer):
    """Called as a layer of Keras, and no such."""

    def call(self, x):
        return keras.ops.transpose(x, (0, 3, 1, 2))


def test_a_layer_is_known_by_its_class_in_keras_and_not_by_its_name(tmp_path):
    x = image = keras.Input((6, 5, 2))
    x = Grown(3, 2, name="grown")(x)
    other = Conv2D(name="other")(x)
    kprobe.dump(keras.Model(image, other), ["grown", "other"], random=2, output=tmp_path / "a.h5")
    assert read_axes(tmp_path / "a.h5", "grown") == ("sample", *IMAGE)
    assert read_axes(tmp_path / "a.h5", "other") == (None,) * 4


def test_the_same_axes_of_one_size_and_of_several(tmp_path):
    x = image = keras.Input((8, 6, 3))
    x = keras.layers.Conv2D(4, 1, name="a")(x)
    x = keras.layers.Conv2D(4, (2, 1), name="b")(x)
    head = keras.layers.Dense(2, name="unit")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, head)
    values = np.arange(2 * 8 * 6 * 3, dtype="float32").reshape(2, 8, 6, 3)
    kprobe.dump(model, ["a", "b", "unit"], inputs=values, output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        arrays = dump.to_xarray()
        assert arrays["a"].dims == ("sample", "height_8", "width", "channel")
        assert arrays["b"].dims == ("sample", "height_7", "width", "channel")
        assert arrays["unit"].dims == ("sample", "unit_2")  # a layer is called `unit`
        assert dump.to_xarray("b")["b"].dims == ("sample", "height", "width", "channel")
        mean = arrays["a"].mean("width")
    expected = keras.Model(image, model.get_layer("a").output).predict(values, verbose=0)
    np.testing.assert_allclose(mean, expected.mean(axis=2), rtol=1e-4)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_scores_have_the_steps_of_queries_and_of_keys(k, tmp_path):
    x = k.Input((5, 4))
    y = k.layers.MultiHeadAttention(2, 3, name="heads")(x, x)
    model = k.Model(x, k.layers.Attention(name="plain")([y, y]))
    kprobe.dump(model, ["heads:scores", "s=plain:scores"], random=2, output=tmp_path / "a.h5")
    steps = ("step", "key_step")
    assert read_axes(tmp_path / "a.h5", "heads:scores") == ("sample", "head", *steps)
    assert read_axes(tmp_path / "a.h5", "s") == ("sample", *steps)
