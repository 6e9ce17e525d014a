"""No offset, size or number of a model of TensorFlow Lite is believed."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tensorflow as tf
from gate.hostile.tflite import CASES, make_model, pack, share_table

from kprobe.gate.converted import flatbuffer
from kprobe.gate.converted.tflite import find_tflite_faults
from kprobe.gate.opened import adopt_file, open_file
from kprobe.gate.rules import Fault


def find(path, allow=()):
    return [*find_tflite_faults(open_file(path), allow)]


def find_in(content):
    descriptor = os.memfd_create("model")
    os.write(descriptor, content)
    return [*find_tflite_faults(adopt_file(descriptor, "model.tflite"))]


def test_tables_that_are_one_are_counted_as_many():
    (fault,) = find_in(share_table(None))
    assert fault.text == "has more than 200,000 tables"


def test_another_identifier_is_told():
    (fault,) = find_in(pack(make_model()).replace(b"TFL3", b"TFL4"))
    assert fault == Fault("tflite-layout", "doesn't begin as a model of TensorFlow Lite")
    assert find_in(b"TFL3")[0] == fault


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_the_plain_model_of_the_collection_is_one_that_runs():
    interpreter = tf.lite.Interpreter(model_content=pack(make_model()))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.ones((1, 3), "f4"))
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(2), np.full((1, 3), 3, "f4"))


def test_what_the_converter_writes_passes():
    @tf.function(input_signature=[tf.TensorSpec([1, 4])])
    def run(x):
        count = tf.while_loop(lambda n: n < 3, lambda n: n + 1, [tf.constant(0)])[0]
        return tf.matmul(x, tf.ones((4, 2))) + tf.cast(count, tf.float32)

    module = tf.Module()
    module.run = run
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [run.get_concrete_function()], module
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    assert find_in(converter.convert()) == []


def test_what_is_allowed_is_left_out_and_nothing_else(tmp_path):
    for name, kind in (("custom-operation", "operations"), ("values-in-other-files", "external")):
        case = next(case for case in CASES if case.name == f"tflite-{name}")
        path = case.make(tmp_path, tmp_path / "marker")
        assert find(path)
        assert find(path, (kind,)) == []
        assert find(path, {"operations", "external"} - {kind}) == find(path)


def test_tables_may_not_share_their_contents_without_end(monkeypatch):
    content = pack(make_model())
    monkeypatch.setattr(flatbuffer, "MAX_TAKEN_BYTES", 100)
    text = "has tables that share their contents too often"
    assert find_in(content) == [Fault("tflite-layout", text)]
