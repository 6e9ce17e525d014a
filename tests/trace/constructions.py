"""Every kind of construction, in both Kerases, and what its layers give when run eagerly."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tf_keras

import kprobe

RNG = np.random.default_rng(0)
STEPS = RNG.normal(size=(3, 7, 4)).astype("float32")
TOKENS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], "int32")
WORDS = np.array([["cat", "dog"], ["emu", "cat"], ["dog", "dog"]])
SENTENCES = np.array([["the Cat, the dog"], ["emu"], ["dog dog cat dog dog"]])
NUMBERS = np.array([[10, 20], [30, 10], [20, 21]])
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


def rnn_of_a_cell(k):
    i = k.Input((7, 4), name="seq")
    layer = k.layers.RNN(k.layers.LSTMCell(5, name="the_cell"), return_sequences=True, name="rnn")
    return k.Model(i, layer(i)), STEPS


def keyword_tensors(k):
    class Blend(k.layers.Layer):
        def call(self, pair, by, scale=None):
            return pair[0] * by + pair[1] * scale

    p, q = k.Input((4,), name="p"), k.Input((4,), name="q")
    r = k.layers.Dense(4, name="a")(p)
    blended = Blend(name="blend")([p, q], r, scale=q)
    return k.Model([p, q], blended), {"p": STEPS[:, 0], "q": STEPS[:, 1]}


def string_lookup(k):
    layer = k.layers.StringLookup(vocabulary=["cat", "dog"], name="words")
    i = k.Input((2,), dtype="string", name="text")
    return k.Model(i, k.layers.Embedding(3, 4, name="emb")(layer(i))), WORDS


def integer_lookup(k):
    layer = k.layers.IntegerLookup(vocabulary=[10, 20], output_mode="multi_hot", name="ids")
    i = k.Input((2,), dtype="int64", name="numbers")
    return k.Model(i, k.layers.Dense(4, name="a")(layer(i))), NUMBERS


def text_vectorization(k):
    options = {"vocabulary": ["cat", "dog"], "output_sequence_length": 4}
    layer = k.layers.TextVectorization(**options, name="words")
    i = k.Input((1,), dtype="string", name="text")
    return k.Model(i, k.layers.Embedding(4, 3, name="emb")(layer(i))), SENTENCES


def hashing(k):
    layer = k.layers.Hashing(5, name="hash")
    i = k.Input((2,), dtype="string", name="text")
    return k.Model(i, k.layers.Embedding(5, 4, name="emb")(layer(i))), WORDS


def discretization(k):
    layer = k.layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.5], name="bins")
    i = k.Input((4,), name="row")
    return k.Model(i, k.layers.Embedding(4, 3, name="emb")(layer(i))), STEPS[:, 0]


def category_encoding(k):
    layer = k.layers.CategoryEncoding(4, output_mode="count", name="count")
    i = k.Input((2,), dtype="int32", name="numbers")
    return k.Model(i, k.layers.Dense(3, name="a")(layer(i))), NUMBERS % 4


def normalization(k):
    layer = k.layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0] * 4, name="norm")
    i = k.Input((4,), name="row")
    return k.Model(i, k.layers.Dense(3, name="a")(layer(i))), STEPS[:, 0]


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
    rnn_of_a_cell,
    keyword_tensors,
    string_lookup,
    integer_lookup,
    text_vectorization,
    hashing,
    discretization,
    category_encoding,
    normalization,
]


@functools.cache
def compute_exactly(construction, k):
    """Give a model, its data, and what kprobe computes of them: for tests that only look."""
    model, data = construction(k)
    return model, data, kprobe.function(model, "**", exact=True)(data)


@dataclass(frozen=True)
class Call:
    """What a layer was given in a call, and what it gave, flat; ragged tensors left out."""

    inputs: list[tf.Tensor]
    outputs: list[tf.Tensor]


def hook_eagerly(model, data):
    """Give the calls of each layer, run eagerly, by its name."""
    seen: dict[str, list[Call]] = {}
    layers = list(model._flatten_layers(include_self=False))
    own = {layer: vars(layer).get("call") for layer in layers}
    for layer in layers:

        def call(*args, _layer=layer, _call=layer.call, **kwargs):
            outputs = _call(*args, **kwargs)
            given = [t for t in tf.nest.flatten((args, kwargs)) if isinstance(t, tf.Tensor)]
            flat = tf.nest.flatten(outputs)
            flat = [t.to_tensor() if isinstance(t, tf.RaggedTensor) else t for t in flat]
            gave = [t for t in flat if isinstance(t, tf.Tensor)]
            seen.setdefault(_layer.name, []).append(Call(given, gave))
            return outputs

        object.__setattr__(layer, "call", call)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model(tf.nest.map_structure(tf.convert_to_tensor, data), training=False)
    finally:
        for layer in layers:
            if own[layer] is None:
                object.__delattr__(layer, "call")
            else:
                object.__setattr__(layer, "call", own[layer])
    return seen
