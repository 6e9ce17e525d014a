"""Weights as addresses, in both Kerases: their values against the layers' own lists of them."""

from __future__ import annotations

import contextlib
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from probing import count_anew

import kprobe
from kprobe.engines.compute import Compute
from kprobe.errors import AddressError, InputError
from kprobe.inputs.spec import SampleSpec
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.function import Function
from kprobe.session.loading import load
from kprobe.session.open_session import open_session

STEPS = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")


def build(k):
    """A model with every kind of layer that has weights, and a `Tail` that holds layers."""

    class Tail(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.first = k.layers.Dense(4, name="first")
            self.second = k.layers.Dense(4, name="second")

        def build(self, shape):
            self.kernel = self.add_weight(shape=(4,), name="kernel", initializer="ones")
            self.nameless = [self.add_weight(shape=(i + 1,)) for i in range(2)]
            self.steps = self.add_weight(shape=(), dtype="int32", name="steps", trainable=False)
            super().build(shape)

        def call(self, x):
            return self.second(self.first(x)) * self.kernel

    i = k.Input((5, 4), name="seq")
    x = k.layers.Conv1D(4, 3, padding="same", name="conv1")(i)
    x = k.layers.BatchNormalization(name="bn")(x)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    recurrent = k.layers.LSTM(2, activation="relu", return_sequences=True)
    x = k.layers.Bidirectional(recurrent, name="bi")(x)
    x = k.layers.LSTM(4, activation="relu", return_sequences=True, name="lstm")(x)
    x = k.layers.MultiHeadAttention(2, 3, name="mha")(x, x)
    shared = k.layers.Dense(4, name="shared")
    x = shared(shared(x))
    inner = [k.layers.Input((5, 4)), k.layers.Dense(4, name="d"), k.layers.ReLU(name="relu")]
    encoder = k.Sequential(inner, name="enc")
    x = Tail(name="tail")(encoder(encoder(x)))
    return k.Model(i, k.layers.Dropout(0.5, name="drop")(x))


@functools.cache
def make(k):
    """Give the model of a Keras and its session: it is traced once for all that is asked of it."""
    count_anew(k)  # for the names of what has none of its own
    model = build(k)
    rng = np.random.default_rng(1)
    for layer in model.layers:
        layer.set_weights([rng.normal(size=w.shape).astype(w.dtype) for w in layer.get_weights()])
    loaded = load(ModelSpec(model=model))
    with contextlib.ExitStack() as opened:
        session, _ = open_session(loaded, Compute(), SampleSpec(), opened, wait=True)
    return model, session


@pytest.fixture(params=[keras, tf_keras], ids=["keras", "tf_keras"])
def library(request):
    return request.param


@pytest.fixture
def model(library):
    return make(library)[0]


@pytest.fixture
def session(library):
    return make(library)[1]


# Each address with its layer and where the weight stands in the layer's `get_weights()`.
FOUND = [
    ("conv1:kernel", "conv1", {"conv1:kernel": 0}),
    ("conv1:bias", "conv1", {"conv1:bias": 1}),
    ("conv1:*", "conv1", {"conv1:kernel": 0, "conv1:bias": 1}),
    ("conv1:b*", "conv1", {"conv1:bias": 1}),
    ("k=conv1:kernel", "conv1", {"k": 0}),
    ("at:1:bias", "conv1", {"conv1:bias": 1}),
    ("type:Conv1D:kernel", "conv1", {"conv1:kernel": 0}),
    ("bn:gamma", "bn", {"bn:gamma": 0}),
    ("bn:moving_*", "bn", {"bn:moving_mean": 2, "bn:moving_variance": 3}),
    ("lstm:kernel", "lstm", {"lstm:kernel": 0}),
    ("lstm:lstm_cell*/kernel", "lstm", {"lstm:kernel": 0}),
    ("mha:query/kernel", "mha", {"mha:query/kernel": 0}),
    ("mha/query:kernel", "mha", {"mha/query:kernel": 0}),
    ("mha:value/*", "mha", {"mha:value/kernel": 4, "mha:value/bias": 5}),
    ("shared:kernel", "shared", {"shared:kernel": 0}),
    ("shared@1:kernel", "shared", {"shared@1:kernel": 0}),
    ("shared@*:kernel", "shared", {"shared@0:kernel": 0, "shared@1:kernel": 0}),
    ("k=shared@*:kernel", "shared", {"k": 0}),
    ("shared:*", "shared", {"shared:kernel": 0, "shared:bias": 1}),
    ("enc:kernel", "enc", {"enc:kernel": 0}),
    ("enc/d:kernel", "enc", {"enc/d:kernel": 0}),
    ("enc@1/d:kernel", "enc", {"enc@1/d:kernel": 0}),
    ("d:kernel", "enc", {"d:kernel": 0}),
    # Named by the innermost layer; of the layers that a pattern names, not all need to have it.
    ("en*/**:bias", "enc", {"enc@0/d:bias": 1, "enc@1/d:bias": 1}),
]


@pytest.mark.parametrize(("text", "layer", "places"), FOUND, ids=[text for text, *_ in FOUND])
def test_a_weight_is_what_the_layer_says(model, session, text, layer, places):
    function = Function(session, text)
    assert function.feeds == []
    computed = function()
    assert list(computed) == list(places)
    weights = model.get_layer(layer).get_weights()
    for name, place in places.items():
        np.testing.assert_array_equal(computed[name], weights[place])


def get_inner(model, layer, name):
    return getattr(model.get_layer(layer), name)


# Layers in layers, with the attributes that Keras keeps them in.
INSIDE = [
    ("tail:kernel", lambda m: get_inner(m, "tail", "kernel")),  # its own, not those inside
    ("tail:first/kernel", lambda m: get_inner(m, "tail", "first").kernel),
    ("tail/second:bias", lambda m: get_inner(m, "tail", "second").bias),
    ("second:bias", lambda m: get_inner(m, "tail", "second").bias),
    ("tail:steps", lambda m: get_inner(m, "tail", "steps")),
    ("tail:*ariable", lambda m: get_inner(m, "tail", "nameless")[0]),
    ("tail:*ariable_1", lambda m: get_inner(m, "tail", "nameless")[1]),
    ("bi:forward_lstm/*/kernel", lambda m: get_inner(m, "bi", "forward_layer").cell.kernel),
    ("bi:backward_lstm/*/bias", lambda m: get_inner(m, "bi", "backward_layer").cell.bias),
    ("bi/backward_lstm:bias", lambda m: get_inner(m, "bi", "backward_layer").cell.bias),
]


@pytest.mark.parametrize(("text", "get"), INSIDE, ids=[text for text, _ in INSIDE])
def test_a_weight_of_a_layer_inside_another_is_found_from_both(model, session, text, get):
    (value,) = Function(session, text)().values()
    expected = np.asarray(get(model))
    assert value.dtype == expected.dtype
    np.testing.assert_array_equal(value, expected)


def test_a_pattern_gives_every_weight_of_the_innermost_layer_once_for_each_call(model, session):
    computed = Function(session, "**:*")()
    variables = [v for layer in model.layers for v in layer.variables]
    inside = {name for name in computed if name.startswith(("enc", "shared", "mha"))}
    assert inside == {
        *(f"enc@{n}/d:{w}" for n in (0, 1) for w in ("kernel", "bias")),
        *(f"shared@{n}:{w}" for n in (0, 1) for w in ("kernel", "bias")),
        *(
            f"mha/{part}:{w}"
            for part in ("query", "key", "value", "attention_output")
            for w in ("kernel", "bias")
        ),
    }
    twice = sum("@1" in name for name in computed)
    assert len(computed) - twice == len(variables)
    total = sum(float(np.sum(np.abs(np.float64(v)))) for v in variables)
    once = [value for name, value in computed.items() if "@1" not in name]
    assert sum(float(np.sum(np.abs(np.float64(v)))) for v in once) == pytest.approx(total)


def test_weights_come_with_activations_and_follow_the_model(model):
    function = kprobe.function(model, "conv1,conv1:kernel,conv1:in")
    conv = model.get_layer("conv1")
    computed = function(STEPS)
    assert list(computed) == ["conv1", "conv1:kernel", "conv1:in"]
    kernel, bias = conv.get_weights()
    padded = np.pad(STEPS, ((0, 0), (1, 1), (0, 0)))
    by_hand = sum(padded[:, i : i + 5] @ kernel[i] for i in range(3)) + bias
    np.testing.assert_allclose(computed["conv1"], by_hand, rtol=1e-5, atol=1e-5)
    try:
        conv.set_weights([kernel + 1, bias])
        np.testing.assert_array_equal(function(STEPS)["conv1:kernel"], kernel + 1)
        np.testing.assert_array_equal(computed["conv1:kernel"], kernel)
    finally:
        conv.set_weights([kernel, bias])


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_model_for_one_batch_size_has_weights_too(k):
    i = k.Input(batch_shape=(4, 4), name="x")
    model = k.Model(i, k.layers.Dense(3, name="dense")(i))
    computed = kprobe.function(model, "dense,dense:kernel")(STEPS[0, :4])
    assert computed["dense:kernel"].shape == (4, 3)
    assert kprobe.function(model, "dense:bias")()["dense:bias"].shape == (3,)


def test_the_state_of_a_seed_is_a_weight():
    model = build(keras)
    drop = model.get_layer("drop")
    state = kprobe.function(model, "drop:seed_generator_state")()["drop:seed_generator_state"]
    np.testing.assert_array_equal(state, drop.seed_generator.state.numpy())


@pytest.mark.filterwarnings(
    # Of Keras's own use of numpy.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)
def test_quantised_weights_come_as_the_integers_they_are():
    i = keras.Input((4,), name="x")
    model = keras.Model(i, keras.layers.Dense(3, name="dense")(i))
    model.get_layer("dense").quantize("int8")
    computed = kprobe.function(model, "dense:kernel")()["dense:kernel"]
    assert computed.dtype == np.int8
    np.testing.assert_array_equal(computed, model.get_layer("dense")._kernel.numpy())


def test_a_subclassed_model_has_weights_by_the_calls_of_its_layers():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = (keras.layers.Dense(4, name="same") for _ in range(2))

        def call(self, x):
            return self.b(self.a(x))

    model = Twice()
    model(STEPS[:, 0])
    computed = kprobe.function(model, "same@0:kernel,same@1:kernel")()
    np.testing.assert_array_equal(computed["same@0:kernel"], model.a.get_weights()[0])
    np.testing.assert_array_equal(computed["same@1:kernel"], model.b.get_weights()[0])
    with pytest.raises(AddressError) as caught:
        kprobe.function(model, "same:kernel")
    assert caught.value.faults == ("'same:kernel' fits 2 weights: same@0:kernel, same@1:kernel",)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_layer_without_a_tensor_to_fetch_has_weights(k):
    class Idle(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.unused = k.layers.Dense(3, name="unused")

        def call(self, x):
            def more(y):
                return tf.reduce_mean(self.unused(y)) > 1e9

            return tf.while_loop(more, lambda y: [y + 1.0], [x])[0]

    i = k.Input((4,), name="x")
    layer = Idle(name="idle")
    model = k.Model(i, layer(i))
    with pytest.raises(AddressError, match="in the condition of a loop"):
        kprobe.function(model, "idle/unused")
    for text in ("idle/unused:kernel", "unused:kernel", "idle:kernel", "type:Dense:kernel"):
        (value,) = kprobe.function(model, text)().values()
        np.testing.assert_array_equal(value, layer.unused.get_weights()[0])


FAULTS = [
    ("conv1:kernal", "'conv1' has no :kernal; it has :kernel, :bias, :in, :out"),
    ("conv1:output", "'conv1' has no :output; it has :out, :kernel, :bias, :in"),
    ("enc@1/relu:kernel", "'enc@1/relu' has no :kernel; it has :in, :out"),
    (
        "mha:kernel",
        "'mha:kernel' fits 4 weights: mha:query/kernel, mha:key/kernel, mha:value/kernel, "
        "mha:attention_output/kernel",
    ),
    (
        "type:Conv1D:gamma",
        "'conv1' has no :gamma; it has :kernel, :bias, :in, :out",
    ),
    (
        "enc@*/d:gamma",
        "'enc@*/d:gamma' names no weight; these layers have :kernel, :bias, :in, :out",
    ),
    (
        "k=conv1:*",
        "the alias 'k' stands for 2 tensors: conv1:kernel, conv1:bias",
    ),
    ("shared@2:kernel", "'shared@2:kernel': the model has only shared@0, shared@1"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS, ids=[text for text, _ in FAULTS])
def test_a_weight_that_is_none_is_answered_with_those_there_are(session, text, fault):
    with pytest.raises(AddressError) as caught:
        Function(session, text)
    assert caught.value.faults == (fault,)


def test_weights_can_not_be_fed_nor_given_arguments(session):
    with pytest.raises(AddressError, match="weights can't be fed: conv1:kernel"):
        Function(session, "conv1", feeds="conv1:kernel")
    with pytest.raises(AddressError, match="weights can't be fed: conv1:kernel"):
        Function(session, "conv1", replace={"conv1:kernel": "zero"})
    with pytest.raises(InputError, match="expected no array, received 1 arrays"):
        Function(session, "conv1:kernel")(STEPS)
