"""Operations of Keras 3 get the shapes that Keras computed for them, whatever the file tells."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import ops

from kprobe.architecture.keras_operations import (
    COMBINING,
    KEEPING,
    REDUCING,
    infer_keras_operation,
)
from kprobe.architecture.network import read_network
from kprobe.architecture.network_shapes import infer_shapes


def _make_outputs(x, free, fixed):
    row = ops.zeros((1, 4))
    yield from (ops.repeat(x, 3, axis=1), ops.repeat(x, 2, axis=-1), ops.repeat(fixed, 2))
    yield from (ops.repeat(x, [1, 2, 3, 1, 1, 1], axis=1), ops.repeat(free, 3, axis=1))
    yield from (ops.tile(x, [1, 5, 1]), ops.tile(x, 2), ops.tile(x, [2, 1, 1, 3]))
    yield from (ops.reshape(x, (-1, 8, 3)), ops.reshape(fixed, (4, -1)), ops.reshape(x, (-1,)))
    yield from (ops.transpose(x, (0, 2, 1)), ops.transpose(fixed), ops.swapaxes(x, 1, -1))
    yield from (ops.moveaxis(x, 1, 2), ops.moveaxis(x, 0, -1), ops.moveaxis(x, -1, 0))
    yield from (ops.concatenate([x, x], axis=1), ops.concatenate([x, x, x]))
    yield from (ops.stack([x, x], axis=1), ops.stack([x, x, x], axis=-1), ops.stack([fixed, fixed]))
    yield from (ops.expand_dims(x, 1), ops.expand_dims(x, -1), ops.squeeze(x[:, :1], 1))
    yield from (ops.squeeze(x[:, :1]), x[:, 1:3], x[:, 0], x[..., -1], x[:, ::-2], x[:, None])
    yield from (ops.pad(x, ((0, 0), (1, 2), (0, 0))), ops.pad(fixed, 2), ops.pad(free, ((1, 1),)))
    yield from (x + 5, x * x, 1 - x, x * np.ones((6, 1)), x / row, free + x[:, :1], x > 0)
    yield from (ops.where(x > 0, x, 0.0), ops.maximum(x, free), ops.power(x, 2), free * 2)
    yield from (ops.mean(x, axis=1), ops.sum(x), ops.max(x, axis=(1, 2), keepdims=True))
    yield from (ops.argmax(x, axis=-1), ops.std(x, axis=-1), ops.logsumexp(x, axis=1))
    yield from (ops.cast(x, "float16"), ops.softmax(x), ops.relu(x), ops.flip(x, 1), ops.roll(x, 1))
    yield from (ops.clip(x, 0, 1), ops.stop_gradient(x), ops.zeros_like(x), ops.normalize(x))
    yield from (ops.one_hot(x[..., 0], 9), ops.one_hot(x[..., 0], 9, axis=1))
    yield from (ops.matmul(x, ops.transpose(x, (0, 2, 1))), ops.matmul(x, free[..., None][:, :4]))
    yield from (ops.take(x, [0, 1, 2], axis=1), ops.take(x, 3, axis=-1), ops.take(x, [[1]], axis=1))
    yield from (*ops.split(x, 2, axis=1), *ops.split(x, [1, 3], axis=-1), *ops.split(fixed, 4))
    yield ops.broadcast_to(x, (7, 6, 4))


def _strip(value):
    """Leave out what a config tells of the shapes of tensors."""
    if isinstance(value, dict):
        tensor = value.get("class_name") == "__keras_tensor__"
        return {
            key: _strip({k: v for k, v in item.items() if k != "shape"} if tensor else item)
            if key == "config" and isinstance(item, dict)
            else _strip(item)
            for key, item in value.items()
        }
    return [_strip(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def model():
    x, free = keras.Input((6, 4), name="x"), keras.Input((None, 4), name="free")
    fixed = keras.Input(batch_shape=(8, 3), name="fixed")
    return keras.Model([x, free, fixed], [*_make_outputs(x, free, fixed)])


def test_shapes_are_those_of_the_model(model):
    config = json.loads(model.to_json())
    network = read_network(config)
    shapes = infer_shapes(network, None, {}, told=False)
    names = [layer.name for layer in network.layers]
    made = {operation.name: operation for operation in model.operations}
    for name in names:
        told = made[name].output
        own = [tuple(each.shape) for each in told] if isinstance(told, list) else tuple(told.shape)
        assert shapes.calls.get((name, 0)) == own, (name, made[name])
    assert infer_shapes(read_network(_strip(config)), None, {}, told=False) == shapes


def test_every_operation_without_a_rule_of_its_own_is_as_it_is_said_to_be():
    x, y = keras.KerasTensor((None, 6, 4)), keras.KerasTensor((None, 6, 4))
    for names, count, shape in ((KEEPING, 1, (None, 6, 4)), (COMBINING, 2, (None, 6, 4))):
        for name in sorted(names):
            operation = _make(name)
            arguments = [x, y][:count] if name != "Where" else [x, x, y]
            assert operation.compute_output_spec(*arguments).shape == shape, name
    for name in sorted(REDUCING):
        assert _make(name, axis=1).compute_output_spec(x).shape == (None, 4), name


def _make(name, **options):
    rooms = (keras.src.ops.numpy, keras.src.ops.nn, keras.src.ops.math, keras.src.ops.core)
    found = next(getattr(room, name) for room in rooms if hasattr(room, name))
    needed = {"Cast": {"dtype": "float16"}, "Clip": {"x_min": 0, "x_max": 1}, "Roll": {"shift": 1}}
    needed["Threshold"] = {"threshold": 1, "default_value": 0}
    return found(**needed.get(name, {}), **options)


@pytest.mark.parametrize("odd", [None, "x", -3, [], {}, [None], 2.5, [[1, 2]]])
def test_what_isnt_as_keras_writes_it_tells_nothing_wrong(odd):
    names = ("newshape", "repeats", "axis", "axes", "pad_width", "num_classes", "shape", "axis1")
    node = {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}]}
    for kind in ("Reshape", "Repeat", "Tile", "Pad", "OneHot", "BroadcastTo", "Swapaxes", "Take"):
        for given in (node, {**node, "kwargs": {}}, odd):
            made = infer_keras_operation(kind, dict.fromkeys(names, odd), given, [(None, 6, 4)])
            assert made is None or all(n is None or n >= 0 for n in made)
