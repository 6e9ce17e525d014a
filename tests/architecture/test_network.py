"""The layers and calls that a config lists, against those of the models of both Kerases."""

from __future__ import annotations

import json

import keras
import pytest
import tensorflow as tf
import tf_keras

from kprobe.architecture.network import TensorRef, read_network, read_shape
from kprobe.architecture.network_names import name_by_class

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def read(model):
    return read_network(json.loads(model.to_json()))


def make_shared(k):
    """A model with a nested one that is called twice, and a layer that takes two tensors."""
    scan = k.Input((4,), name="scan")
    encoder = k.Model(scan, k.layers.Dense(4, name="dense")(scan), name="encoder")
    left, right = k.Input((4,), name="left"), k.Input((4,), name="right")
    added = k.layers.Add(name="added")([encoder(left), encoder(right)])
    return k.Model([left, right], [k.layers.ReLU(name="relu")(added), added])


def list_callers(k, layer):
    """Give, for each call of a Keras's layer, the layers whose tensors it takes."""
    if k is keras:
        calls = [node.input_tensors for node in layer._inbound_nodes]
        return [[tensor._keras_history.operation.name for tensor in call] for call in calls]
    calls = [tf.nest.flatten(node.keras_inputs) for node in layer.inbound_nodes]
    return [[tensor._keras_history.layer.name for tensor in call] for call in calls]


@KERASES
def test_layers_and_their_calls_are_those_of_the_model(k):
    model = make_shared(k)
    network = read(model)
    assert [layer.name for layer in network.layers] == [layer.name for layer in model.layers]
    for layer, real in zip(network.layers, model.layers, strict=True):
        assert layer.class_name == type(real).__name__
        assert layer.in_layers
        assert layer.is_input == isinstance(real, k.layers.InputLayer)
        told = [[ref.layer for ref in call] for call in layer.calls]
        assert told == list_callers(k, real)
    (encoder,) = (layer for layer in network.layers if layer.network is not None)
    assert [layer.name for layer in encoder.network.layers] == ["scan", "dense"]
    assert [ref.layer for ref in network.outputs] == ["relu", "added"]
    assert not network.sequential


@KERASES
def test_a_sequential_keeps_its_input_layer_to_itself(k):
    model = k.Sequential([k.Input((3,), name="x"), k.layers.Dense(2, name="a")], name="two")
    network = read(model)
    assert network.sequential
    assert [layer.name for layer in network.layers if layer.in_layers] == ["a"]
    assert [layer.name for layer in network.layers if layer.is_input] == ["x"]
    assert [layer.calls for layer in network.layers] == [[[]], [[]]]
    assert network.outputs == []


@KERASES
def test_a_call_takes_its_first_argument_and_mentions_the_others(k):
    query, value = k.Input((5, 4), name="query"), k.Input((7, 4), name="value")
    attend = k.layers.MultiHeadAttention(2, 3, name="attend")
    network = read(k.Model([query, value], attend(query, value=value)))
    (layer,) = (each for each in network.layers if each.name == "attend")
    assert [[ref.layer for ref in call] for call in layer.calls] == [["query"]]
    assert {ref.layer for ref in layer.mentions} == {"query", "value"}


@KERASES
def test_numbers_and_operations_among_the_layers_are_told_from_layers(k):
    # Of whole numbers: Keras 2 writes this one as it writes the tensors.
    x = k.Input((4,), name="x", dtype="int32")
    model = k.Model(x, k.layers.Reshape((2, 2), name="last")(2 - x))
    network = read(model)
    names = {layer.name for layer in network.layers if layer.in_layers}
    assert names == {layer.name for layer in model.layers}
    (middle,) = (layer for layer in network.layers if layer.name not in ("x", "last"))
    # Keras 3 has operations beside the layers, Keras 2 makes a layer of each.
    assert middle.is_operation == (k is keras)
    assert {ref.layer for ref in middle.mentions} == {"x"}


@KERASES
def test_the_calls_of_a_nested_model_are_counted_as_its_keras_does(k):
    layers = {layer.name: layer for layer in read(make_shared(k)).layers}
    # Keras 2 counts a call of its own, while it builds the model. Keras 3 says the shapes.
    first = layers["encoder"].node_offset if k is tf_keras else 0
    shape = (None, 4) if k is keras else None
    assert layers["added"].calls == [
        [TensorRef("encoder", first + number, 0, shape) for number in (0, 1)]
    ]
    assert layers["encoder"].node_offset == 1
    assert layers["added"].node_offset == 0


def test_a_sequential_of_keras_1_is_a_list():
    entry = {"class_name": "Dense", "config": {"name": "a", "units": 2}}
    network = read_network({"class_name": "Sequential", "config": [entry, entry]})
    assert network.sequential
    assert [(layer.name, layer.class_name) for layer in network.layers] == [("a", "Dense")] * 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.Dense(3),
        lambda: keras.layers.Bidirectional(keras.layers.LSTM(3)),
        lambda: keras.layers.Pipeline([keras.layers.RandomFlip(), keras.layers.Rescaling(2.0)]),
    ],
    ids=["Dense", "Bidirectional", "Pipeline"],
)
def test_a_layer_is_no_network_whatever_it_holds(make):
    assert read_network(keras.saving.serialize_keras_object(make())) is None


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ([None, 3], (None, 3)),
        ((2,), (2,)),
        ([], ()),
        ({"class_name": "__tuple__", "items": [None, 3]}, (None, 3)),
        ({"class_name": "TensorShape", "items": [4]}, (4,)),
        ({"class_name": "__numpy__", "items": [4]}, None),
        ({"a": [None, 3]}, None),
        ([[None, 3], [None, 4]], None),
        ([True], None),
        ([3.0], None),
        ("34", None),
        (None, None),
    ],
)
def test_a_shape_is_read_from_every_form_and_from_nothing_else(value, shape):
    assert read_shape(value) == shape


def make_sequential(*layers):
    return {"class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}}


def test_a_layer_without_a_name_is_called_after_its_place():
    inputs = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 3]}}
    plain, named = {"class_name": "Pack>Grow", "config": {}}, {"class_name": "Half", "name": "h"}
    network = read_network(make_sequential(inputs, plain, make_sequential(plain), named, plain))
    assert [layer.name for layer in network.layers] == ["x", "at:0", "s", "h", "at:3"]
    assert [layer.is_named for layer in network.layers] == [True, False, True, True, False]
    assert [layer.name for layer in network.layers[2].network.layers] == ["at:0"]
    assert not network.is_certain


def test_a_registered_class_has_the_names_of_a_saved_model_too():
    plain, half = {"class_name": "Pack>Grow", "config": {}}, {"class_name": "Half", "name": "h"}
    network = read_network(make_sequential(plain, make_sequential(plain, half), plain))
    kinds = {"a": "Pack>Grow", "s": "Sequential", "b": "Pack>Grow"}
    layers = [((name,), kind) for name, kind in kinds.items()]
    layers += [(("s", "c"), "Pack>Grow"), (("s", "h"), "Half")]
    named = name_by_class(network, layers)
    assert [layer.name for layer in named.layers if layer.in_layers] == [*kinds]
    inner = named.layers[[layer.name for layer in named.layers].index("s")].network
    assert [layer.name for layer in inner.layers if layer.in_layers] == ["c", "h"]


@pytest.mark.parametrize(
    ("class_name", "config", "names"),
    [
        ("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"name": "d"}}}, ["d"]),
        ("TimeDistributed", {"layer": {"class_name": "MyGrow", "config": {}}}, ["my_grow"]),
        (
            "Bidirectional",
            {"layer": {"class_name": "LSTM", "config": {"name": "l"}}},
            ["forward_l", "backward_l"],
        ),
        (
            "Bidirectional",  # as Keras 3 writes it
            {
                "layer": {"class_name": "LSTM", "config": {"name": "forward_l"}},
                "backward_layer": {"class_name": "LSTM", "config": {"name": "b"}},
            },
            ["forward_l", "b"],
        ),
        ("Bidirectional", {"layer": {"class_name": "MyLSTM", "config": {}}}, []),
        ("RNN", {"cell": {"class_name": "GRUCell", "config": {"name": "c"}}}, ["c"]),
        (
            "StackedRNNCells",
            {"cells": [{"class_name": "GRUCell", "config": {"name": n}} for n in "ab"]},
            ["a", "b"],
        ),
        ("LSTM", {}, ["lstm_cell"]),
        ("TimeDistributed", {"layer": 3}, []),
        ("Dense", {"layer": {"class_name": "Dense", "config": {"name": "d"}}}, []),
    ],
)
def test_what_a_layer_calls_is_read_from_its_config(class_name, config, names):
    outer = {"class_name": class_name, "config": {"name": "outer", **config}}
    network = read_network(make_sequential(outer))
    assert [inner.name for inner in network.layers[0].wrapped] == names
