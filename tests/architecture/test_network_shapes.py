"""Without what a file tells of its tensors, shapes are those that Keras makes of the layers."""

from __future__ import annotations

import json

import keras
import numpy as np
import tf_keras
from keras import layers

from kprobe.architecture.network import read_network
from kprobe.architecture.network_shapes import infer_shapes


def _infer(config, *, told=False):
    return infer_shapes(read_network(config), None, {}, told=told)


def test_what_a_file_says_of_tensors_is_taken_only_if_that_is_asked_for():
    x = keras.Input((4,))
    odd = keras.ops.outer(x, x)  # which has no rule
    model = keras.Model(x, layers.ReLU(name="end")(odd))
    config = json.loads(model.to_json())
    assert _infer(config, told=True).calls["end", 0] == (None, None)
    assert ("end", 0) not in _infer(config).calls


def test_the_order_of_a_config_is_no_matter():
    x = y = keras.Input((4,), name="in")
    for number in range(40):
        y = layers.Dense(number + 1, name=f"d{number}")(y)
    config = json.loads(keras.Model(x, y).to_json())
    forwards = _infer(config)
    config["config"]["layers"].reverse()
    assert forwards.calls["d39", 0] == (None, 40)
    assert _infer(config) == forwards


def test_a_stack_says_only_of_its_first_layer_what_it_takes():
    for library in (keras, tf_keras):
        stack = library.Sequential([library.Input((4,)), library.layers.RepeatVector(9, name="r")])
        stack.add(library.layers.ReLU(name="end"))
        config = json.loads(stack.to_json())
        for key in ("batch_shape", "batch_input_shape"):
            config["config"]["layers"][-1]["config"][key] = [None, 2, 4]
        assert _infer(config).calls["end", 0] == (None, 9, 4)


def test_what_a_nested_model_leaves_open_follows_from_the_call():
    for library in (keras, tf_keras):
        a = library.Input((None, 4), name="a")
        graph = library.Model(a, library.layers.ReLU(name="in_graph")(a), name="graph")
        b, c = library.Input((None, 2), name="b"), library.Input((None, 3), name="c")
        joined = library.layers.Concatenate(name="join")([b, c])
        both = library.Model([b, c], joined, name="both")
        stack = library.Sequential(
            [library.Input((None, 4)), library.layers.ReLU(name="in_stack")], name="stack"
        )
        x = library.Input((7, 4))
        y, z = library.Input((5, 2)), library.Input((5, 3))
        outer = library.Model([x, y, z], [graph(x), stack(x), both([y, z])])
        shapes = _infer(json.loads(outer.to_json()))
        assert shapes.inner["graph", 0].calls["in_graph", 0] == (None, 7, 4)
        assert shapes.inner["stack", 0].calls["in_stack", 0] == (None, 7, 4)
        assert shapes.inner["both", 0].calls["join", 0] == (None, 5, 5)
        assert [tuple(each.shape) for each in outer.outputs] == shapes.outputs


def test_a_model_that_is_called_for_each_step_gives_a_step_for_each():
    for library in (keras, tf_keras):
        a = library.Input((5, 4), name="a")
        inner = library.Model(a, library.layers.Dense(3)(a), name="inner")
        x = library.Input((7, 5, 4))
        model = library.Model(x, library.layers.TimeDistributed(inner, name="each")(x))
        assert _infer(json.loads(model.to_json())).calls["each", 0] == (None, 7, 5, 3)


def test_layers_of_late_rules_are_as_keras_makes_them():
    for library in (keras, tf_keras):
        k = library.layers
        x, y = library.Input((6, 4), name="x"), library.Input((5, 4), name="y")
        cells = [k.LSTMCell(3), k.GRUCell(2)]
        made = [
            k.MultiHeadAttention(2, 3, name="m")(x, y),
            k.MultiHeadAttention(2, 3, output_shape=7, name="m7")(x, y),
            k.Attention(name="a")([x, y]),
            k.AdditiveAttention(name="aa")([x, y, y]),
            k.EinsumDense("abc,cd->abd", (None, 8), name="e")(x),
            k.EinsumDense("abc,bd->ad", 9, name="e9")(x),
            k.RNN(cells, return_sequences=True, name="r")(x),
            k.RNN(k.GRUCell(2), name="r2")(x),
        ]
        model = library.Model([x, y], made)
        given = [np.zeros((2, 6, 4), "float32"), np.zeros((2, 5, 4), "float32")]
        real = [(None, *each.shape[1:]) for each in model(given)]
        assert _infer(json.loads(model.to_json())).outputs == real
