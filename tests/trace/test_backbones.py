"""Backbones of transformers, as KerasHub makes them: each layer as Keras computes it eagerly."""

from __future__ import annotations

from collections import Counter

import backbones
import keras
import numpy as np
import pytest
from constructions import hook_eagerly

import kprobe

# Keras's, when it saves a variable.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
RNG = np.random.default_rng(0)
WORDS = {
    "token_ids": RNG.integers(0, 30, (3, 7)).astype("int32"),
    "padding_mask": (np.arange(7) < np.array([[7], [4], [1]])).astype("int32"),
}
SEGMENTS = {"segment_ids": RNG.integers(0, 2, (3, 7)).astype("int32")}
CASES = {
    "Bert": ({"words": 30, "depth": 2}, {**WORDS, **SEGMENTS}),
    "GPT": ({"words": 30, "depth": 2}, WORDS),
    "ViT": ({"size": 8, "depth": 2}, {"images": RNG.normal(size=(3, 8, 8, 3)).astype("float32")}),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A file, what it is given, and what the calls of its layers give, by the layers' names."""
    arguments, inputs = CASES[request.param]
    keras.utils.set_random_seed(0)
    model = getattr(backbones, request.param)(**arguments)
    for weight in model.weights:  # biases, too, that are zeros in the beginning
        weight.assign(weight + RNG.normal(0, 0.1, weight.shape))
    path = tmp_path_factory.mktemp("backbones") / "m.keras"
    model.save(path)
    return path, inputs, hook_eagerly(model, inputs)


@pytest.mark.parametrize("exact", [True, False])
def test_each_layer_is_what_it_gives_eagerly(case, exact):
    path, inputs, expected = case
    objects = backbones.__file__
    found = kprobe.activations(path, None, inputs, exact=exact, custom_objects=objects)
    compared = Counter()
    for address, values in found.items():
        name = address.rpartition("/")[2].partition("@")[0]
        outputs = [output for call in expected.get(name, []) for output in call.outputs]
        if not outputs:
            assert name.startswith("get_item")
            continue
        same = [o for o in outputs if o.shape == values.shape and _is_near(values, o, exact)]
        assert same, address
        compared[name] += 1
    rows = len(next(iter(inputs.values())))
    assert compared == {
        name: len(calls) for name, calls in expected.items() if len(calls[0].outputs[0]) == rows
    }


def _is_near(values, expected, exact):
    expected = np.asarray(expected)
    error = np.abs(values - expected).max()
    return error == 0 if exact else error <= 1e-6 * np.abs(expected).max()


def test_scores_are_those_that_numpy_computes(case):
    path, inputs, expected = case
    objects = backbones.__file__
    found = kprobe.activations(path, "**/attention:scores", inputs, custom_objects=objects)
    assert len(found) == 2
    for number, scores in enumerate(found.values()):
        query, key = (np.asarray(expected[name][number].outputs[0]) for name in ("query", "key"))
        logits = np.einsum("bqhd,bkhd->bhqk", query, key) / 2  # 4 units in each head
        if "padding_mask" in inputs:
            seen = inputs["padding_mask"][:, None, None, :].astype(bool)
            if "segment_ids" not in inputs:
                seen = seen & np.tri(7, dtype=bool)
            logits = np.where(seen, logits, -1e9)
        wanted = np.exp(logits - logits.max(-1, keepdims=True))
        wanted /= wanted.sum(-1, keepdims=True)
        np.testing.assert_allclose(scores, wanted, atol=1e-6)
