"""State that is carried on from batch to batch, and state that isn't."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
STEPS = np.random.default_rng(0).normal(size=(10, 7, 4)).astype("float32")


def make_model(k):
    k.utils.set_random_seed(0)
    i = k.Input(batch_shape=(4, 7, 4), name="seq")
    x = k.layers.LSTM(3, stateful=True, return_sequences=True, name="lower")(i)
    return k.Model(i, k.layers.GRU(3, stateful=True, name="upper")(x))


def reset(model):
    for name in ("lower", "upper"):
        layer = model.get_layer(name)
        (getattr(layer, "reset_state", None) or layer.reset_states)()


def run_eagerly(model, layer, *, stateful):
    output = model.get_layer(layer).output
    library = tf_keras if isinstance(model, tf_keras.Model) else keras
    part = library.Model(model.inputs, output)
    results = []
    reset(model)
    for start in (0, 4, 8):
        batch = STEPS[start : start + 4]
        padded = np.concatenate([batch, batch[-1:].repeat(4 - len(batch), 0)])
        results.append(np.array(part([padded]))[: len(batch)])
        if not stateful:
            reset(model)
    reset(model)
    return np.concatenate(results)


@KERASES
@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("layer", ["lower", "upper"])
def test_stateful_layers_carry_on_only_where_asked_to(k, stateful, layer, tmp_path):
    model = make_model(k)
    expected = run_eagerly(model, layer, stateful=stateful)
    for _ in range(2):  # a dump leaves the model as it was
        options = {"inputs": STEPS, "stateful": stateful, "overwrite": True}
        kprobe.dump(model, layer, output=tmp_path / "a.h5", **options)
        with kprobe.open_dump(tmp_path / "a.h5") as file:
            np.testing.assert_allclose(file[layer][:], expected, rtol=1e-5, atol=1e-6)
    carried = run_eagerly(model, layer, stateful=True)
    assert abs(carried[4:] - run_eagerly(model, layer, stateful=False)[4:]).max() > 1e-3


@KERASES
def test_a_function_carries_on_in_the_model(k):
    model = make_model(k)
    expected = run_eagerly(model, "upper", stateful=True)
    function = kprobe.function(model, "upper", stateful=True)
    computed = [function(STEPS[start : start + 4])["upper"] for start in (0, 4)]
    np.testing.assert_allclose(np.concatenate(computed), expected[:8], rtol=1e-5, atol=1e-6)
    state = model.get_layer("upper").states[0]
    np.testing.assert_allclose(state.numpy(), computed[1], rtol=1e-5, atol=1e-6)


@KERASES
def test_updates_run_where_what_is_fetched_reads_them(k):
    class Counter(k.layers.Layer):
        def build(self, shape):
            options = {"name": "count", "initializer": "zeros", "trainable": False}
            self.count = self.add_weight(shape=(), dtype="float32", **options)

        def call(self, x):
            self.count.assign(self.count + 1.0)
            return x * 0 + self.count

    i = k.Input((4,), name="x")
    model = k.Model(i, Counter(name="counter")(i))
    data = np.zeros((2, 4), "float32")
    function = kprobe.function(model, "counter", stateful=True)
    assert [function(data)["counter"][0, 0] for _ in range(3)] == [1, 2, 3]
    function = kprobe.function(model, "counter")
    assert [function(data)["counter"][0, 0] for _ in range(3)] == [4, 4, 4]
    assert model.get_layer("counter").count.numpy() == 3
