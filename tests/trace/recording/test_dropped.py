"""Calls and operations that have no tensor to fetch: what is said of them, and that they have none.

What `tf.vectorized_map` rewrote is the trap among them: it stays in the graph, and would give
the first row, as if it were all.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from probing import KERASES, wrap

import kprobe
from kprobe.trace.fetch import find_fetches
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace
from kprobe.trace.search import search_upstream

STEPS = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")
TOKENS = np.array([[1, 2, 3, 0, 0, 0], [4, 0, 0, 0, 0, 0]], "int32")


def fetch(model, address, data=STEPS):
    computed = kprobe.function(model, address, exact=True)(data)
    assert len(computed) == 1
    return next(iter(computed.values()))


def open_trace(model):
    return trace(model, read_signature(model), lambda given: arrange_inputs(model, given))


def refuse(model, address):
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.function(model, address)
    return caught.value


def refuse_in(traced, address):
    with pytest.raises(kprobe.KprobeError) as caught:
        find_fetches(traced, [address])
    return caught.value


UNUSED = "is called, but no output of the model depends on it"
SEVERAL = "lies in a function that runs in several places, and has a value in each"
VECTORIZED = (
    "runs in tf.vectorized_map, which computes all rows at once: no tensor of a single call exists"
)
HINT = "`kprobe ls MODEL probe --ops` lists the vectorised operations, named …/pfor/…"


def throw_away(k):
    """A model in which a layer's result is thrown away."""
    unused, used = (k.layers.Dense(4, name=name) for name in ("unused", "used"))

    def run(x):
        unused(x)
        return used(x)

    return wrap(k, run, unused, used), {"probe/unused": lambda: unused(STEPS)}


def use_one_output(k):
    """A nested model that gives two outputs, of which one is used."""
    x = k.Input((7, 4))
    outputs = {n: k.layers.Dense(2, name=f"{n}_last")(x) for n in ("used", "unused")}
    inner = k.Model(x, outputs, name="inner")
    i = k.Input((7, 4), name="seq")
    model = k.Model(i, k.layers.Dense(1, name="last")(inner(i)["used"]))
    unused = inner.get_layer("unused_last")
    return model, {
        "inner/unused_last": lambda: unused(STEPS),
        "inner[unused]": lambda: unused(STEPS),
    }


def throw_away_in_functions(k):
    """Layers whose results are thrown away in a function, a loop and a branch."""
    parts = {n: k.layers.Dense(4, name=n) for n in ("function", "loop", "branch", "dead")}

    def called(x):
        parts["function"](x)
        return x + 1.0

    def step(n, x):
        parts["loop"](x)
        return n + 1, x + 1.0

    def branch(x):
        parts["branch"](x)
        return x * 1.0

    def run(x):
        tf.function(lambda y: parts["dead"](y))(x)
        x = tf.function(called)(x)
        x = tf.while_loop(lambda n, _: n < 2, step, (0, x))[1]
        return tf.cond(tf.reduce_sum(x) < 1e9, lambda: branch(x), lambda: x)

    return wrap(k, run, *parts.values()), {
        "probe/dead": lambda: parts["dead"](STEPS),
        "probe/function": lambda: parts["function"](STEPS),
        "probe/loop": lambda: np.stack([parts["loop"](STEPS + n) for n in (1.0, 2.0)]),
        "probe/branch": lambda: np.asarray(parts["branch"](STEPS + 3.0))[None],
    }


def throw_away_calls(k):
    """A layer that is called three times, of which the second call is used."""
    dense = k.layers.Dense(4, name="dense")

    def run(x):
        dense(x + 1.0)
        y = dense(x)
        dense(x + 2.0)
        return y

    return wrap(k, run, dense), {
        f"probe/dense@{n}": lambda add=add: dense(STEPS + add)
        for n, add in enumerate((1.0, 0.0, 2.0))
    }


@KERASES
@pytest.mark.parametrize(
    "make", [throw_away, use_one_output, throw_away_in_functions, throw_away_calls]
)
def test_a_call_whose_result_is_thrown_away_is_fetched_like_others(k, make):
    model, expected = make(k)
    model(STEPS)
    computed = kprobe.function(model, list(expected), exact=True)(STEPS)
    for address, compute in expected.items():
        np.testing.assert_allclose(
            computed[address], compute(), rtol=1e-5, atol=1e-6, err_msg=address
        )


@KERASES
def test_what_is_thrown_away_is_among_all(k):
    model, _ = throw_away(k)
    every = kprobe.function(model, "**").addresses
    assert list(every) == ["seq", "probe", "probe/unused", "probe/used"]
    model, expected = use_one_output(k)
    received = kprobe.activations(model, None, STEPS)
    assert {*expected, "inner[used]", "inner/used_last", "last"} == set(received)


@KERASES
def test_layers_that_are_called_for_a_mask_alone_are_not_counted(k):
    inner = k.Sequential([k.layers.Input((4,)), k.layers.Dense(3, name="dense")], name="inner")
    i = k.Input((7, 4), name="seq")
    model = k.Model(i, k.layers.TimeDistributed(inner, name="td")(k.layers.Masking()(i)))
    found = [call.address for call in open_trace(model).calls if "dense" in call.address]
    assert found == (
        ["td/inner/dense"] if k is tf_keras else [f"td/inner@{n}/dense" for n in range(7)]
    )


@KERASES
def test_a_cell_that_is_called_for_its_shape_alone_is_not_counted(k):
    class Cell(k.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.state_size = self.output_size = 4
            self.dense = k.layers.Dense(4, name="dense")

        def build(self, shape):
            self.dense.build((None, 4))
            self.built = True

        def call(self, x, states):
            y = self.dense(x) + states[0]
            return y, [y]

    i = k.Input((6,), dtype="int32", name="tokens")
    x = k.layers.Embedding(10, 4, mask_zero=True, name="emb")(i)
    model = k.Model(i, k.layers.RNN(Cell(name="cell"), name="rnn")(x))
    traced = open_trace(model)
    inside = [call.address for call in traced.calls if "cell" in call.address]
    assert inside == ["rnn/cell", "rnn/cell/dense"]
    assert {call.address for call in traced.dropped} <= set(inside)
    kernel, bias = model.get_layer("rnn").get_weights()
    expected = model.get_layer("emb").get_weights()[0][TOKENS] @ kernel + bias
    value = fetch(model, "rnn/cell/dense", TOKENS)
    np.testing.assert_allclose(value, np.moveaxis(expected, 1, 0), rtol=1e-5, atol=1e-6)


@KERASES
def test_a_layer_whose_part_is_used_is_kept_though_its_own_result_is_not(k):
    dense = k.layers.Dense(4, name="dense")
    kept = []

    class Outer(k.layers.Layer):
        def call(self, x):
            kept[:] = [dense(x)]
            return x * 2.0

    outer = Outer(name="outer")

    def run(x):
        outer(x)
        return kept.pop()

    model = wrap(k, run, outer, dense)
    np.testing.assert_allclose(
        fetch(model, "probe/outer/dense"), dense(STEPS), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(fetch(model, "probe/outer"), STEPS * 2)


@KERASES
def test_a_layer_that_gives_no_tensor_is_answered_so(k):
    class Note(k.layers.Layer):
        def call(self, x):
            return None

    note = Note(name="note")

    def run(x):
        note(x)
        return x * 2.0

    assert refuse(wrap(k, run, note), "note").faults == ("'probe/note' gives no tensor",)


@KERASES
def test_a_layer_in_a_graph_that_runs_twice_is_answered_so(k):
    dense = k.layers.Dense(4, name="dense")

    def run(x):
        step = tf.function(lambda y: dense(y)).get_concrete_function(x)
        return step(x) + step(x + 1.0)

    assert refuse(wrap(k, run, dense), "dense").faults == (f"'probe/dense' {SEVERAL}",)


@KERASES
def test_a_layer_in_the_condition_of_a_loop_is_answered_so(k):
    dense = k.layers.Dense(4, name="dense")

    def run(x):
        return tf.while_loop(lambda y: tf.reduce_mean(dense(y)) > 1e9, lambda y: [y + 1.0], [x])[0]

    reason = "is called in the condition of a loop, whose tensors can't be fetched"
    assert refuse(wrap(k, run, dense), "dense").faults == (f"'probe/dense' {reason}",)


def vectorize(k):
    """Ways to call a layer and `square` for each row, by name: a function, and the layer."""
    dense = k.layers.Dense(4, name="dense")

    def plain(row):
        return tf.square(dense(row), name="square")

    function = tf.function(plain)

    def looped(row):
        return tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, plain(y)), (0, row))[1]

    def mapped(row):
        return tf.vectorized_map(lambda step: plain(step[None])[0], row)

    compiled = tf.function(lambda x: tf.vectorized_map(plain, x), jit_compile=True)
    return dense, {
        "plain": lambda x: tf.vectorized_map(plain, x),
        "of a function": lambda x: tf.vectorized_map(function, x),
        "in a function": tf.function(lambda x: tf.vectorized_map(function, x)),
        "compiled": compiled,
        "of a loop": lambda x: tf.vectorized_map(looped, x),
        "in a loop": lambda x: tf.while_loop(
            lambda i, _: i < 1, lambda i, y: (i + 1, tf.vectorized_map(plain, y)), (0, x)
        )[1],
        "twice": lambda x: tf.vectorized_map(mapped, x),
    }


WAYS = ["plain", "of a function", "in a function", "compiled", "of a loop", "in a loop", "twice"]


@KERASES
@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_one_row_of_vectorized_map_can_be_fetched(k, way):
    dense, ways = vectorize(k)
    model = wrap(k, ways[way], dense)
    model(STEPS)
    traced = open_trace(model)
    errors = {"of a function": refuse(model, "probe/dense")}
    for address in ("probe/dense", "dense", "dense:in", "dense//*", "probe/d*", "type:Dense"):
        errors[address] = refuse_in(traced, address)
    for address, error in errors.items():
        assert (error.faults, error.hint) == ((f"'probe/dense' {VECTORIZED}",), HINT), address
    made = [op.name for op in traced.graph.get_operations() if op.name.endswith("loop_body/square")]
    for name in made:
        assert refuse_in(traced, f"//{name}:0").faults == (f"//{name} {VECTORIZED}",)
    listed = [fetch.address for fetch in find_fetches(traced, ["//*", "probe//*"])]
    found = [match.address for match in search_upstream(traced, "")]
    for address in (*listed, *found):
        # What doesn't depend on the row is computed once for all, and stays as it is.
        name = address.rpartition("loop_body")[2]
        assert "quare" not in name or "pfor" in name, address
        assert "MatMul" not in name or "pfor" in name or "ReadVariableOp" in name, address


@KERASES
@pytest.mark.parametrize("way", ["plain", "of a function", "in a function"])
def test_the_vectorised_operations_have_all_rows(k, way):
    dense, ways = vectorize(k)
    model = wrap(k, ways[way], dense)
    expected = np.square(dense(STEPS))
    values = kprobe.function(model, "probe//*/Square")(STEPS)
    assert values
    for value in values.values():
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


@KERASES
def test_an_operation_of_one_row_is_answered_with_what_can_be_had(k):
    dense, ways = vectorize(k)
    model = wrap(k, ways["plain"], dense)
    for address in ("probe//loop_body/square", "probe//*body/square"):
        error = refuse(model, address)
        assert error.faults == (f"probe//loop_body/square {VECTORIZED}",)
        assert error.hint == HINT
    assert refuse(
        wrap(k, lambda x: (tf.square(x, name="dead"), x + 1.0)[1]), "probe//dead"
    ).faults == (f"probe//dead {UNUSED}",)


@KERASES
def test_what_vectorized_map_cannot_vectorise_is_reached_in_its_loop(k):
    def row(values):
        firsts = tf.unique(tf.round(values[0]), name="firsts").y
        return tf.reduce_sum(firsts) + tf.zeros_like(values)

    model = wrap(
        k,
        lambda x: tf.vectorized_map(row, x),
    )
    data = np.tile(np.array([1.0, 2.0, 1.0, 2.0], "float32"), (3, 7, 1)) + np.arange(3)[
        :, None, None
    ].astype("float32")
    value = fetch(model, "probe//*while/Unique:0", data)
    np.testing.assert_array_equal(value, [[1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])


@KERASES
def test_a_layer_that_no_row_goes_into_is_computed_once_for_all(k):
    dense = k.layers.Dense(4, name="dense")
    ones = np.ones((1, 4), "float32")

    class Both(k.layers.Layer):
        def call(self, one, other):
            return one * 2.0, other * 2.0

    both = Both(name="both")

    def run(x):
        def row(values):
            mine, shared = both(values, dense(ones))
            return mine + shared

        return tf.vectorized_map(row, x)

    model = wrap(k, run, dense, both)
    expected = np.asarray(dense(ones))
    computed = kprobe.function(model, "probe/dense,probe/both", exact=True)()
    assert list(computed) == ["probe/dense", "probe/both[1]"]
    np.testing.assert_allclose(computed["probe/dense"], expected, rtol=1e-6)
    np.testing.assert_allclose(computed["probe/both[1]"], expected * 2, rtol=1e-6)
    assert refuse(model, "probe/both[0]").faults == (f"'probe/both[0]' {VECTORIZED}",)
    assert refuse(model, "probe/both:in[0]").faults == (f"'probe/both:in[0]' {VECTORIZED}",)
