"""The shapes of weights are those that either Keras makes."""

from __future__ import annotations

from collections import Counter

import keras
import pytest
import tf_keras

from kprobe.architecture.layer_weights import expect_weights, is_quantized

LINE, ROWS, IMAGE, VOLUME = (6,), (8, 6), (9, 9, 6), (7, 7, 7, 6)
FRAMES = (3, *IMAGE)
# By the class: its arguments, and the shape of a sample.
BOTH = [
    ("Dense", {"units": 5}, LINE),
    ("Dense", {"units": 5, "use_bias": False}, IMAGE),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "groups": 2}, ROWS),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 2)}, IMAGE),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "data_format": "channels_first"}, IMAGE),
    ("Conv3D", {"filters": 4, "kernel_size": 2, "use_bias": False}, VOLUME),
    ("Conv1DTranspose", {"filters": 4, "kernel_size": 3}, ROWS),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": (3, 2), "strides": 2}, IMAGE),
    ("Conv3DTranspose", {"filters": 4, "kernel_size": 2}, VOLUME),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, ROWS),
    ("DepthwiseConv2D", {"kernel_size": (3, 2), "depth_multiplier": 2}, IMAGE),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 3, "depth_multiplier": 2}, ROWS),
    ("SeparableConv2D", {"filters": 4, "kernel_size": (3, 2)}, IMAGE),
    ("ConvLSTM1D", {"filters": 4, "kernel_size": 3}, (3, *ROWS)),
    ("ConvLSTM2D", {"filters": 4, "kernel_size": (3, 2), "use_bias": False}, FRAMES),
    ("Embedding", {"input_dim": 9, "output_dim": 4}, LINE),
    ("BatchNormalization", {}, IMAGE),
    ("BatchNormalization", {"axis": 1, "scale": False}, (4, 6)),
    ("BatchNormalization", {"center": False, "scale": False}, LINE),
    ("LayerNormalization", {}, IMAGE),
    ("LayerNormalization", {"axis": [1, 3], "center": False}, (4, 5, 6)),
    ("GroupNormalization", {"groups": 3}, IMAGE),
    ("GroupNormalization", {"groups": 2, "axis": 1, "scale": False}, (4, 5)),
    ("PReLU", {}, IMAGE),
    ("PReLU", {"shared_axes": [1, 2]}, IMAGE),
    ("Normalization", {}, IMAGE),
    ("Normalization", {"axis": None}, IMAGE),
    ("Normalization", {"axis": [1, 2]}, ROWS),
    ("Normalization", {"mean": 1.0, "variance": 2.0}, IMAGE),
    ("LSTM", {"units": 5}, ROWS),
    ("LSTM", {"units": 5, "use_bias": False}, ROWS),
    ("GRU", {"units": 5}, ROWS),
    ("GRU", {"units": 5, "reset_after": False}, ROWS),
    ("SimpleRNN", {"units": 5}, ROWS),
    ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 5, "bias_axes": "c"}, LINE),
    ("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3)}, ROWS),
    (
        "EinsumDense",
        {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "d"},
        ROWS,
    ),
    ("EinsumDense", {"equation": "abc,bd->adc", "output_shape": (5, None)}, ROWS),
    ("EinsumDense", {"equation": "...b,bc->...c", "output_shape": 5}, IMAGE),
    ("EinsumDense", {"equation": "...bc,cd->...bd", "output_shape": (9, 5)}, IMAGE),
    ("EinsumDense", {"equation": "ab...,bc->ac...", "output_shape": 5}, IMAGE),
]
OF_ONE = [
    (keras, "RMSNormalization", {}, IMAGE),
    (keras, "ReversibleEmbedding", {"input_dim": 9, "output_dim": 4}, LINE),
    (
        keras,
        "ReversibleEmbedding",
        {"input_dim": 9, "output_dim": 4, "tie_weights": False},
        LINE,
    ),
]
CASES = [(library, *case) for library in (keras, tf_keras) for case in BOTH] + OF_ONE


def _made(layer):
    return Counter(tuple(weight.shape) for weight in layer.weights)


@pytest.mark.parametrize(
    ("library", "kind", "arguments", "shape"),
    CASES,
    ids=[f"{case[0].__name__}-{case[1]}-{number}" for number, case in enumerate(CASES)],
)
def test_they_are_what_keras_makes(library, kind, arguments, shape):
    layer = getattr(library.layers, kind)(**arguments)
    layer.build((None, *shape))
    told = expect_weights(kind, layer.get_config(), [(None, *shape)])
    assert Counter(told) == _made(layer)


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"value_dim": 5, "use_bias": False},
        {"output_shape": 7},
        {"output_shape": (2, 7)},
    ],
)
def test_those_of_attention_follow_from_its_query(library, arguments):
    layer = library.layers.MultiHeadAttention(2, 3, **arguments)
    layer(library.Input(ROWS), library.Input(ROWS))
    told = expect_weights("MultiHeadAttention", layer.get_config(), [(None, *ROWS)])
    # What keys and values are like, the first argument doesn't tell.
    assert Counter(_without_lengths(shape) for shape in told) == Counter(
        _without_lengths(shape) for shape in _made(layer).elements()
    )
    known = [shape for shape in told if None not in shape]
    assert len(known) >= len(told) - 2
    assert not Counter(known) - _made(layer)


def _without_lengths(shape):
    return (len(shape), shape[1:])


def test_those_of_a_quantized_layer_are_stored_otherwise():
    dense = keras.layers.Dense(4)
    dense.build((None, 6))
    assert not is_quantized(keras.saving.serialize_keras_object(dense)["config"])
    for mode in ("int8", "int4", "int4/4", "float8"):
        dense = keras.layers.Dense(4, dtype=f"{mode}_from_float32")
        assert is_quantized(keras.saving.serialize_keras_object(dense)["config"])
    mixed = keras.layers.Dense(4, dtype="mixed_float16")
    assert not is_quantized(keras.saving.serialize_keras_object(mixed)["config"])


def test_what_isnt_known_stays_open():
    assert expect_weights("Dense", {"units": 5}, [None]) == [(None, 5), (5,)]
    assert expect_weights("Odd", {"units": 5}, [(None, 4)]) is None
    for units in ("5", -5, 5.0, True, [5]):
        assert expect_weights("Dense", {"units": units}, [(None, 4)]) is None
    for config in ({}, {"filters": 3, "kernel_size": None}, {"filters": 3, "kernel_size": [3]}):
        assert expect_weights("Conv2D", config, [(None, 4, 4, 3)]) is None
