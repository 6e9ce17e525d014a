"""What a search upstream finds, and in which order."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
import tf_keras

from kprobe.errors import AddressError
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace
from kprobe.trace.search import search_upstream


def open_trace(model):
    return trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))


@pytest.fixture(scope="module")
def rpn(shapes_rpn):
    return open_trace(shapes_rpn)


def test_matches_come_nearest_first_with_addresses_that_can_be_fetched(rpn):
    found = search_upstream(rpn, "Conv2D$", start="conv3_3")
    assert [match.address for match in found[:3]] == [
        "conv3_3//Conv2D",
        "conv3_2//Conv2D",
        "conv3_1//Conv2D",
    ]
    assert [match.hops for match in found] == sorted(match.hops for match in found)
    assert found[0].dtypes == ["float32"]
    assert found[0].shapes == [(None, 16, 16, 24)] or found[0].shapes[0][0] is None


def test_nothing_downstream_is_found(rpn):
    assert search_upstream(rpn, "conv4_1", start="conv3_3") == []
    assert search_upstream(rpn, "conv4_1")


def test_an_ancestor_of_many_is_visited_once(siamese):
    found = search_upstream(open_trace(siamese), "^Conv2D$")
    addresses = [match.address for match in found]
    assert len(addresses) == len(set(addresses)) == 4


def test_depth_is_the_number_of_hops(rpn):
    every = search_upstream(rpn, "", start="conv3_3")
    near = search_upstream(rpn, "", start="conv3_3", depth=3)
    assert near == [match for match in every if match.hops <= 3]
    assert max(match.hops for match in every) > 20


def test_loops_are_searched():
    class Probe(keras.layers.Layer):
        def call(self, x):
            return tf.map_fn(lambda row: tf.square(row, name="deep"), x)

    i = keras.Input((4,))
    found = search_upstream(open_trace(keras.Model(i, Probe(name="probe")(i))), "deep$")
    assert [match.address for match in found] == ["probe//map/while/deep"]


def test_a_weight_has_no_upstream(rpn):
    with pytest.raises(AddressError, match="conv1_1:kernel is a weight, and nothing is upstream"):
        search_upstream(rpn, "", start="conv1_1:kernel")


def test_what_isnt_a_regex_is_refused(rpn):
    with pytest.raises(AddressError, match="is not a regular expression"):
        search_upstream(rpn, "(")


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("start", ["lstm//*Sigmoid_1", "lstm//*/MatMul_1"])
def test_a_search_that_begins_in_a_loop_goes_on_outside(k, start):
    i = k.Input((7, 4), name="seq")
    before = k.layers.Dense(3, activation="relu", name="before")(i)
    model = k.Model(i, k.layers.LSTM(5, name="lstm")(before))
    found = search_upstream(open_trace(model), "Relu$", start=start)
    assert [match.address for match in found] == ["before//Relu"]


def test_a_search_can_begin_at_a_cell():
    i = keras.Input((7, 4), name="seq")
    before = keras.layers.Dense(3, activation="relu", name="before")(i)
    model = keras.Model(i, keras.layers.LSTM(5, name="lstm")(before))
    trace = open_trace(model)
    found = search_upstream(trace, "Relu$", start="lstm/lstm_cell[0]")
    assert [match.address for match in found] == ["before//Relu"]
    assert search_upstream(trace, "Sigmoid", start="lstm/lstm_cell[0]")
