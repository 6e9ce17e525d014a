"""Models that run eagerly: the addresses of a trace, and the same values."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from constructions import CONSTRUCTIONS, compute_exactly

import kprobe
from kprobe.engines.eager import run_eagerly
from kprobe.trace.fetch import find_fetches
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
STEPS = np.random.default_rng(0).normal(size=(5, 7, 4)).astype("float32")


@KERASES
@pytest.mark.parametrize("construction", CONSTRUCTIONS, ids=lambda c: c.__name__)
def test_an_eager_run_gives_the_addresses_and_values_of_a_trace(k, construction):
    model, data, traced = compute_exactly(construction, k)
    flat = [tf.convert_to_tensor(array) for array in tf.nest.flatten(data)]
    inputs = dict(zip(read_signature(model), flat, strict=True))
    run = run_eagerly(model, inputs, lambda tensors: arrange_inputs(model, tensors))
    eager = {fetch.address: fetch.tensor for fetch in find_fetches(run, ["**"])}
    assert list(eager) == list(traced)
    for address, value in traced.items():
        if value.dtype == object:
            np.testing.assert_array_equal(eager[address].numpy(), value)
        else:
            computed = tf.cast(eager[address], tf.float32).numpy()
            np.testing.assert_allclose(computed, value, rtol=1e-5, atol=1e-5, err_msg=address)


def untraceable(k):
    class Scaled(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inner = k.layers.Dense(4, name="inner")

        def call(self, x):
            return self.inner(x) * float(x.numpy().max())

    class Net(k.Model):
        def __init__(self):
            super().__init__(name="net")
            self.scaled = Scaled(name="scaled")
            self.drop = k.layers.Dropout(0.5, name="drop")
            self.norm = k.layers.BatchNormalization(name="norm")

        def call(self, x, training=None):
            return self.norm(self.drop(self.scaled(x), training=training), training=training)

    model = Net()
    model(STEPS[:, 0])
    return model


@KERASES
def test_a_model_whose_python_cannot_be_traced_runs_eagerly(k, tmp_path):
    model = untraceable(k)
    data = STEPS[:, 0]
    options = {"inputs": data, "output": tmp_path / "a.h5", "batch_size": 2}
    with pytest.raises(
        kprobe.KprobeError, match=r"can't be traced: AttributeError in .*[Ss]caled.*numpy"
    ) as caught:
        kprobe.dump(model, "scaled", **options)
    assert caught.value.hint == "eager=True runs it all the same"
    kprobe.dump(model, "scaled/inner,scaled,drop,features=scaled:in", eager=True, **options)
    kernel, bias = model.get_layer("scaled").inner.get_weights()
    inner = data @ kernel + bias
    factors = np.concatenate([[data[i : i + 2].max()] * 2 for i in (0, 2, 4)])[:5]
    with kprobe.open_dump(tmp_path / "a.h5") as file:
        np.testing.assert_allclose(file["scaled/inner"][:], inner, rtol=1e-5, atol=1e-6)
        scaled = inner * factors[:, None]
        np.testing.assert_allclose(file["scaled"][:], scaled, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(file["drop"][:], file["scaled"][:])
        np.testing.assert_array_equal(file["features"][:], data)


@KERASES
def test_training_is_seeded_and_leaves_the_model_alone(k, tmp_path):
    model = untraceable(k)
    before = [np.array(weight) for weight in model.get_weights()]
    results = []
    for name in "ab":
        options = {"inputs": STEPS[:, 0], "output": tmp_path / f"{name}.h5", "batch_size": 2}
        kprobe.dump(model, "drop,norm", eager=True, training=True, **options)
        with kprobe.open_dump(tmp_path / f"{name}.h5") as file:
            results.append(file["drop"][:])
    assert (results[0] == 0).any()
    np.testing.assert_array_equal(results[0], results[1])
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@KERASES
def test_draws_of_numpy_and_python_are_seeded_too(k, tmp_path):
    class Noisy(k.layers.Layer):
        def call(self, x):
            return x + np.random.normal(size=4) + random.random()

    i = k.Input((4,), name="x")
    model = k.Model(i, Noisy(name="noisy")(i))
    results = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        options = {"inputs": STEPS[:, 0], "output": tmp_path / f"{name}.h5", "batch_size": 2}
        kprobe.dump(model, "noisy", eager=True, seed=seed, **options)
        with kprobe.open_dump(tmp_path / f"{name}.h5") as file:
            results.append(file["noisy"][:] - STEPS[:, 0])
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).all()
    assert abs(results[0][0] - results[0][2]).max() > 0.01


@KERASES
def test_calls_in_nested_loops_are_stacked(k):
    inner = k.layers.Dense(2, name="inner")

    class Loops(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inner = inner

        def build(self, shape):
            self.inner.build((None, 4))
            super().build(shape)

        def call(self, x):
            def rows(sample):
                return tf.map_fn(
                    lambda row: self.inner(row[None])[0], sample, fn_output_signature=tf.float32
                )

            return tf.map_fn(rows, x, fn_output_signature=tf.float32)

        def compute_output_shape(self, shape):
            return (*shape[:-1], 2)

    i = k.Input((7, 4), name="seq")
    model = k.Model(i, Loops(name="loops")(i))
    expected = kprobe.function(model, "loops/inner")(STEPS)["loops/inner"]
    run = run_eagerly(
        model, {"seq": tf.constant(STEPS)}, lambda tensors: arrange_inputs(model, tensors)
    )
    value = find_fetches(run, ["loops/inner"])[0].tensor
    assert value.shape == (5, 7, 1, 2)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@KERASES
def test_iterations_of_different_shapes_leave_the_other_calls_alone(k, tmp_path):
    class Growing(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.inner = k.layers.Activation("relu", name="inner")

        def call(self, x):
            def body(i, total):
                return i + 1, total + tf.reduce_sum(self.inner(x[:, :i]))

            return x + tf.while_loop(lambda i, _: i < 4, body, (1, 0.0))[1]

    i = k.Input((4,), name="x")
    model = k.Model(i, Growing(name="growing")(i))
    options = {"inputs": STEPS[:, 0], "output": tmp_path / "a.h5", "eager": True, "batch_size": 5}
    kprobe.dump(model, "growing", **options)
    with kprobe.open_dump(tmp_path / "a.h5") as file:
        sums = sum(np.maximum(STEPS[:, 0, :i], 0).sum() for i in (1, 2, 3))
        np.testing.assert_allclose(file["growing"][:], STEPS[:, 0] + sums, rtol=1e-5)
    with pytest.raises(kprobe.KprobeError, match="'growing/inner' has no tensor"):
        kprobe.dump(model, "growing/inner", overwrite=True, **options)


def test_what_needs_a_graph_is_refused(tmp_path):
    model = untraceable(keras)
    options = {"inputs": STEPS[:, 0], "output": tmp_path / "a.h5", "eager": True}
    with pytest.raises(kprobe.KprobeError, match="operations have no address where the model runs"):
        kprobe.dump(model, "scaled//*MatMul*", **options)
    with pytest.raises(kprobe.KprobeError, match="has no graph: expected no feeds"):
        kprobe.dump(model, "scaled", feeds=["scaled=zero"], **options)
    with pytest.raises(kprobe.KprobeError, match="no layer 'scald'; nearest: scaled"):
        kprobe.dump(model, "scald", **options)


def test_a_model_that_fails_eagerly_too_says_so(tmp_path):
    class Broken(keras.Model):
        def call(self, x):
            if tf.executing_eagerly() and x.shape[0] == 1:
                raise RuntimeError("one is too few")
            return x

    model = Broken(name="broken")
    model(STEPS[:, 0])
    with pytest.raises(
        kprobe.KprobeError, match=r"fails when it runs eagerly: RuntimeError in .*: one is too few"
    ):
        kprobe.dump(model, None, inputs=STEPS[:, 0], output=tmp_path / "a.h5", eager=True)
