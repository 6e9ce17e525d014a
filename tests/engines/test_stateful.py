"""State that is carried on from batch to batch, and state that isn't."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
from probing import KERASES

import kprobe

STEPS = np.random.default_rng(0).normal(size=(12, 7, 4)).astype("float32")


def make_model(k):
    k.utils.set_random_seed(0)
    i = k.Input(batch_shape=(4, 7, 4), name="seq")
    x = k.layers.LSTM(3, stateful=True, return_sequences=True, name="lower")(i)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    return k.Model(i, k.layers.GRU(3, activation="relu", stateful=True, name="upper")(x))


def reset(model):
    for name in ("lower", "upper"):
        layer = model.get_layer(name)
        (getattr(layer, "reset_state", None) or layer.reset_states)()


@functools.cache
def share_model(k):
    """One for all tests that leave it as it is."""
    return make_model(k)


@functools.cache
def run_eagerly(k, layer, *, stateful):
    """What Keras gives; with one seed, all models have the same weights."""
    model = share_model(k)
    output = model.get_layer(layer).output
    part = k.Model(model.inputs, output)
    results = []
    reset(model)
    for start in (0, 4, 8):
        results.append(np.array(part([STEPS[start : start + 4]])))
        if not stateful:
            reset(model)
    reset(model)
    return np.concatenate(results)


@KERASES
@pytest.mark.parametrize("stateful", [True, False])
def test_stateful_layers_carry_on_only_where_asked_to(k, stateful, tmp_path):
    model = share_model(k)
    for layer in ("lower", "upper", "lower"):  # a dump leaves the model as it was
        options = {"inputs": STEPS, "stateful": stateful, "overwrite": True}
        kprobe.dump(model, layer, output=tmp_path / "a.h5", **options)
        expected = run_eagerly(k, layer, stateful=stateful)
        with kprobe.open_dump(tmp_path / "a.h5") as file:
            np.testing.assert_allclose(file[layer][:], expected, rtol=1e-5, atol=1e-6)
        other = run_eagerly(k, layer, stateful=not stateful)
        assert abs(expected[4:] - other[4:]).max() > 1e-3


@KERASES
def test_a_function_carries_on_in_the_model(k):
    model = make_model(k)
    expected = run_eagerly(k, "upper", stateful=True)
    function = kprobe.function(model, "upper", stateful=True)
    computed = [function(STEPS[start : start + 4])["upper"] for start in (0, 4)]
    np.testing.assert_allclose(np.concatenate(computed), expected[:8], rtol=1e-5, atol=1e-6)
    state = model.get_layer("upper").states[0]
    np.testing.assert_allclose(state.numpy(), computed[1], rtol=1e-5, atol=1e-6)


def make_counter(k):
    """A layer, `counter`, that counts its batches, and one that gives no row for each sample."""

    class Counter(k.layers.Layer):
        def build(self, shape):
            options = {"name": "count", "initializer": "zeros", "trainable": False}
            self.count = self.add_weight(shape=(), dtype="float32", **options)

        def call(self, x):
            self.count.assign(self.count + 1.0)
            return x * 0 + self.count

    class Total(k.layers.Layer):
        def call(self, x):
            return k.ops.sum(x) if k is keras else k.backend.sum(x)

    i = k.Input((4,), name="x")
    counted = Counter(name="counter")(i)
    return k.Model(i, [counted, Total(name="total")(counted)])


@KERASES
def test_updates_run_where_what_is_fetched_reads_them(k):
    model = make_counter(k)
    data = np.zeros((2, 4), "float32")
    function = kprobe.function(model, "counter", stateful=True)
    assert [function(data)["counter"][0, 0] for _ in range(3)] == [1, 2, 3]
    function = kprobe.function(model, "counter")
    assert [function(data)["counter"][0, 0] for _ in range(3)] == [4, 4, 4]
    assert model.get_layer("counter").count.numpy() == 3


@KERASES
def test_moving_statistics_are_updated_in_the_model_of_a_function(k):
    i = k.Input((4,), name="x")
    first = k.layers.BatchNormalization(name="first", momentum=0.9)(i)
    model = k.Model(i, k.layers.BatchNormalization(name="second")(first))
    data = np.random.default_rng(0).normal(2.0, 1.0, (8, 4)).astype("float32")
    kprobe.function(model, "first", training=True)(data)
    assert not model.get_layer("first").moving_mean.numpy().any()
    kprobe.function(model, "first", training=True, stateful=True)(data)
    mean = model.get_layer("first").moving_mean.numpy()
    np.testing.assert_allclose(mean, 0.1 * data.mean(0), rtol=1e-4)
    assert not model.get_layer("second").moving_mean.numpy().any()  # it didn't run


@KERASES
def test_looking_for_the_axis_of_samples_leaves_the_state_alone(k, tmp_path):
    options = {"inputs": np.zeros((6, 4), "float32"), "batch_size": 2, "stateful": True}
    model = make_counter(k)
    kprobe.dump(model, "c*,counter:count", output=tmp_path / "a.h5", **options)
    kprobe.dump(model, None, output=tmp_path / "b.h5", **options)  # leaves `total` out
    for name in ("a.h5", "b.h5"):
        with kprobe.open_dump(tmp_path / name) as file:
            assert file["counter"][:, 0].tolist() == [1, 1, 2, 2, 3, 3]
    with kprobe.open_dump(tmp_path / "a.h5") as file:
        assert file["counter:count"][()] == 0


@KERASES
def test_an_audit_of_a_stateful_run_finds_no_disturbance(k, tmp_path):
    options = {"inputs": STEPS[:8], "stateful": True, "exact": True, "audit": True}
    kprobe.dump(share_model(k), "lower,upper", output=tmp_path / "a.h5", **options)
    with kprobe.open_dump(tmp_path / "a.h5") as file:
        assert file.attrs["audit_ulps"] == 0


@KERASES
@pytest.mark.parametrize("stateful", [True, False])
def test_an_eager_run_carries_on_only_where_asked_to(k, stateful, tmp_path):
    model = share_model(k)
    expected = run_eagerly(k, "upper", stateful=stateful)
    for _ in range(2):
        options = {"inputs": STEPS, "stateful": stateful, "overwrite": True, "eager": True}
        kprobe.dump(model, "upper", output=tmp_path / "a.h5", **options)
        with kprobe.open_dump(tmp_path / "a.h5") as file:
            np.testing.assert_allclose(file["upper"][:], expected, rtol=1e-5, atol=1e-6)


@KERASES
def test_a_batch_that_would_not_be_full_is_refused(k, tmp_path):
    i = k.Input(batch_shape=(4, 3), name="x")
    model = k.Model(i, k.layers.BatchNormalization(name="bn")(i))
    data = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    for options in ({}, {"training": True}, {"feeds": ["bn=mean"]}):
        with pytest.raises(kprobe.KprobeError, match="6 are no multiple of it") as caught:
            kprobe.dump(model, "bn", inputs=data, output=tmp_path / "a.h5", **options)
        assert caught.value.hint == "take fewer: limit=4"
