"""Functions in GraphDefs: the ways to them, and values passed into copies of them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kprobe.graphdef.functions import (
    CALLS,
    LOOPS,
    Body,
    Entry,
    Functions,
    add_result,
    find_ways,
    functions_of,
    nodes_run,
    passed_on,
    run_by,
)

FLOAT = tf.TensorSpec([], tf.float32)
ADDED = 5.0


@tf.function(input_signature=[FLOAT], autograph=False)
def double(x):
    return x * 2


@tf.function(input_signature=[FLOAT], autograph=False)
def call_twice(x):
    return double(x) + double(x + 1)


@tf.function(input_signature=[FLOAT], autograph=False)
def call_once(x):
    return double(x)


@tf.function(input_signature=[FLOAT], autograph=False)
def choose(x):
    return tf.cond(x > 0, lambda: double(x), lambda: x - 1)


@tf.function(input_signature=[FLOAT], autograph=False)
def repeat(x):
    return tf.while_loop(lambda n, _: n < 3, lambda n, y: (n + 1, y + 1), (0, x))[1]


def take(function):
    """Give the graph of a function, the edge of its input and that of its result."""
    graph = function.get_concrete_function().graph
    return graph.as_graph_def(), graph.inputs[0].name, graph.outputs[0].name


def find(definition, types):
    return [node for node in definition.node if node.op in types]


def run(definition, given, wanted):
    """Run a graph on values by edge."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(definition, name="")
        return session.run(wanted, given)


def add_constant(definition):
    return Body(definition).add_constant(ADDED, tf.float32)


def add_to_results(_attr, _name, body, arguments):
    """Let a function add what it is passed to its first result."""
    (result, edge), *_ = body.owner.ret.items()
    body.owner.ret[result] = body.add("AddV2", [edge, arguments[0]], "z", T=tf.float32)


def test_a_function_called_once_has_a_way_and_one_called_twice_has_none():
    definition, *_ = take(call_once)
    (call,) = find(definition, CALLS)
    (name,) = run_by(call)
    skipped = {name: (), "": ()}
    assert find_ways(definition, skipped) == {name: (Entry(call.name, name),)}
    definition, *_ = take(call_twice)
    first, second = find(definition, CALLS)
    (name,) = run_by(first)
    assert find_ways(definition, {name: (), "": ()}) == {name: None}
    # A node that doesn't count leaves one.
    skipped = {name: (), "": {second.name}}
    assert find_ways(definition, skipped) == {name: (Entry(first.name, name),)}


def test_all_nodes_are_given_once_however_often_their_function_is_called():
    definition, *_ = take(call_twice)
    names = [node.op for node in nodes_run(definition)]
    assert names.count("Mul") == 1
    assert sum(op in CALLS for op in names) == 2


def test_one_call_of_a_function_is_changed_and_the_other_stays_as_it_is():
    definition, x, y = take(call_twice)
    first = find(definition, CALLS)[0]
    before = {function.signature.name for function in definition.library.function}
    constant = add_constant(definition)
    Functions(definition).pass_on(first, [(constant, tf.float32)], add_to_results)
    assert run(definition, {x: 3.0}, y) == 3 * 2 + ADDED + 4 * 2
    # The old one is still there, beside its copy.
    after = {function.signature.name for function in definition.library.function}
    assert before < after
    assert len(after) == len(before) + 1


def test_a_function_that_is_changed_twice_is_told_by_its_first_name():
    definition, x, y = take(call_once)
    (call,) = find(definition, CALLS)
    (name,) = run_by(call)
    constant = add_constant(definition)
    told = []

    def change(attr, original, body, arguments):
        told.append((attr, original))
        add_to_results(attr, original, body, arguments)

    for _ in range(2):
        Functions(definition).pass_on(call, [(constant, tf.float32)], change)
    assert told == [("f", name)] * 2
    assert run(definition, {x: 3.0}, y) == 3 * 2 + 2 * ADDED


@pytest.mark.parametrize("value", [3.0, -3.0])
def test_both_branches_take_what_is_passed_and_what_chooses_isnt_passed(value):
    definition, x, y = take(choose)
    (node,) = find(definition, {"If", "StatelessIf"})
    assert node.input[0] not in passed_on(node)
    constant = add_constant(definition)
    Functions(definition).pass_on(node, [(constant, tf.float32)], add_to_results)
    expected = value * 2 if value > 0 else value - 1
    assert run(definition, {x: value}, y) == expected + ADDED


def test_a_branch_gives_one_more_result():
    definition, x, _ = take(choose)
    (node,) = find(definition, {"If", "StatelessIf"})
    constant = add_constant(definition)
    add_result(node, tf.float32)

    def change(_attr, _name, body, arguments):
        body.add_result(arguments[0], tf.float32)

    Functions(definition).pass_on(node, [(constant, tf.float32)], change)
    last = len(node.attr["Tout"].list.type) - 1
    assert run(definition, {x: 1.0}, f"{node.name}:{last}") == ADDED


def test_a_loop_hands_what_is_passed_from_one_iteration_to_the_next():
    definition, x, y = take(repeat)
    (node,) = find(definition, LOOPS)
    constant = add_constant(definition)

    def change(attr, _name, body, arguments):
        if attr == "body":
            one = body.add_constant(1.0, tf.float32)
            after = body.add("AddV2", [arguments[0], one], "z", T=tf.float32)
            body.add_result(after, tf.float32)

    Functions(definition).pass_on(node, [(constant, tf.float32)], change)
    assert [attr for attr, _ in functions_of(node)] == ["body", "cond"]
    last = len(node.attr["T"].list.type) - 1
    np.testing.assert_array_equal(
        run(definition, {x: 2.0}, [y, f"{node.name}:{last}"]), [2 + 3, ADDED + 3]
    )
