"""What is recorded of a call is what the layer returned, whatever is done to it afterwards."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe

# Keras 3 says so of layers that end a mask.
pytestmark = pytest.mark.filterwarnings("ignore:Layer '.*' .* was passed an input with a mask")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
TOKENS = np.array([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6]], "int32")
OTHERS = np.array([[7, 0, 0, 0], [8, 1, 1, 0]], "int32")


def embed(k, name):
    return k.layers.Embedding(9, 8, mask_zero=True, name=name)


def attend_to_itself(k):
    i = k.Input((6,), dtype="int32", name="tokens")
    x = embed(k, "emb")(i)
    return k.Model(i, k.layers.MultiHeadAttention(2, 4, name="attn")(x, x))


def attend_to_another(k):
    queries = k.Input((6,), dtype="int32", name="tokens")
    values = k.Input((4,), dtype="int32", name="others")
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    recurrent = k.layers.LSTM(8, activation="relu", return_sequences=True, name="lstm")
    x = recurrent(embed(k, "emb")(queries))
    y = embed(k, "other")(values)
    return k.Model([queries, values], k.layers.MultiHeadAttention(2, 4, name="attn")(x, y))


def attend_inside(k):
    """A subclassed layer that calls the embedding, and lets attention take its mask away."""

    class Block(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.emb = embed(k, "emb")
            self.attn = k.layers.MultiHeadAttention(2, 4, name="attn")

        def call(self, tokens):
            x = self.emb(tokens)
            return self.attn(x, x)

    i = k.Input((6,), dtype="int32", name="tokens")
    return k.Model(i, Block(name="block")(i))


def take_away(k):
    """A layer that clears the mask of what it is given."""

    class Clear(k.layers.Layer):
        def call(self, x):
            x._keras_mask = None
            return x * 2.0

    i = k.Input((6,), dtype="int32", name="tokens")
    return k.Model(i, Clear(name="clear")(k.layers.Dropout(0.5, name="drop")(embed(k, "emb")(i))))


CASES = {
    attend_to_itself: {"emb": TOKENS != 0},
    attend_to_another: {"emb": TOKENS != 0, "lstm": TOKENS != 0, "other": OTHERS != 0},
    attend_inside: {"block/emb": TOKENS != 0},
    take_away: {"emb": TOKENS != 0, "drop": TOKENS != 0},
}


@KERASES
@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
def test_a_mask_is_the_one_that_the_layer_returned(k, make, eager):
    model = make(k)
    inputs = {"tokens": TOKENS, "others": OTHERS}
    given = {name: inputs[name] for name in inputs if name in {i.name for i in model.inputs}}
    addresses = [f"{layer}:mask" for layer in CASES[make]]
    received = kprobe.activations(model, addresses, given, eager=eager)
    for address, expected in zip(addresses, CASES[make].values(), strict=True):
        np.testing.assert_array_equal(received[address], expected)


@KERASES
def test_a_layer_without_a_mask_has_none(k):
    model = take_away(k)
    with pytest.raises(kprobe.KprobeError, match="'clear:mask' has no tensor"):
        kprobe.function(model, "clear:mask")
