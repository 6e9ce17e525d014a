"""Detaching: what took a tensor takes what is supplied, and the tensor stays computed."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from kprobe.graphdef.detach import detach


def run(definition, fetches, **given):
    """Run a graph in TensorFlow's own session."""
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        feeds = {f"{name.replace('__', '/')}:0": value for name, value in given.items()}
        return session.run([f"{name}:0" if ":" not in name else name for name in fetches], feeds)


def test_all_that_took_it_takes_the_placeholder_in_functions_too():
    @tf.function
    def made(x):
        halves = tf.split(tf.identity(x, name="x_given"), 2, name="halves")
        looped = tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y + halves[1]), (0, x[:2]))
        return tf.add(halves[1], looped[1], name="sum"), tf.negative(halves[0], name="negative")

    concrete = made.get_concrete_function(tf.TensorSpec([4], tf.float32))
    graph = concrete.graph
    tensors = {"halves:1": graph.get_tensor_by_name("halves:1")}
    definition = graph.as_graph_def()
    placeholders = detach(definition, tensors)
    x, fed = np.arange(4, dtype="float32"), np.full(2, 10, "float32")
    total, negative, own = run(definition, ["sum", "negative", "halves:1"], x=x, fed__halves_1=fed)
    assert placeholders == {"halves:1": "fed/halves_1"}
    np.testing.assert_array_equal(total, fed + x[:2] + 3 * fed)
    np.testing.assert_array_equal(negative, -x[:2])
    np.testing.assert_array_equal(own, x[2:])


def test_nothing_to_detach_changes_nothing():
    with tf.Graph().as_default() as graph:
        tf.constant(1.0) + tf.constant(2.0)
    definition = graph.as_graph_def()
    assert detach(definition, {}) == {}
    assert definition == graph.as_graph_def()
