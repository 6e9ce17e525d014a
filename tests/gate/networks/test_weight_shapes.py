"""A file holds the weights that its config makes Keras allocate, or it is refused."""

from __future__ import annotations

import json

import keras
import pytest
import tf_keras
from gate.hostile.network_files import read_back
from gate.hostile.networks import CASES

from kprobe.gate.networks.network import find_network_faults
from kprobe.gate.networks.weight_shapes import MAX_SURPLUS, find_weight_faults

# numpy says so of Keras, which copies the values of a variable to save them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
OWN = [case for case in CASES if case.rule in ("weights-shapes", None)]


def _find(path, **options):
    config, version, shapes = read_back(path)
    major = 3 if version.startswith("3") else 2
    assert not [*find_network_faults(config, major)]
    return [*find_weight_faults(config, major, shapes, version=version, **options)]


@pytest.mark.parametrize("case", OWN, ids=[case.name for case in OWN])
def test_each_case_breaks_the_rule_or_doesnt(case, tmp_path):
    faults = _find(case.make(tmp_path, tmp_path / "marker"))
    assert [fault.rule for fault in faults] == ([case.rule] if case.rule else [])
    for fault in faults:
        assert len(f"{fault.owner} {fault.text}") < 250


def _models(k):
    """Models whose weights could be mistaken for others."""
    layers = k.layers
    x = k.Input((4,))
    tied = layers.Dense(4, name="tied")
    a, b = k.Input((4,)), k.Input((4,))
    one, other = k.Model(a, tied(a), name="one"), k.Model(b, layers.ReLU()(tied(b)), name="other")
    yield "tied in two", k.Model(x, layers.Dense(2)(other(one(x))))
    x = k.Input((4,))
    yield "tied in and out", k.Model(x, layers.Dense(2)(tied(one(x))))
    x, rows = k.Input((8, 8, 3)), k.Input((6, 4))
    y = layers.DepthwiseConv2D(3, depth_multiplier=2)(layers.Conv2D(4, 3)(x))
    y = layers.SeparableConv2D(3, 2)(layers.BatchNormalization(scale=False)(y))
    y = layers.Flatten()(layers.PReLU(shared_axes=[1, 2])(y))
    z = layers.Bidirectional(layers.GRU(3, return_sequences=True))(rows)
    z = layers.TimeDistributed(layers.Dense(4))(layers.LayerNormalization()(z))
    z = layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True)(z)
    z = layers.Flatten()(layers.MultiHeadAttention(2, 3)(z, z))
    yield "of all kinds", k.Model([x, rows], layers.Concatenate()([y, layers.Dropout(0.1)(z)]))
    deep = k.Sequential([k.Sequential([k.Input((4,)), layers.Dense(3)]), layers.Dense(5)])
    x = k.Input((4,))
    yield "stacks", k.Model(x, [deep(x), deep(layers.Dense(4)(x))])
    low = k.Sequential(
        [
            k.Input((6,)),
            layers.Dense(4, dtype="mixed_float16"),
            layers.Dense(3, trainable=False),
        ]
    )
    yield "mixed", low
    built_later = k.Sequential([layers.Dense(5), layers.Dense(2)])
    built_later.build((None, 4))
    yield "built later", built_later


def _more_of_keras_3():
    x = keras.Input((8, 6))
    dense, einsum = keras.layers.Dense(5), keras.layers.EinsumDense("abc,cd->abd", (None, 5))
    convolution = keras.layers.Conv1D(4, 3)
    adapted = keras.Model(x, convolution(einsum(dense(x))))
    for layer in (dense, einsum, convolution):
        layer.enable_lora(2)
    yield "adapted", adapted
    x = keras.Input((8, 6))
    for dtype in ("int8_from_float32", "int4_from_float32", "float8_from_float32"):
        y = keras.layers.Dense(5, dtype=dtype)(x)
        y = keras.layers.EinsumDense("abc,cd->abd", (None, 4), dtype=dtype)(y)
        yield dtype, keras.Model(x, y)


BOTH = ["tied in two", "tied in and out", "of all kinds", "stacks", "mixed", "built later"]
OF_KERAS_3 = ["adapted", "int8_from_float32", "int4_from_float32", "float8_from_float32"]
NAMES = [f"keras: {name}" for name in BOTH + OF_KERAS_3] + [f"tf_keras: {name}" for name in BOTH]


@pytest.fixture(scope="module")
def models():
    """The models by name, made when they are needed rather than when tests are collected."""
    made = {f"{k.__name__}: {n}": model for k in (keras, tf_keras) for n, model in _models(k)}
    made |= {f"keras: {name}": model for name, model in _more_of_keras_3()}
    assert sorted(made) == sorted(NAMES)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_what_either_keras_saves_passes(models, name, tmp_path):
    for ending in (".keras", ".h5"):
        path = tmp_path / f"model{ending}"
        models[name].save(path)
        assert _find(path) == []


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_another_shape_of_any_weight_is_found(models, library, tmp_path):
    model = models[f"{library.__name__}: of all kinds"]
    major, found = 3 if library is keras else 2, 0
    for ending in (".keras", ".h5"):
        path = tmp_path / f"model{ending}"
        model.save(path)
        config, _, shapes = read_back(path)
        for place, shape in shapes.items():
            # Of attention, the config doesn't tell how long keys and values are.
            if any(word in place for word in ("seed_generator", "query", "key", "value")):
                continue
            for axis in range(len(shape)):
                other = (*shape[:axis], shape[axis] + 7, *shape[axis + 1 :])
                faults = find_weight_faults(config, major, {**shapes, place: other})
                assert [fault.rule for fault in faults] == ["weights-shapes"], place
                found += 1
    assert found > 100


def test_what_a_file_may_ask_for_beyond_what_it_holds_is_bounded():
    def count(units, shapes):
        layer = {"class_name": "Dense", "config": {"name": "d", "units": units}}
        first = {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 1]}}
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [first, layer]}}
        return [fault.text for fault in find_weight_faults(config, 3, shapes, most=1_000)]

    held = {"other/vars/0": (500,)}
    most = (MAX_SURPLUS + 1_000) // 2
    assert count(most, held) == []
    assert len(count(most + 1, held)) == 1
    # Of an architecture without weights.
    assert count(500, {}) == []
    assert "at most 1,000 are allowed" in count(501, {})[0]


def test_weights_of_keras_1_lie_in_other_shapes():
    layer = {
        "class_name": "Dense",
        "config": {"name": "d", "units": 3, "batch_input_shape": [None, 4]},
    }
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    shapes = {"model_weights/d/d_W": (3, 4), "model_weights/d/d_b": (3,)}
    assert [*find_weight_faults(config, 2, shapes, version="1.2.2")] == []
    assert len([*find_weight_faults(config, 2, shapes, version="2.0.9")]) == 1


def test_a_class_of_the_users_own_has_weights_of_its_own():
    def find(**origin):
        layer = {"class_name": "Dense", "config": {"name": "d", "units": 3}, **origin}
        first = {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 4]}}
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [first, layer]}}
        return len([*find_weight_faults(config, 3, {"layers/dense/vars/0": (9, 9, 9)})])

    assert find() == 1
    assert find(class_name="mine>Dense") == 0
    assert find(module="mine", registered_name="mine>Dense") == 0
    # Keras takes its own class then, whatever the name.
    assert find(module="keras.layers", registered_name="mine>Dense") == 1


ODD = (None, -1, "x", [[1, 2]], {"a": 1})
# What layers are made with besides sizes.
OTHERS = (
    *("activation", "constraint", "dtype", "initializer", "name", "regularizer", "trainable"),
    *("dropout", "use_bias", "seed", "registered_name", "module", "epsilon", "sparse", "ragged"),
)


def _vary(value, put):
    """Put what is odd in the place of everything that stands in a config."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in [*items]:
        if str(key).endswith(OTHERS):
            continue
        for odd in ODD:
            value[key] = odd
            yield put, key, odd
        value[key] = inner
        if isinstance(inner, dict | list):
            yield from _vary(inner, put)


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_whatever_stands_in_a_config_is_answered(library):
    layers = library.layers
    x, rows = library.Input((8, 8, 3)), library.Input((6, 4))
    inner = library.Sequential([library.Input((5,)), layers.Dense(2)])
    y = layers.Flatten()(layers.PReLU()(layers.Conv2D(2, 3)(x)))
    z = layers.Bidirectional(layers.GRU(2, return_sequences=True))(rows)
    z = layers.TimeDistributed(layers.Dense(5))(layers.LayerNormalization()(z))
    z = layers.RNN([layers.LSTMCell(3), layers.GRUCell(5)])(z)
    end = layers.Concatenate()([y, inner(layers.Dense(5)(z))])
    config = json.loads(library.Model([x, rows], end).to_json())
    major = 3 if library is keras else 2
    held = {"layers/dense/vars/0": (5, 5)}
    tried = 0
    for layer in config["config"]["layers"]:
        own = {"config": layer["config"]}
        for _ in _vary(own, layer):
            layer["config"] = own["config"]
            faults = [*find_network_faults(config, major)]
            if not faults:
                faults = [*find_weight_faults(config, major, held)]
            assert all(isinstance(fault.text, str) for fault in faults)
            tried += 1
        layer["config"] = own["config"]
    assert tried > 200
