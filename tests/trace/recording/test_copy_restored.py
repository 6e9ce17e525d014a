"""What a SavedModel restored, in a trace: layers, operations, the order of side effects."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe.trace.recording.copy_restored import restored_functions_copied
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace

ROWS = np.random.default_rng(0).normal(size=(6, 5)).astype("f4")


class Scale(tf_keras.layers.Layer):
    """A layer with a layer inside, whose class won't be known."""

    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor
        self.dense = tf_keras.layers.Dense(4, name="inside", activity_regularizer="l2")

    def call(self, x):
        return self.dense(x) * self.factor


class Stack(tf_keras.Model):
    """A subclassed model: layers in attributes and lists, a shared one, dropout, a statistic."""

    def __init__(self):
        super().__init__(name="stack")
        self.first = tf_keras.layers.Dense(4, name="first", activation="relu")
        self.norm = tf_keras.layers.BatchNormalization(name="norm")
        self.drop = tf_keras.layers.Dropout(0.5, name="drop")
        self.scales = [Scale(2.0, name="double"), Scale(3.0, name="triple")]
        self.rnn = tf_keras.layers.GRU(4, name="rnn", return_state=True)
        self.last = tf_keras.layers.Dense(2, name="last")

    def call(self, x, training=None):
        x = self.first(x)
        x = self.drop(self.norm(x, training=training), training=training)
        for scale in self.scales:
            x = scale(x)
        x, _ = self.rnn(tf.stack([x, x * 2, x * 3], axis=1))
        return self.last(x) + self.last(self.scales[0](x))


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The model, and the same from a SavedModel, its classes unknown."""
    tf_keras.utils.set_random_seed(1)
    model = Stack()
    model(ROWS)
    model.norm.set_weights([np.linspace(0.5, 2, 4)] * 4)
    path = tmp_path_factory.mktemp("stack") / "stack"
    model.save(path, save_format="tf")
    return model, kprobe.load_model(path)


@pytest.fixture(scope="module")
def revived(stack):
    return stack[1]


def test_the_layers_of_a_revived_model_have_the_addresses_they_had(stack):
    one, other = (
        trace(model, read_signature(model), partial(arrange_inputs, model)).calls for model in stack
    )
    # What is inside of a layer, tf_keras saves as operations of the layer.
    layers = [(call.address, call.class_name) for call in one if "/" not in call.address]
    assert [(call.address, call.class_name) for call in other] == layers
    assert len(layers) < len(one)


@pytest.mark.parametrize(
    "layer", ["first", "norm", "drop", "double@0", "double@1", "triple", "rnn[1]", "last@1"]
)
def test_the_layers_of_a_revived_model_give_what_they_gave(stack, layer):
    model, revived = stack
    expected = kprobe.function(model, layer, exact=True)(ROWS)
    received = kprobe.function(revived, layer, exact=True)(ROWS)
    assert expected.keys() == received.keys() == {layer}
    np.testing.assert_array_equal(received[layer], expected[layer])


def test_gradients_go_through_restored_functions_and_their_loops(stack):
    model, revived = stack
    names = ["first", "drop", "triple", "rnn[0]"]
    found = kprobe.function(revived, names, gradients_of="last@0", unit=1, exact=True)(ROWS)
    with tf.GradientTape() as tape:
        first = model.first(ROWS)
        drop = model.drop(model.norm(first))
        triple = model.scales[1](model.scales[0](drop))
        rnn, _ = model.rnn(tf.stack([triple, triple * 2, triple * 3], axis=1))
        target = model.last(rnn)[:, 1]
    expected = tape.gradient(target, [first, drop, triple, rnn])
    # What three take adds up in an order that nothing lays down.
    for name, gradient in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[f"{name}:gradient"], gradient, rtol=1e-5, atol=1e-7)


def test_operations_of_a_shared_layer_have_a_value_in_each_call(stack):
    model, revived = stack
    # As in a tf_keras model that was never saved, the second call's have numbers.
    first, second = "double@0//inside/BiasAdd", "double@1//inside/BiasAdd_1"
    got = kprobe.function(revived, ["drop", "rnn[0]", first, second])(ROWS)
    kernel, bias = (weight.numpy() for weight in model.scales[0].dense.weights)
    for given, operation in (("drop", first), ("rnn[0]", second)):
        expected = got[given] @ kernel + bias
        np.testing.assert_allclose(got[operation], expected, rtol=1e-5, atol=1e-6)


def test_what_is_restored_can_be_fed(stack):
    model, revived = stack
    given = np.random.default_rng(1).normal(size=(3, 4)).astype("f4")
    function = kprobe.function(revived, "triple", feeds="double@0//inside/BiasAdd")
    assert function.feeds == ["double@0//inside/BiasAdd"]
    np.testing.assert_allclose(
        function(given)["triple"], model.scales[1](given * 2).numpy(), rtol=1e-5, atol=1e-6
    )


def test_a_revived_model_runs_as_in_training_too(stack):
    model, revived = stack
    got = kprobe.function(revived, ["first", "norm", "drop"], training=True)(ROWS)
    gamma, beta = (model.norm.gamma.numpy(), model.norm.beta.numpy())
    first = got["first"]
    normal = (first - first.mean(0)) / np.sqrt(first.var(0) + model.norm.epsilon)
    np.testing.assert_allclose(got["norm"], normal * gamma + beta, rtol=1e-4, atol=1e-5)
    dropped = got["drop"] == 0
    assert 0 < dropped.mean() < 1
    np.testing.assert_allclose(got["drop"][~dropped], 2 * got["norm"][~dropped], rtol=1e-5)


def test_weights_of_restored_layers_have_addresses(stack):
    model, revived = stack
    values = list(kprobe.function(revived, ["double:kernel", "norm:gamma"])().values())
    np.testing.assert_array_equal(values[0], model.scales[0].dense.kernel.numpy())
    np.testing.assert_array_equal(values[1], model.norm.gamma.numpy())


def test_the_restored_model_is_left_as_it_was(revived):
    before = revived(ROWS).numpy()
    kprobe.function(revived, "last@0", training=True)(ROWS)
    np.testing.assert_array_equal(revived(ROWS).numpy(), before)


def test_a_model_of_several_inputs_says_them(tmp_path):
    class Two(tf_keras.Model):
        def __init__(self):
            super().__init__(name="two")
            self.dense = tf_keras.layers.Dense(3, name="dense")

        def call(self, given):
            return self.dense(given["a"]) + self.dense(given["b"])

    model = Two()
    model({"a": ROWS, "b": ROWS})
    model.save(tmp_path / "two", save_format="tf")
    revived = kprobe.load_model(tmp_path / "two")
    assert list(read_signature(revived)) == ["a", "b"]
    got = kprobe.function(revived, ["dense@1"])({"a": ROWS, "b": ROWS * 2})
    np.testing.assert_allclose(got["dense@1"], model.dense(ROWS * 2).numpy(), rtol=1e-5, atol=1e-6)


class Counting(tf.Module):
    """What a function writes another reads, both called by a third."""

    def __init__(self):
        super().__init__()
        self.count = tf.Variable(0.0, name="count")

    @tf.function(input_signature=[])
    def add(self):
        self.count.assign_add(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 5])])
    def scale(self, x):
        return tf.multiply(x, self.count, name="scaled")

    @tf.function(input_signature=[tf.TensorSpec([None, 5], name="x")])
    def run(self, x):
        first = self.scale(x)
        self.add()
        second = self.scale(x)
        self.add()
        return {"first": first, "second": second, "third": self.scale(x)}


def test_side_effects_keep_their_order(tmp_path):
    tf.saved_model.save(module := Counting(), tmp_path / "m", signatures=module.run)
    model = kprobe.load_model(tmp_path / "m")
    function = kprobe.function(model, ["first", "second", "third", "//*scaled_1"], stateful=True)
    for expected in ([0, 1, 2, 1], [2, 3, 4, 3]):
        got = function(np.ones((2, 5), "f4"))
        assert [float(array[0, 0]) for array in got.values()] == expected


def test_a_loop_in_a_function_called_twice_has_a_value_in_each_call(tmp_path):
    class Looping(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 5])])
        def loop(self, x):
            count, start = tf.constant(0), tf.zeros_like(x)
            return tf.while_loop(
                lambda i, _: i < 3, lambda i, y: (i + 1, tf.add(y, x, name="sum")), (count, start)
            )[1]

        @tf.function(input_signature=[tf.TensorSpec([None, 5], name="x")])
        def run(self, x):
            return self.loop(self.loop(x))

    tf.saved_model.save(module := Looping(), tmp_path / "m", signatures=module.run)
    model = kprobe.load_model(tmp_path / "m")
    sums = list(kprobe.function(model, "//*/sum")(ROWS).values())
    for received, x in zip(sums, (ROWS, ROWS * 3), strict=True):
        np.testing.assert_allclose(received, np.stack([x, x * 2, x * 3]), rtol=1e-5)


def test_nothing_is_changed_once_a_trace_is_over():
    from tensorflow.python.saved_model import function_deserialization as deserialization

    before = deserialization._call_concrete_function
    with restored_functions_copied(None):
        assert "__call__" in vars(deserialization.RestoredFunction)
    assert "__call__" not in vars(deserialization.RestoredFunction)
    assert deserialization._call_concrete_function is before
