"""Layers and operations inside tf.functions, against the layers run eagerly and numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.python.eager.polymorphic_function.polymorphic_function import Function

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
STEPS = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")


def layer_of(k, run, **parts):
    """A layer, `block`, that has the parts as attributes and runs `run` on itself and its input."""

    class Block(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            for name, part in parts.items():
                setattr(self, name, part)

        def call(self, x):
            return run(self, x)

    return Block(name="block")


def model_of(k, layer):
    """A subclassed model, so that only eager runs and kprobe's trace call the layer."""

    class Net(k.Model):
        def __init__(self):
            super().__init__(name="net")
            self.block = layer

        def call(self, x):
            return self.block(x)

    model = Net()
    model(STEPS)
    return model


def fetch(model, address, data=STEPS):
    computed = kprobe.function(model, address, exact=True)(data)
    assert len(computed) == 1
    return next(iter(computed.values()))


def assert_close(value, expected):
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@KERASES
def test_a_function_called_twice_has_the_tensors_of_each_call(k):
    @tf.function
    def double(x):
        return tf.multiply(x, 2.0, name="inside")

    model = model_of(k, layer_of(k, lambda _, x: double(x) + double(x + 10.0)))
    assert_close(fetch(model, "block//PartitionedCall/inside"), STEPS * 2)
    assert_close(fetch(model, "block//PartitionedCall_1/inside"), (STEPS + 10) * 2)


@KERASES
@pytest.mark.parametrize("outer", [False, True], ids=["eagerly", "in a graph"])
def test_layers_in_a_function_traced_before_have_addresses(k, outer):
    dense = k.layers.Dense(4, name="dense")
    step = tf.function(lambda x: dense(x) + 1.0)
    model = model_of(k, layer_of(k, lambda self, x: step(step(x)), dense=dense))
    if outer:
        tf.function(model)(STEPS)
    traced = len(step._list_all_concrete_functions())
    assert traced > 0
    first = dense(STEPS).numpy()
    assert_close(fetch(model, "block/dense@0"), first)
    assert_close(fetch(model, "block/dense@1"), dense(first + 1.0))
    assert_close(fetch(model, "block/dense@1:in"), first + 1.0)
    assert len(step._list_all_concrete_functions()) == traced


@KERASES
def test_a_call_method_that_is_a_function_keeps_its_traces(k):
    class Block(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = k.layers.Dense(4, name="dense")

        @tf.function
        def call(self, x):
            # Python that only AutoGraph can turn into a graph.
            return self.dense(x) if tf.reduce_sum(x) > 1e9 else self.dense(x + 1.0)

    layer = Block(name="block")
    model = model_of(k, layer)
    traced = len(layer.call._list_all_concrete_functions())
    assert fetch(model, "block/dense@0").shape[0] == 0
    assert_close(fetch(model, "block/dense@1")[0], layer.dense(STEPS + 1.0))
    assert len(layer.call._list_all_concrete_functions()) == traced > 0
    assert_close(fetch(model, "block"), layer(STEPS))


@KERASES
def test_functions_of_one_name_are_told_apart(k):
    def make(factor):
        @tf.function
        def scale(x):
            return tf.multiply(x, factor, name="inside")

        return scale

    two, three = make(2.0), make(3.0)

    def run(_, x):
        start = (0, tf.zeros_like(x))
        looped = tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y + two(x)), start)
        return looped[1] + three(x) + two(x)

    model = model_of(k, layer_of(k, run))
    computed = kprobe.function(model, "block//*inside")(STEPS)
    assert len(computed) == 3
    for expected in (np.stack([STEPS * 2, STEPS * 2]), STEPS * 3, STEPS * 2):
        assert any(np.allclose(value, expected) for value in computed.values())


OPTIONS = {
    "jit_compile": {"jit_compile": True},
    "reduce_retracing": {"reduce_retracing": True},
    "no autograph": {"autograph": False},
    "input_signature": {"input_signature": [tf.TensorSpec([None, None, 4])]},
}


@KERASES
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_function_keeps_its_options(k, options):
    dense = k.layers.Dense(4, name="dense")

    @tf.function(**options)
    def step(x, factor=2.0):
        return dense(tf.multiply(x, factor, name="scaled"))

    model = model_of(k, layer_of(k, lambda self, x: step(x) + step(x + 1.0), dense=dense))
    assert_close(fetch(model, "block/dense@0"), dense(STEPS * 2))
    assert_close(fetch(model, "block/dense@1:in"), (STEPS + 1) * 2)
    assert_close(fetch(model, "block"), dense(STEPS * 2) + dense((STEPS + 1) * 2))


@KERASES
def test_a_loop_in_a_compiled_function_is_reached(k):
    @tf.function(jit_compile=True)
    def run(x):
        def body(i, y):
            return i + 1, tf.square(y, name="step")

        return tf.while_loop(lambda i, _: i < 2, body, (0, x))[1]

    model = model_of(k, layer_of(k, lambda _, x: run(x)))
    assert_close(fetch(model, "block//*step"), np.stack([STEPS**2, STEPS**4]))


@KERASES
def test_functions_take_python_arguments_and_may_return_nothing(k):
    dense = k.layers.Dense(4, name="dense")

    @tf.function
    def note(x):
        tf.debugging.assert_all_finite(x, "finite")

    @tf.function
    def step(x, times, *, names):
        for _ in range(times):
            x = dense(x)
        note(x)
        return dict.fromkeys(names, x)

    def run(_, x):
        return step(x, 2, names=("a", "b"))["b"] + step(x, 1, names=("b",))["b"]

    model = model_of(k, layer_of(k, run, dense=dense))
    expected = [dense(STEPS), dense(dense(STEPS)), dense(STEPS)]
    for number, value in enumerate(expected):
        assert_close(fetch(model, f"block/dense@{number}"), value)


@KERASES
def test_a_custom_gradient_in_a_function_is_seen_through(k):
    @tf.custom_gradient
    def straight(x):
        return tf.round(x, name="rounded"), lambda upstream: upstream

    inner = tf.function(lambda x: straight(x) * 2.0)
    model = model_of(k, layer_of(k, lambda _, x: tf.function(inner)(x)))
    assert_close(fetch(model, "block//*rounded"), np.round(STEPS))


@KERASES
def test_a_gradient_through_functions_loops_and_branches_is_no_hindrance(k):
    """A gradient makes new functions of the same graphs, which keep what it needs."""
    dense = k.layers.Dense(4, name="dense")

    @tf.function
    def step(x):
        return tf.cond(tf.reduce_sum(x) > 1e9, lambda: x, lambda: dense(x))

    def run(_, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, step(y)), (0, x))[1]
        return tape.gradient(y, x)

    model = model_of(k, layer_of(k, run, dense=dense))
    value = fetch(model, "block/dense")
    assert_close(value, np.stack([dense(STEPS), dense(dense(STEPS))]))


@KERASES
def test_a_variable_that_a_function_made_at_its_first_call_is_used_again(k):
    made = []

    @tf.function
    def scale(x):
        if not made:
            made.append(tf.Variable(3.0))
        return tf.multiply(x, made[0], name="inside")

    model = model_of(k, layer_of(k, lambda _, x: scale(x)))
    made[0].assign(5.0)
    assert_close(fetch(model, "block//*inside"), STEPS * 5)
    assert len(made) == 1


@KERASES
def test_a_concrete_function_is_one_graph_and_has_one_value_where_it_runs_once(k):
    double = tf.function(lambda x: tf.multiply(x, 2.0, name="inside"))
    concrete = double.get_concrete_function(tf.TensorSpec([3, 7, 4]))
    once = model_of(k, layer_of(k, lambda _, x: concrete(x[:3])))
    assert_close(fetch(once, "block//*inside"), STEPS * 2)
    twice = model_of(k, layer_of(k, lambda _, x: concrete(x[:3]) + concrete(x[:3] + 1.0)))
    with pytest.raises(kprobe.KprobeError, match="runs in several places"):
        fetch(twice, "block//*Call/inside")


@KERASES
def test_a_function_of_a_saved_model_has_a_value_in_each_call(k, tmp_path):
    module = tf.Module()
    signature = [tf.TensorSpec([None, 7, 4])]
    module.double = tf.function(
        lambda x: tf.multiply(x, 2.0, name="inside"), input_signature=signature
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    once = model_of(k, layer_of(k, lambda _, x: loaded.double(x)))
    assert_close(fetch(once, "block//*inside"), STEPS * 2)
    twice = model_of(k, layer_of(k, lambda _, x: loaded.double(x) + loaded.double(x + 1.0)))
    assert_close(fetch(twice, "block//inside"), STEPS * 2)
    assert_close(fetch(twice, "block//inside_1"), (STEPS + 1) * 2)


@KERASES
def test_nothing_stays_of_the_watching_when_a_model_fails(k):
    before = Function.__call__

    failing = []

    @tf.function
    def fail(x):
        if failing:
            raise ValueError("a fault of the model's own")
        return x

    model = model_of(k, layer_of(k, lambda _, x: fail(x)))
    failing.append(True)
    with pytest.raises(kprobe.KprobeError, match="the model can't be traced"):
        kprobe.function(model, "block")
    assert Function.__call__ is before
