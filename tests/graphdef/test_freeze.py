"""A frozen sub-graph holds the values that the variables had."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kprobe.engines.compute import Compute
from kprobe.engines.engine import FetchSpec
from kprobe.engines.tensorflow import TensorFlowEngine
from kprobe.subgraph.cut import cut_out
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace


class Plain(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.factor = self.add_weight(shape=(3,), initializer="random_normal", name="factor")

    def call(self, x):
        return x * self.factor


class InFunction(Plain):
    @tf.function
    def call(self, x):
        return x * self.factor + self.double(x * self.factor)

    @tf.function
    def double(self, value):
        return 2.0 * (value + self.factor)


class InBranch(Plain):
    def call(self, x):
        big = tf.reduce_sum(x) > 0
        return tf.cond(big, lambda: x * self.factor, lambda: x - self.factor)


class Given(Plain):
    """Its function gives back what it read, as it is."""

    @tf.function
    def read(self):
        return self.factor.value.read_value()

    def call(self, x):
        return x * self.read()


class Word(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.word = tf.Variable("word", trainable=False)

    def call(self, x):
        return x * tf.cast(tf.strings.length(self.word), x.dtype)


@pytest.mark.parametrize("layer", [Plain, InFunction, InBranch, Given], ids=lambda c: c.__name__)
def test_it_holds_the_values(layer):
    model = keras.Sequential([keras.Input((3,)), layer()])
    subgraph = make_frozen(model)
    samples = {subgraph.feeds[0]: np.ones((2, 3), "float32")}
    expected = model(samples[subgraph.feeds[0]])
    assert subgraph.frozen
    np.testing.assert_allclose(subgraph(samples)[0], expected, rtol=1e-6)
    model.layers[0].factor.assign([7.0, 8.0, 9.0])
    np.testing.assert_allclose(subgraph(samples)[0], expected, rtol=1e-6)


def test_it_holds_a_string():
    subgraph = make_frozen(keras.Sequential([keras.Input((3,)), Word()]))
    assert subgraph.frozen
    results = subgraph({subgraph.feeds[0]: np.ones((2, 3), "float32")})
    assert results[0].numpy().tolist() == [[4.0, 4.0, 4.0]] * 2


def test_a_variable_may_have_any_shape():
    class Free(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.free = tf.Variable([2.0, 3.0, 4.0], shape=tf.TensorShape(None), trainable=False)

        def call(self, x):
            return x * tf.reshape(self.free, [3])

    subgraph = make_frozen(keras.Sequential([keras.Input((3,)), Free()]))
    result = subgraph({subgraph.feeds[0]: np.ones((2, 3), "float32")})[0]
    np.testing.assert_array_equal(result, [[2.0, 3.0, 4.0]] * 2)


def test_an_exact_one_is_left():
    assert not make_frozen(keras.Sequential([keras.Input((3,)), Plain()]), exact=True).frozen


def test_one_that_writes_variables_is_left():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5)])
    assert not make_frozen(model, training=True).frozen


def test_a_layer_that_is_used_often_has_its_values_once():
    layer = keras.layers.Dense(512, use_bias=False)
    x = source = keras.Input((512,))
    for _ in range(4):
        x = layer(x)
    subgraph = make_frozen(keras.Model(source, x))
    graph = subgraph._function.graph.as_graph_def()
    assert 2**20 <= graph.ByteSize() < 2 * 2**20


def make_frozen(model, **options):
    compute = Compute(**options)
    traced = trace(
        model,
        read_signature(model),
        lambda tensors: arrange_inputs(model, tensors),
        training=compute.training,
    )
    cut = cut_out(traced, traced.inputs, traced.outputs)
    specs = [FetchSpec(tensor.name, tensor) for tensor in traced.outputs]
    return TensorFlowEngine(cut, specs, compute, frozen=True)
