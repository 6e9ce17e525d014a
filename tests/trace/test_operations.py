"""Operations inside layers, in loops, branches and functions, against numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from probing import KERASES, wrap

import kprobe

STEPS = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")


def fetch(model, address, data=STEPS):
    computed = kprobe.function(model, address)(data)
    assert len(computed) == 1
    return next(iter(computed.values()))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@KERASES
def test_the_value_before_the_activation_is_reached(k):
    i = k.Input((7, 4), name="seq")
    model = k.Model(i, k.layers.Conv1D(3, 1, activation="relu", name="conv")(i))
    kernel, bias = model.get_layer("conv").get_weights()
    bias += 0.5
    model.get_layer("conv").set_weights([kernel, bias])
    before = STEPS @ kernel[0] + bias
    np.testing.assert_allclose(fetch(model, "conv//BiasAdd"), before, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(fetch(model, "conv//Relu"), fetch(model, "conv"))
    assert (fetch(model, "conv//BiasAdd:0") < 0).any()


@KERASES
def test_gates_and_cell_states_of_an_lstm_are_reached_at_every_step(k):
    i = k.Input((7, 4), name="seq")
    model = k.Model(i, k.layers.LSTM(5, name="lstm")(i))
    kernel, recurrent, bias = model.get_layer("lstm").get_weights()
    h = c = np.zeros((3, 5))
    gates = []
    for step in range(7):
        z = STEPS[:, step] @ kernel + h @ recurrent + bias
        i_, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i_) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        gates.append({"i": sigmoid(i_), "f": sigmoid(f), "c": np.tanh(c)})
    computed = kprobe.function(model, "lstm//*Sigmoid*,lstm//*Tanh*")(STEPS)
    assert len(computed) == 5
    for gate in "ifc":
        expected = np.stack([step[gate] for step in gates])
        assert any(np.allclose(v, expected, atol=1e-5) for v in computed.values()), gate


@KERASES
def test_a_tensor_in_map_fn_is_a_row_a_sample(k):
    def run(x):
        return tf.map_fn(lambda row: tf.reduce_sum(tf.square(row, name="square"), axis=0), x)

    value = fetch(wrap(k, run), "probe//map/while/square")
    np.testing.assert_allclose(value, STEPS**2, rtol=1e-6)


@KERASES
def test_loops_two_deep_give_an_axis_each(k):
    def run(x):
        def outer(i, total):
            def inner(j, part):
                value = tf.multiply(x[:, i, j], 2.0, name="deep")
                return j + 1, part + value

            _, part = tf.while_loop(lambda j, _: j < 4, inner, (0, tf.zeros_like(x[:, 0, 0])))
            return i + 1, total + part

        start = (0, tf.zeros_like(x[:, 0, 0]))
        return tf.while_loop(lambda i, _: i < 7, outer, start)[1]

    value = fetch(wrap(k, run), "probe//*deep")
    np.testing.assert_allclose(value, 2 * np.moveaxis(STEPS, 0, 2), rtol=1e-6)


@KERASES
def test_a_loop_that_never_runs_gives_an_empty_tensor(k):
    def run(x):
        def body(i, y):
            return i + 1, tf.nn.relu(y, name="never")

        return tf.while_loop(lambda i, _: i < 0, body, (0, x))[1]

    assert fetch(wrap(k, run), "probe//*never").shape[0] == 0


@KERASES
def test_of_two_branches_the_one_taken_has_a_value(k):
    def run(x):
        return tf.cond(
            tf.reduce_sum(x) > 0, lambda: tf.exp(x, name="yes"), lambda: tf.cos(x, name="no")
        )

    model = wrap(k, run)
    positive = abs(STEPS)
    np.testing.assert_allclose(fetch(model, "probe//*yes", positive), np.exp(positive)[None], 1e-5)
    assert fetch(model, "probe//*no", positive).shape[0] == 0
    np.testing.assert_allclose(fetch(model, "probe//*no", -positive), np.cos(positive)[None], 1e-5)


@KERASES
def test_a_branch_inside_a_loop_gives_the_iterations_that_took_it(k):
    def run(x):
        def body(i, y):
            z = tf.cond(i % 2 == 0, lambda: tf.exp(x[:, i], name="even"), lambda: x[:, i])
            return i + 1, y + z

        return tf.while_loop(lambda i, _: i < 7, body, (0, tf.zeros_like(x[:, 0])))[1]

    value = fetch(wrap(k, run), "probe//*even")
    np.testing.assert_allclose(value, np.exp(np.moveaxis(STEPS, 0, 1)[::2]), rtol=1e-5)


@KERASES
def test_functions_in_functions_are_seen_through(k):
    @tf.function
    def inner(x):
        return tf.square(x, name="inside") + 1.0

    @tf.function
    def outer(x):
        return inner(x) * 2.0

    model = wrap(k, outer)
    model(STEPS)  # traced before kprobe sees it
    np.testing.assert_allclose(fetch(model, "probe//*inside"), STEPS**2, rtol=1e-6)


@KERASES
def test_a_graph_name_is_an_address_too(k):
    model = wrap(k, lambda x: tf.square(x, name="square"))
    np.testing.assert_allclose(fetch(model, "//*/square:0"), STEPS**2, rtol=1e-6)


@KERASES
def test_each_output_of_an_operation_has_a_number(k):
    model = wrap(k, lambda x: tf.add_n(tf.split(x, 2, axis=2, name="halves")))
    np.testing.assert_array_equal(fetch(model, "probe//halves:1"), STEPS[..., 2:])
    assert list(kprobe.function(model, "probe//halves").addresses) == [
        "probe//halves:0",
        "probe//halves:1",
    ]


def test_wrong_operations_are_answered_with_what_there_is():
    model = wrap(keras, lambda x: tf.square(x, name="square"))
    for address, fault in [
        ("probe//squares", "probe//squares names no operation; nearest: probe//square"),
        ("probe//zzz", "probe//zzz names no operation"),
        ("probe//square:1", "probe//square has 1 outputs, and :1 is none"),
        ("probe//quar", "probe//quar names no operation; nearest: probe//square"),
    ]:
        with pytest.raises(kprobe.KprobeError) as caught:
            kprobe.function(model, address)
        assert caught.value.faults == (fault,)


def test_an_operation_that_fails_is_reported_as_the_models():
    model = wrap(keras, lambda x: tf.debugging.check_numerics(x, "not a number"))
    with pytest.raises(kprobe.KprobeError, match="the model failed on a batch: not a number"):
        kprobe.function(model, "probe")(STEPS * np.nan)


@KERASES
def test_iterations_of_different_shapes_are_refused_with_the_reason(k):
    def run(x):
        def body(i, total):
            return i + 1, total + tf.reduce_sum(tf.identity(x[:, :i], name="growing"))

        return tf.while_loop(lambda i, _: i < 7, body, (1, 0.0))[1] + x

    with pytest.raises(kprobe.KprobeError, match="another shape in each iteration"):
        fetch(wrap(k, run), "probe//*growing")


@KERASES
def test_inputs_of_a_nested_model_keep_their_names_in_a_dict(k):
    z, a = k.Input((4,), name="z"), k.Input((4,), name="a")
    inner = k.Model([z, a], k.layers.Subtract(name="minus")([z, a]), name="inner")
    p, q = k.Input((4,), name="p"), k.Input((4,), name="q")
    model = k.Model([p, q], inner({"a": q, "z": p}))
    data = {"p": STEPS[:, 0], "q": STEPS[:, 1]}
    computed = kprobe.function(model, "inner/z,inner/a,inner/minus")(data)
    np.testing.assert_array_equal(computed["inner/z"], data["p"])
    np.testing.assert_array_equal(computed["inner/a"], data["q"])
