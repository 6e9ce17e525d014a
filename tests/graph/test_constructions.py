"""Every kind of construction, in both Kerases: each layer call against an eager hook.

The hook wraps the `call` method of every layer and runs the model eagerly, which is another way
than the trace to learn what each call gives.
"""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

RNG = np.random.default_rng(0)
STEPS = RNG.normal(size=(3, 7, 4)).astype("float32")
TOKENS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], "int32")
IMAGES = RNG.normal(size=(2, 8, 8, 3)).astype("float32")


def functional(k):
    i = k.Input((7, 4), name="seq")
    x = k.layers.Dense(5, activation="relu", name="a")(i)
    y = k.layers.Dense(5, name="b")(x)
    return k.Model(i, k.layers.Add(name="sum")([x, y])), STEPS


def functional_operators(k):
    i = k.Input((7, 4), name="seq")
    x = k.layers.Dense(4, name="a")(i)
    return k.Model(i, k.layers.Dense(2, name="b")((x + i) * 2.0 - 1.0)), STEPS


def sequential(k):
    parts = [k.layers.Dense(5, name="a"), k.layers.Dropout(0.5, name="drop")]
    parts += [k.layers.Activation("linear", name="line"), k.layers.Dense(2, name="b")]
    return k.Sequential([k.layers.Input((7, 4)), *parts]), STEPS


def nested_three_deep(k):
    inner = k.Sequential([k.layers.Input((7, 4)), k.layers.Dense(4, name="d")], name="inner")
    middle = k.Sequential([k.layers.Input((7, 4)), inner, k.layers.Dense(4, name="d")], name="mid")
    i = k.Input((7, 4), name="seq")
    return k.Model(i, k.layers.Dense(2, name="d")(middle(i))), STEPS


def shared(k):
    i = k.Input((7, 4), name="seq")
    dense = k.layers.Dense(4, name="shared")
    return k.Model(i, dense(dense(dense(i)))), STEPS


def custom_layer(k):
    class Block(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.parts = [k.layers.Dense(4, name=f"d{n}") for n in range(2)]
            self.norm = k.layers.BatchNormalization(name="bn")

        def call(self, x, training=None):
            for part in self.parts:
                x = part(x) + x
            x = self.norm(x, training=training)
            return {"out": x, "aux": [x * 2, x * 3]}

    i = k.Input((7, 4), name="seq")
    block = Block(name="block")
    return k.Model(i, k.layers.Dense(2, name="head")(block(i)["out"])), STEPS


def subclassed(k):
    class Net(k.Model):
        def __init__(self):
            super().__init__(name="net")
            parts = [k.layers.Dense(4, name="e1"), k.layers.Dense(4, name="e2")]
            self.encoder = k.Sequential(parts, name="encoder")
            self.head = k.layers.Dense(1, name="head")

        def call(self, x):
            return self.head(self.encoder(x) + self.encoder(x * 2))

    model = Net()
    model(STEPS)
    return model, STEPS


def time_distributed(k):
    i = k.Input((7, 4), name="seq")
    return k.Model(i, k.layers.TimeDistributed(k.layers.Dense(5, name="d"), name="td")(i)), STEPS


def bidirectional(k):
    i = k.Input((7, 4), name="seq")
    layer = k.layers.Bidirectional(k.layers.LSTM(5, return_sequences=True, name="l"), name="bi")
    return k.Model(i, layer(i)), STEPS


def recurrent(k):
    i = k.Input((7, 4), name="seq")
    layer = k.layers.LSTM(5, return_sequences=True, return_state=True, name="lstm")
    return k.Model(i, layer(i)), STEPS


def attention(k):
    i = k.Input((7, 4), name="seq")
    return k.Model(i, k.layers.MultiHeadAttention(2, 3, name="mha")(i, i)), STEPS


def masked(k):
    i = k.Input((6,), dtype="int32", name="tokens")
    x = k.layers.Embedding(10, 4, mask_zero=True, name="emb")(i)
    return k.Model(i, k.layers.GRU(3, name="gru")(k.layers.Dropout(0.3, name="drop")(x))), TOKENS


def mixed_precision(k):
    policy = k.mixed_precision.Policy if k is tf_keras else k.DTypePolicy
    half = policy("mixed_bfloat16")
    parts = [k.layers.Dense(4, dtype=half, name="a"), k.layers.Dense(2, dtype=half, name="b")]
    return k.Sequential([k.layers.Input((7, 4)), *parts]), STEPS


def augmentation(k):
    parts = [k.layers.RandomFlip(name="flip"), k.layers.Rescaling(2.0, name="scale")]
    parts += [k.layers.Conv2D(2, 3, name="conv"), k.layers.GlobalAveragePooling2D(name="pool")]
    return k.Sequential([k.layers.Input((8, 8, 3)), *parts]), IMAGES


def unknown_sizes(k):
    i = k.Input((None, None, 3), name="image")
    x = k.layers.Conv2D(2, 3, name="conv")(i)
    return k.Model(i, k.layers.MaxPooling2D(name="pool")(x)), IMAGES


CONSTRUCTIONS = [
    functional,
    functional_operators,
    sequential,
    nested_three_deep,
    shared,
    custom_layer,
    subclassed,
    time_distributed,
    bidirectional,
    recurrent,
    attention,
    masked,
    mixed_precision,
    augmentation,
    unknown_sizes,
]


def hook_eagerly(model, data):
    """Give what each call of each layer gives, run eagerly: {name: [outputs, ...]}."""
    seen: dict[str, list] = {}
    layers = list(model._flatten_layers(include_self=False))
    own = {layer: vars(layer).get("call") for layer in layers}
    for layer in layers:

        def call(*args, _layer=layer, _call=layer.call, **kwargs):
            outputs = _call(*args, **kwargs)
            seen.setdefault(_layer.name, []).append(tf.nest.flatten(outputs))
            return outputs

        object.__setattr__(layer, "call", call)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model(tf.convert_to_tensor(data), training=False)
    finally:
        for layer in layers:
            if own[layer] is None:
                object.__delattr__(layer, "call")
            else:
                object.__setattr__(layer, "call", own[layer])
    return seen


def is_same(tensor, array):
    value = tf.cast(tensor, tf.float32).numpy()
    return value.shape == array.shape and np.allclose(value, array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("construction", CONSTRUCTIONS, ids=lambda c: c.__name__)
def test_every_call_of_every_layer_gives_what_it_gives_eagerly(k, construction):
    model, data = construction(k)
    expected = hook_eagerly(model, data)
    computed = kprobe.function(model, "**", exact=True)(data)
    compared = set()
    for address, value in computed.items():
        name = address.partition("[")[0].rpartition("/")[2].partition("@")[0]
        if name not in expected:
            continue  # input layers, and operators that aren't layers
        outputs = [tensor for call in expected[name] for tensor in call]
        if name.endswith("_cell"):  # called at every step, in a loop: all steps in one
            number = int(address.rpartition("[")[2].rstrip("]"))
            steps = [call[number] for call in expected[name]]
            starts = range(len(steps) - len(value) + 1)
            outputs = [tf.stack(steps[start : start + len(value)]) for start in starts]
        assert any(is_same(output, value) for output in outputs), address
        compared.add(name)
    # An RNN of tf_keras calls its cell eagerly, but its graph has the arithmetic at once.
    assert {name for name in expected if not name.endswith("_cell")} <= compared
