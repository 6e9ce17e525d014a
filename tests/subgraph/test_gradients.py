"""Gradients are those of a GradientTape that is written by hand."""

from __future__ import annotations

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

L = keras.layers


def make(shape, *layers):
    """A model of a chain of layers, whose last one is called `predictions`."""
    return keras.Sequential([keras.Input(shape, name="x"), *layers])


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def differentiate(x, calls, choose):
    """Run calls one after another, and give by name the gradient with regard to each result."""
    made = {"x": tf.constant(x)}
    with tf.GradientTape() as tape:
        tape.watch(made["x"])
        value = made["x"]
        for name, call in calls:
            value = made[name] = call(value)
        chosen = choose(value)
    gradients = tape.gradient(chosen, made)
    return {f"{name}:gradient": gradient.numpy() for name, gradient in gradients.items()}


def calls_of(model):
    return [(layer.name, layer) for layer in model.layers if layer.name != "x"]


def compute(model, layers, x, *, exact=True, **settings):
    return kprobe.function(model, layers, exact=exact, **settings)(x)


def check(found, expected):
    for address, gradient in expected.items():
        np.testing.assert_array_equal(found[address], gradient, err_msg=address)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return make(
        (8, 8, 3),
        L.Conv2D(4, 3, activation="relu", name="conv"),
        L.MaxPooling2D(name="pool"),
        L.Flatten(name="flat"),
        L.Dense(5, activation="softmax", name="predictions"),
    )


@pytest.fixture(scope="module")
def recurrent():
    keras.utils.set_random_seed(0)
    return make(
        (6, 4),
        L.LSTM(5, return_sequences=True, name="lstm"),
        L.GRU(4, name="gru"),
        L.Dense(3, name="predictions"),
    )


def take_second(y):
    return y[:, 1]


UNITS = {
    "3": lambda y: y[:, 3],
    "-1": lambda y: y[:, -1],
    "max": lambda y: tf.reduce_max(y, axis=1),
    "sum": lambda y: y,
}


@pytest.mark.parametrize("unit", UNITS)
def test_dense_layers_and_convolutions_have_the_gradients_of_a_tape(network, unit):
    x = draw(3, 8, 8, 3)
    names = ["x", "conv", "pool", "flat", "predictions"]
    found = compute(network, names, x, gradients_of="predictions", unit=unit)
    assert list(found) == [each for name in names for each in (name, f"{name}:gradient")]
    check(found, differentiate(x, calls_of(network), UNITS[unit]))


def test_the_largest_value_of_each_sample_is_taken_unless_told(network):
    x = draw(3, 8, 8, 3)
    found, largest = (
        compute(network, "conv:gradient", x, gradients_of=target, **unit)
        for target, unit in [
            ("predictions", {}),
            (network.get_layer("predictions"), {"unit": "max"}),
        ]
    )
    assert list(found) == ["conv:gradient"]
    check(found, largest)


def test_gradients_go_through_the_loops_of_recurrent_layers(recurrent):
    x = draw(3, 6, 4)
    names = ["x", "lstm", "gru", "g=lstm:gradient", "lstm/lstm_cell[0]", "x:gradient"]
    found = compute(recurrent, names, x, gradients_of="predictions", unit=1)
    expected = differentiate(x, calls_of(recurrent), lambda y: y[:, 1])
    check(found, {"g": expected["lstm:gradient"], "x:gradient": expected["x:gradient"]})
    # What is inside of the loop can be had besides.
    np.testing.assert_array_equal(np.moveaxis(found["lstm/lstm_cell[0]"], 0, 1), found["lstm"])


def test_an_index_names_a_value_where_a_sample_has_more_axes(recurrent):
    x = draw(3, 6, 4)
    calls = calls_of(recurrent)[:1]
    found = compute(recurrent, "x", x, gradients_of="lstm", unit=(2, 3))
    check(found, {"x:gradient": differentiate(x, calls, lambda y: y[:, 2, 3])["x:gradient"]})
    same = compute(recurrent, "x", x, gradients_of="lstm", unit="2,-2")
    check(same, found)


def test_attention_has_the_gradients_of_a_tape():
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 8), name="x")
    attended = L.MultiHeadAttention(2, 4, name="attention")(x, x, x)
    mean = L.GlobalAveragePooling1D(name="mean")(attended)
    model = keras.Model(x, L.Dense(3, name="predictions")(mean))
    values = draw(3, 6, 8)
    found = compute(
        model, "x,attention,attention:scores", values, gradients_of="predictions", unit=2
    )
    attention, mean, dense = (model.get_layer(n) for n in ("attention", "mean", "predictions"))
    calls = [("attention", lambda v: attention(v, v, v)), ("mean", mean), ("dense", dense)]
    expected = differentiate(values, calls, lambda y: y[:, 2])
    check(found, {"attention:gradient": expected["attention:gradient"]})
    # What three take adds up in an order that nothing lays down.
    np.testing.assert_allclose(found["x:gradient"], expected["x:gradient"], rtol=1e-4, atol=1e-7)
    assert found["attention:scores:gradient"].shape == found["attention:scores"].shape


def make_nested(k):
    k.utils.set_random_seed(0)
    i = k.Input((4,), name="i")
    last = k.layers.Dense(4, name="last")(k.layers.Dense(6, activation="relu", name="first")(i))
    inner = k.Model(i, last, name="inner")
    x = k.Input((4,), name="x")
    shared = k.layers.Dense(4, activation="tanh", name="shared")
    top = k.layers.Dense(3, name="predictions")(shared(shared(inner(x))))
    return k.Model(x, top)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_nested_and_shared_layers_have_the_gradients_of_a_tape(k):
    model = make_nested(k)
    x = draw(3, 4)
    inner, shared, top = (model.get_layer(name) for name in ("inner", "shared", "predictions"))
    calls = [
        ("inner/first", inner.get_layer("first")),
        ("inner/last", inner.get_layer("last")),
        ("shared@0", shared),
        ("shared@1", shared),
        ("predictions", top),
    ]
    found = compute(
        model, ["inner/**", "inner", "shared@*", "x"], x, gradients_of="predictions", unit=0
    )
    expected = differentiate(x, calls, lambda y: y[:, 0])
    del expected["predictions:gradient"]
    check(found, expected)
    check(found, {"inner:gradient": expected["inner/last:gradient"]})


def test_a_saved_model_has_the_gradients_of_a_tape(recurrent, tmp_path):
    recurrent.export(tmp_path / "exported", verbose=False)
    x = draw(3, 6, 4)
    found = compute(tmp_path / "exported", "x", x, gradients_of="output_0", unit=1)
    check(found, {"x:gradient": differentiate(x, calls_of(recurrent), take_second)["x:gradient"]})


@pytest.mark.parametrize("exact", [True, False])
def test_dumps_hold_gradients_of_each_sample_by_itself(network, tmp_path, exact):
    x = draw(5, 8, 8, 3)
    options = {"inputs": x, "gradients_of": "predictions", "unit": 2, "exact": exact}
    kprobe.dump(network, "conv,pool:gradient", output=tmp_path / "a.h5", batch_size=2, **options)
    kept = kprobe.activations(network, "conv,flat", batch_size=2, **options)
    expected = differentiate(x, calls_of(network), lambda y: y[:, 2])
    with kprobe.open_dump(tmp_path / "a.h5") as file:
        assert list(file) == ["conv", "pool:gradient"]
        column = file["pool:gradient"]
        assert (column.attrs["gradient_of"], column.attrs["unit"]) == ("predictions", "2")
        assert column.attrs["layer"] == "pool"
        found = {"pool:gradient": column[:], "flat:gradient": kept["flat:gradient"]}
    with h5py.File(tmp_path / "a.h5") as file:
        axes = [axis.label for axis in file["pool:gradient"].dims]
        assert axes == ["sample", "height", "width", "channel"]
    assert list(kept) == ["conv", "conv:gradient", "flat", "flat:gradient"]
    for address, values in found.items():
        np.testing.assert_allclose(values, expected[address], rtol=1e-4, atol=1e-7)


def test_statistics_are_those_of_the_gradients(network):
    x = draw(5, 8, 8, 3)
    told = kprobe.stats(network, "conv:gradient", inputs=x, gradients_of="predictions", unit=2)
    expected = differentiate(x, calls_of(network), lambda y: y[:, 2])["conv:gradient"]
    (record,) = told.tensors
    assert record.address == "conv:gradient"
    np.testing.assert_allclose(record.max, expected.max(), rtol=1e-5)


def test_a_frozen_graph_keeps_gradients(recurrent, tmp_path):
    x = draw(300, 6, 4)
    found = kprobe.activations(
        recurrent, "lstm:gradient,x:gradient", x, gradients_of="predictions", unit=1, batch_size=64
    )
    expected = differentiate(x, calls_of(recurrent), lambda y: y[:, 1])
    for address, values in found.items():
        np.testing.assert_allclose(values, expected[address], rtol=1e-4, atol=1e-6)


def test_what_lies_upstream_of_a_feed_has_no_part_in_the_target(network):
    fed = draw(3, 3, 3, 4)
    function = kprobe.function(
        network, "pool,flat", feeds="pool", gradients_of="predictions", unit=1, exact=True
    )
    assert function.feeds == ["pool"]
    calls = calls_of(network)[2:]
    expected = differentiate(fed, calls, lambda y: y[:, 1])
    found = function(fed)
    check(
        found, {"pool:gradient": expected["x:gradient"], "flat:gradient": expected["flat:gradient"]}
    )
    with pytest.raises(kprobe.KprobeError, match="conv lies upstream of what is fed or replaced"):
        kprobe.function(network, "conv", feeds="pool", gradients_of="predictions")
    with pytest.raises(kprobe.KprobeError, match="conv lies upstream of what is fed or replaced"):
        kprobe.function(network, "conv", replace={"pool": "zero"}, gradients_of="predictions")
    with pytest.raises(kprobe.KprobeError, match="conv lies upstream of what is fed or replaced"):
        kprobe.function(network, "conv", replace={"pool": "noise:1"}, gradients_of="predictions")


def test_where_noise_is_added_gradients_are_those_at_the_noisy_values(network):
    x = draw(3, 8, 8, 3)
    found = kprobe.function(
        network,
        ["x", "x:gradient", "conv:gradient"],
        replace={"x": "noise:1"},
        gradients_of="predictions",
        unit=1,
        exact=True,
    )(x)
    assert np.abs(found["x"] - x).max() > 1
    expected = differentiate(found["x"], calls_of(network), take_second)
    check(found, {name: expected[name] for name in ("x:gradient", "conv:gradient")})


def make_odd():
    keras.utils.set_random_seed(0)

    class Rounded(L.Layer):
        def call(self, x):
            return tf.round(x)

    class Total(L.Layer):
        def call(self, x):
            return tf.reduce_sum(x)

    class Best(L.Layer):
        def call(self, x):
            return tf.argmax(x, axis=1)

    ids = keras.Input((3,), name="ids", dtype="int32")
    table = L.Embedding(5, 4, name="table")(ids)
    lstm = L.LSTM(4, name="lstm")(table)
    top = L.Dense(2, name="top")(lstm)
    rounded = Rounded(name="rounded")(lstm)
    other = L.Dense(2, name="other")(rounded)
    total, best = Total(name="total")(top), Best(name="best")(top)
    return keras.Model(ids, [top, other, total, best])


@pytest.fixture(scope="module")
def odd():
    return make_odd()


@pytest.mark.parametrize(
    ("layers", "settings", "message"),
    [
        ("other", {"gradients_of": "top"}, "other isn't among what top depends on"),
        ("lstm", {"gradients_of": "other"}, "only through operations that have no gradient"),
        ("ids", {"gradients_of": "top"}, "ids holds int32, and no gradient"),
        ("lstm/lstm_cell[0]", {"gradients_of": "top"}, "lies in a loop, a branch or a function"),
        ("lstm", {"gradients_of": "total"}, r"the target total has no row for each sample"),
        ("lstm", {"gradients_of": "best"}, "the target best holds int64: it has no gradient"),
        ("lstm", {"gradients_of": "top:kernel"}, "the target top:kernel is a weight"),
        ("top:kernel", {"gradients_of": "top"}, "has no gradient with regard to weights"),
        ("lstm", {"gradients_of": "lstm/lstm_cell[0]"}, "lies in a loop, a branch or a function"),
        ("lstm", {"gradients_of": "top:gradient"}, "expected a layer's tensor, received its :grad"),
        ("lstm", {"gradients_of": "top:own"}, "expected a layer's tensor, received its :own"),
        ("lstm:own:gradient", {"gradients_of": "top"}, "stands behind a tensor that layers"),
        ("lstm", {"gradients_of": "tp"}, "the target of gradients: no layer 'tp'"),
        ("lstm", {"gradients_of": "re:top|other"}, "stands for 2 tensors: top, other"),
        ("lstm", {"gradients_of": "top", "unit": 2}, "expected a number from 0 to 1, received 2"),
        ("lstm", {"gradients_of": "top", "unit": "0,1"}, "expected 1 number, received 0,1"),
        ("lstm:gradient", {}, "lstm:gradient: expected a target of gradients, received none"),
        ("lstm", {"unit": 1}, "it is that of gradients, and none are asked for"),
        ("lstm", {"gradients_of": "top", "unit": "best"}, "unit: expected the number of a unit"),
        ("lstm", {"gradients_of": "top,other"}, "expected the address of one tensor"),
        ("top:kernel:gradient", {"gradients_of": "top"}, "stands behind a tensor that layers"),
    ],
)
def test_what_has_no_gradient_gets_a_line(odd, layers, settings, message):
    with pytest.raises(kprobe.KprobeError, match=message) as caught:
        kprobe.activations(odd, layers, np.zeros((2, 3), "int32"), **settings)
    assert len(caught.value.faults) == 1
    with pytest.raises(kprobe.KprobeError, match=message):
        kprobe.function(odd, layers, **settings)


def test_a_pattern_leaves_out_what_has_no_gradient(odd, tmp_path):
    found = kprobe.activations(odd, None, np.zeros((2, 3), "int32"), gradients_of="top")
    gradients = [name.removesuffix(":gradient") for name in found if name.endswith(":gradient")]
    assert gradients == ["table", "lstm", "top"]
    assert "other" in found


def test_a_model_that_runs_eagerly_has_no_gradients(network):
    with pytest.raises(kprobe.KprobeError, match="runs eagerly has no graph to take gradients in"):
        kprobe.activations(network, "conv", draw(2, 8, 8, 3), gradients_of="conv", eager=True)
