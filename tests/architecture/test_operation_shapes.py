"""Functions of TensorFlow in files of Keras 2 get the shapes that Keras computed for them."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tf_keras
from tf_keras import Input, Model, layers

from kprobe.architecture.operation_shapes import broadcast, infer_operation
from kprobe.models.file import read_model_file
from kprobe.models.listing import list_layers


def build_preprocessing():
    """As the families of keras.applications begin: what follows has a shape, too."""
    x = Input((32, 32, 3), name="x")
    scaled = tf.nn.bias_add(x[..., ::-1], [-103.9, -116.8, -123.7])
    other = x / 127.5 - 1.0
    y = layers.Conv2D(4, 3, name="conv")(layers.Add()([scaled, other]))
    return Model(x, layers.GlobalAveragePooling2D(name="pool")(y))


def build_arithmetic():
    x, y = Input((8, 6, 3), name="x"), Input((8, 6, 3), name="y")
    row = Input((1, 1, 3), name="row")
    a = 1 - x / 255.0
    b = tf.nn.relu(a + y) * [1.0, 2.0, 3.0]
    corner = [[[1.0], [2.0]], [[1.0], [2.0]]]
    c = corner + tf.cast(b[:, :2, 1:3], "float32")
    return Model([x, y, row], [tf.maximum(b, x), c, tf.pow(b, 2), b > 0.5, b * row])


def build_shapes():
    x = Input((8, 6, 3), name="x")
    free = Input((None, 5), name="free")
    parts = [x[:, 0], x[:, -1:], x[:, ::2], x[:, 1:5, ..., 0], x[:, tf.newaxis], x[..., None]]
    parts += [tf.reduce_mean(x, axis=[1, 2]), tf.reduce_max(x, -1, keepdims=True)]
    parts += [tf.concat([x, x], axis=-1), tf.concat([x, x, x], 1), tf.expand_dims(x, 1)]
    parts += [tf.expand_dims(x, -1), free * 2.0, free[:, ::-1], tf.reduce_sum(free, 1)]
    return Model([x, free], [*parts, tf.concat([free, free], 1)])


BUILDERS = [build_preprocessing, build_arithmetic, build_shapes]


@pytest.mark.parametrize("build", BUILDERS)
def test_shapes_in_a_file_are_those_of_the_model(build, tmp_path):
    model = build()
    model.save(tmp_path / "a.h5")
    calls = list_layers(read_model_file(tmp_path / "a.h5"))
    assert [call.address for call in calls] == [layer.name for layer in model.layers]
    expected = [tuple(layer.output.shape) for layer in model.layers]
    assert [call.output_shape for call in calls] == expected


def test_calls_of_nested_models_are_found_whatever_they_are_counted_from(tmp_path):
    x, y = Input((4,), name="x"), Input((4,), name="y")
    inner = tf_keras.Sequential([layers.Dense(3, name="inside")], name="inner")
    both = [inner(x), inner(y)]
    made = layers.Add(name="sum")([layers.Dense(2, name="left")(both[0]), layers.Dense(2)(both[1])])
    Model([x, y], made).save(tmp_path / "a.h5")
    calls = {call.address: call for call in list_layers(read_model_file(tmp_path / "a.h5"))}
    assert calls["sum"].output_shape == calls["left"].output_shape == (None, 2)
    assert calls["inner@1"].output_shape == (None, 3)


@pytest.mark.parametrize(
    ("shapes", "made"),
    [
        ([(None, 4), (None, 4)], (None, 4)),
        ([(None, 4), ()], (None, 4)),
        ([(None, 1, 4), (3, 1)], (None, 3, 4)),
        ([(None, 4), (None, 3)], None),
        ([(None, None), (None, 3)], None),
        ([(None, 4), None], None),
    ],
)
def test_only_what_is_certain_is_broadcast(shapes, made):
    assert broadcast(shapes) == made


@pytest.mark.parametrize(
    ("function", "node", "inputs"),
    [
        ("math.unheard_of", ["x", 0, 0, {}], [(None, 4)]),
        ("nn.relu", ["x", 0, 0, {}], [None]),
        ("concat", [["x", 0, 0, {"axis": 1}], ["y", 0, 0, {}]], [(None, 4, 1), (None, 4, 2)]),
        ("__operators__.getitem", ["x", 0, 0, {"slice_spec": [{"start": 1}]}], [(None, 4)]),
        ("__operators__.getitem", ["x", 0, 0, {"slice_spec": [0, 0, 0]}], [(None, 4)]),
        ("math.reduce_sum", ["x", 0, 0, {"axis": "all"}], [(None, 4)]),
        ("math.add", ["x", 0, 0, {"y": "text"}], [(None, 4)]),
        ("math.add", [], [(None, 4)]),
    ],
)
def test_what_is_not_certain_is_not_told(function, node, inputs):
    assert infer_operation({"function": function}, node, inputs) is None
