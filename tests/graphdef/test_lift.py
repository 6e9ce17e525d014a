"""Tensors in loops, branches and functions, lifted out of them: against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kprobe.graphdef.functions import by_name, find_ways
from kprobe.graphdef.lift import find_lifted, lift

FLOATS = tf.TensorSpec([None], tf.float32)
ROW = np.array([1.0, -2.0, 3.0], "float32")


def trace(build):
    """Trace `build(x, keep)`, which hands each tensor that is to be lifted to `keep`."""
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    function = tf.function(lambda x: build(x, keep), input_signature=[FLOATS], autograph=False)
    graph = function.get_concrete_function().graph
    return graph.as_graph_def(), graph.inputs[0].name, graph.outputs[0].name, kept


def find_way(definition, tensor):
    """Give the way to the one function that has a node of the tensor's name."""
    library = by_name(definition)
    ways = find_ways(definition, dict.fromkeys(["", *library], ()))
    having = [
        name
        for name, function in library.items()
        if name in ways and tensor.op.name in {node.name for node in function.node_def}
    ]
    (name,) = having
    return ways[name]


def run(build, value=ROW):
    """Give the result, before lifting and after it, and what was lifted."""
    definition, x, y, kept = trace(build)
    before = evaluate(definition, {x: value}, [y])
    # Before anything is changed, since what is changed has another name.
    ways = [find_way(definition, tensor) for tensor in kept]
    edges = [
        lift(definition, way, tensor, number)
        for number, (way, tensor) in enumerate(zip(ways, kept, strict=True))
    ]
    wanted = [edge if ":" in edge else f"{edge}:0" for edge in edges]
    after, *lifted = evaluate(definition, {x: value}, [y, *wanted])
    np.testing.assert_array_equal(after, before[0])
    return lifted


def evaluate(definition, given, wanted):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        return session.run(wanted, given)


def repeat(count, body, x):
    return tf.while_loop(lambda n, _: n < count, lambda n, y: (n + 1, body(y)), (0, x))[1]


def test_what_is_in_a_function_is_lifted_as_it_is():
    def build(x, keep):
        inner = tf.function(lambda v: keep(tf.square(v, name="kept")) + 1.0, autograph=False)
        return inner(x) * 2.0

    (lifted,) = run(build)
    np.testing.assert_array_equal(lifted, ROW**2)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_iterations_of_a_loop_are_stacked(count):
    (lifted,) = run(lambda x, keep: repeat(count, lambda y: keep(tf.add(y, 2.0, "kept")), x))
    assert lifted.shape[0] == count
    np.testing.assert_array_equal(
        lifted, np.array([ROW + 2 * n for n in range(1, count + 1)], "f4").reshape(lifted.shape)
    )


def test_loops_in_loops_have_an_axis_each():
    def build(x, keep):
        inside = lambda y: keep(tf.add(y, 1.0, "kept"))  # noqa: E731
        return repeat(2, lambda y: repeat(3, inside, y), x)

    (lifted,) = run(build)
    steps = np.arange(1, 7, dtype="float32").reshape(2, 3, 1)
    np.testing.assert_array_equal(lifted, ROW + steps)


@pytest.mark.parametrize("value", [ROW, -ROW])
def test_a_branch_has_a_row_if_it_was_taken(value):
    def build(x, keep):
        return tf.cond(
            tf.reduce_sum(x) > 0,
            lambda: keep(tf.multiply(x, 3.0, "kept_then")),
            lambda: keep(tf.subtract(x, 1.0, "kept_else")),
        )

    then, other = run(build, value)
    if value.sum() > 0:
        np.testing.assert_array_equal(then, [value * 3])
        assert len(other) == 0
    else:
        np.testing.assert_array_equal(other, [value - 1])
        assert len(then) == 0


def test_a_branch_in_a_loop_has_the_iterations_that_took_it():
    def build(x, keep):
        def step(n, y):
            even = tf.equal(n % 2, 0)
            taken = tf.cond(even, lambda: keep(tf.add(y, 1.0, "kept")), lambda: y * 2.0)
            return n + 1, taken

        return tf.while_loop(lambda n, _: n < 5, step, (0, x))[1]

    (lifted,) = run(build)
    expected, y = [], ROW
    for n in range(5):
        y = y + 1 if n % 2 == 0 else y * 2
        expected += [y] if n % 2 == 0 else []
    np.testing.assert_array_equal(np.asarray(lifted).reshape(3, 3), expected)


def test_several_tensors_of_one_body_are_lifted_together():
    def build(x, keep):
        def body(y):
            return keep(tf.square(keep(tf.add(y, 1.0, "kept_sum")), "kept_square")) / 4.0

        return repeat(2, body, x)

    sums, squares = run(build)
    np.testing.assert_array_equal(sums[0], ROW + 1)
    np.testing.assert_array_equal(squares, sums**2)
    np.testing.assert_array_equal(sums[1], (ROW + 1) ** 2 / 4 + 1)


def test_iterations_of_several_shapes_are_an_error_that_tells_the_tensor():
    def build(x, keep):
        loop = tf.while_loop(
            lambda n, _: n < 3,
            lambda n, y: (n + 1, keep(tf.concat([y, y[:1]], 0, "kept"))),
            (0, x),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])),
        )
        return loop[1]

    with pytest.raises(tf.errors.OpError) as caught:
        run(build)
    assert find_lifted(str(caught.value)) == 0
    assert find_lifted("node other/TensorListStack: no") is None
    assert find_lifted("node call/lifted/12/TensorListStack: no") == 12
