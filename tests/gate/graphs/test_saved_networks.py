"""The Keras model in a SavedModel is held to the same rules, by what its metadata say."""

from __future__ import annotations

import json

import pytest
import tf_keras
from gate.hostile.networks import CASES

from kprobe.gate.graphs.saved_networks import find_saved_network_faults
from kprobe.gate.inspect import inspect
from kprobe.gate.opened_directory import open_directory

OWN = [case for case in CASES if "saved-model" in case.name]


@pytest.mark.parametrize("case", OWN, ids=[case.name for case in OWN])
def test_each_case_breaks_its_rule(case, tmp_path):
    opened = open_directory(case.make(tmp_path, tmp_path / "marker"))
    assert [fault.rule for fault in inspect(opened).faults] == [case.rule]


def test_what_tf_keras_saves_passes(tmp_path):
    layers = tf_keras.layers
    x = tf_keras.Input((4,))
    stack = tf_keras.Sequential([layers.Dense(4), layers.ReLU()])
    a = tf_keras.Input((4,))
    inner = tf_keras.Model(a, layers.Dense(4)(a))
    model = tf_keras.Model(x, stack(inner(stack(inner(x)))))
    model.save(tmp_path / "model", save_format="tf")
    assert inspect(open_directory(tmp_path / "model")).faults == ()


def test_sizes_of_all_objects_count_together():
    layer = {"class_name": "ReLU", "config": {"name": "r", "trainable": True}}
    objects = [("_tf_keras_layer", json.dumps(layer))] * 10_001
    assert [fault.rule for fault in find_saved_network_faults(objects)] == ["network-size"]
    assert [*find_saved_network_faults(objects[:100])] == []
    assert [*find_saved_network_faults([("_tf_keras_layer", ""), ("tf.Module", "}")])] == []
    (fault,) = find_saved_network_faults([("_tf_keras_layer", '{"a": 1, "a": 2}')])
    assert fault.rule == "config-json"
