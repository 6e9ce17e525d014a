"""How long inputs are follows from the layers, whatever a file says of its tensors."""

from __future__ import annotations

import json

import keras
import pytest
import tf_keras

from kprobe.gate.networks.network_steps import measure_steps


def _measure(library, model):
    config = json.loads(model.to_json())
    steps = measure_steps(config, 3 if library is keras else 2)
    return sorted(steps.values())


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_layers_that_call_by_step_are_found(library):
    k, layers = library, library.layers
    x = k.Input((12, 4))
    by_step = layers.TimeDistributed(layers.Dense(3))(x)
    unrolled = layers.LSTM(3, unroll=True)(by_step)
    loop = layers.LSTM(3)(by_step)
    model = k.Model(x, [unrolled, loop])
    assert _measure(k, model) == ([12, 12] if k is keras else [12])


def test_those_inside_of_others_are_found():
    layers = keras.layers
    a = keras.Input((5, 4))
    inner = keras.Model(a, layers.TimeDistributed(layers.Dense(3))(a))
    x = keras.Input((7, 5, 4))
    wrapped = layers.TimeDistributed(inner)(x)
    both = layers.Bidirectional(layers.GRU(2, unroll=True))(keras.layers.Reshape((35, 3))(wrapped))
    stack = keras.Sequential([layers.TimeDistributed(layers.Dense(3))])
    assert _measure(keras, keras.Model(x, [both, stack(x)])) == [5, 7, 7, 35, 35]


def test_those_that_the_file_tells_wrongly_are_found():
    layers = keras.layers
    x = keras.Input((4,))
    many = layers.RepeatVector(900)(x)
    model = keras.Model(x, layers.TimeDistributed(layers.Dense(3))(many))
    config = json.loads(model.to_json().replace("[null, 900, 4]", "[null, 2, 4]"))
    assert "900" not in json.dumps(config["config"]["layers"][2]["inbound_nodes"])
    assert [*measure_steps(config, 3).values()] == [900]
