"""The scores of attention layers, compared with what Keras returns when it is asked for them."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tf_keras

import kprobe

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(3, 5, 8)).astype("float32")
VALUES = RNG.normal(size=(3, 4, 8)).astype("float32")
FRAMES = RNG.normal(size=(2, 3, 4, 8)).astype("float32")
TOKENS = np.array([[3, 4, 5, 0, 0, 0], [1, 2, 3, 4, 5, 6]], "int32")


def list_layers(k):
    """Layers of attention, and how each is called: on the query and the value, or on a list."""
    both = {
        "heads": (k.layers.MultiHeadAttention(2, 3), {}),
        "heads with dropout": (k.layers.MultiHeadAttention(2, 3, dropout=0.4), {}),
        "causal heads": (k.layers.MultiHeadAttention(2, 3), {"use_causal_mask": True}),
        "one list": (k.layers.Attention(use_scale=True, dropout=0.3), {}),
        "causal list": (k.layers.Attention(), {"use_causal_mask": True}),
        "additive": (k.layers.AdditiveAttention(), {}),
    }
    if k is keras:
        both["groups"] = (k.layers.GroupQueryAttention(4, 4, 2), {})
        both["groups with dropout"] = (k.layers.GroupQueryAttention(4, 4, 2, dropout=0.4), {})
        both["concat"] = (k.layers.Attention(score_mode="concat", dropout=0.3), {})
    else:
        both["concat"] = (k.layers.Attention(score_mode="concat"), {})
    return both


def call(layer, query, value, **options):
    if "Multi" in type(layer).__name__ or "Group" in type(layer).__name__:
        return layer(query, value, **options)
    return layer([query, value], **options)


@functools.cache
def make_model(k):
    """One model with all of them; and for each what Keras says its scores are."""
    query, value = k.Input((5, 8), name="query"), k.Input((4, 8), name="value")
    layers = {}
    for name, (layer, options) in list_layers(k).items():
        layer._name = name.replace(" ", "_")
        layers[layer.name] = layer, options
    outputs = [call(layer, query, value, **options) for layer, options in layers.values()]
    model = k.Model([query, value], outputs)
    return model, {
        name: np.asarray(call(layer, QUERIES, VALUES, return_attention_scores=True, **options)[1])
        for name, (layer, options) in layers.items()
    }


@KERASES
@pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
def test_scores_are_those_that_keras_returns(k, eager):
    model, expected = make_model(k)
    received = kprobe.activations(
        model,
        [f"{name}:scores" for name in expected],
        {"query": QUERIES, "value": VALUES},
        eager=eager,
    )
    for name, scores in expected.items():
        value = received[f"{name}:scores"]
        assert value.shape == scores.shape
        np.testing.assert_allclose(value, scores, rtol=1e-5, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(value.sum(-1), 1, rtol=1e-5)


def make_masked(k):
    i = k.Input((6,), dtype="int32", name="tokens")
    x = k.layers.Embedding(9, 8, mask_zero=True, name="emb")(i)
    return k.Model(i, k.layers.MultiHeadAttention(2, 3, name="attn")(x, x))


@KERASES
def test_scores_are_those_that_the_output_is_made_of_where_rows_are_masked(k, tmp_path):
    model = make_masked(k)
    model.save(tmp_path / "model.keras")
    received = kprobe.activations(
        tmp_path / "model.keras", "attn:scores,attn/value,attn", {"tokens": TOKENS}
    )
    scores, value = received["attn:scores"], received["attn/value"]
    kernel, bias = model.get_layer("attn").get_weights()[-2:]
    output = np.einsum("bnts,bsnh,nhd->btd", scores, value, kernel) + bias
    np.testing.assert_allclose(received["attn"], output, rtol=1e-5, atol=1e-6)
    _, expected = model.get_layer("attn")(
        *[model.get_layer("emb")(TOKENS)] * 2, return_attention_scores=True
    )
    # Keras 3 answers with zeros where a query is padding, and computes otherwise without.
    kept = np.broadcast_to((TOKENS != 0)[:, None, :], scores.shape[:3])
    np.testing.assert_allclose(scores[kept], np.asarray(expected)[kept], rtol=1e-5, atol=1e-6)
    assert (scores[0, :, :3, 3:] == 0).all()


@KERASES
def test_scores_of_other_ranks_precisions_and_subclasses(k):
    class Sharp(k.layers.MultiHeadAttention):
        """Attends with scores of its own, and returns them."""

        def _compute_attention(self, query, key, value, *args, **kwargs):
            return super()._compute_attention(query * 8.0, key, value, *args, **kwargs)

    frames = k.Input((3, 4, 8), name="frames")
    policy = k.mixed_precision.Policy if k is tf_keras else k.DTypePolicy
    layers = [
        k.layers.MultiHeadAttention(2, 3, attention_axes=(2,), name="axes"),
        k.layers.MultiHeadAttention(2, 3, name="both_axes"),
    ]
    steps = k.layers.Reshape((12, 8))(frames)
    halves = k.layers.MultiHeadAttention(2, 3, dtype=policy("mixed_float16"), name="half")
    sharp = Sharp(2, 3, name="sharp")
    told, shown = k.layers.MultiHeadAttention(2, 3, name="told")(
        steps, steps, return_attention_scores=True
    )
    outputs = [layer(frames, frames) for layer in layers]
    outputs += [layer(steps, steps) for layer in (halves, sharp)]
    model = k.Model(frames, [*outputs, told, shown])
    flat = FRAMES.reshape(2, 12, 8)
    received = kprobe.activations(
        model, "axes:scores,both_axes:scores,half:scores,sharp:scores,told:scores,told", FRAMES
    )
    for layer, data in [*((layer, FRAMES) for layer in layers), (sharp, flat), (halves, flat)]:
        _, expected = layer(data, data, return_attention_scores=True)
        value = received[f"{layer.name}:scores"]
        half = layer is halves
        np.testing.assert_allclose(
            value, np.asarray(expected), rtol=1e-2 if half else 1e-5, atol=1e-3 if half else 1e-6
        )
    np.testing.assert_array_equal(received["told:scores"], received["told[1]"])
    dtype = kprobe.function(model, "half:scores")(FRAMES)["half:scores"].dtype
    assert dtype == np.float16


def make_block(k):
    """Attention in a layer that is called twice, and a weight that is called `scores`."""

    class Block(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.attn = k.layers.MultiHeadAttention(2, 3, name="attn")

        def build(self, shape):
            self.scores = self.add_weight(name="scores", shape=(8,), initializer="ones")
            self.built = True

        def call(self, x):
            return self.attn(x, x) * self.scores

    i = k.Input((4, 8), name="steps")
    block = Block(name="block")
    return k.Model(i, k.layers.Dense(2, name="head")(block(block(i))))


@KERASES
def test_scores_of_each_call_and_by_pattern(k):
    model = make_block(k)
    block = model.get_layer("block")
    received = kprobe.activations(model, "**/attn:scores,block@0", VALUES)
    assert list(received)[:2] == ["block@0/attn:scores", "block@1/attn:scores"]
    for address, data in (("block@0", VALUES), ("block@1", received["block@0"])):
        _, expected = block.attn(data, data, return_attention_scores=True)
        value = received[f"{address}/attn:scores"]
        np.testing.assert_allclose(value, np.asarray(expected), rtol=1e-5, atol=1e-6)


@KERASES
def test_scores_are_fed(k):
    model = make_masked(k)
    ones = np.full((2, 2, 6, 6), 1 / 6, "float32")
    received = kprobe.activations(
        model, "attn,attn/value", {"tokens": TOKENS}, feeds={"attn:scores": ones}
    )
    kernel, bias = model.get_layer("attn").get_weights()[-2:]
    mean = np.einsum("bsnh,nhd->bd", received["attn/value"], kernel) / 6 + bias
    expected = np.repeat(mean[:, None], 6, axis=1)
    np.testing.assert_allclose(received["attn"], expected, rtol=1e-5, atol=1e-6)


@KERASES
def test_a_layer_without_attention_may_have_a_weight_of_that_name(k):
    model = make_block(k)
    received = kprobe.activations(model, "block@0:scores")
    np.testing.assert_array_equal(received["block@0:scores"], np.ones(8, "float32"))
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.function(model, "head:scores")
    assert str(caught.value) == "'head' has no :scores; it has :kernel, :bias, :in, :out"
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.function(model, "block@0/attn:score")
    assert str(caught.value).startswith("'block@0/attn' has no :score; it has :scores")
