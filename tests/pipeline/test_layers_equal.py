"""Every layer in a dump equals what Keras itself computes for it, exact, traced or frozen."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe

# Enough for the sub-graph to be frozen, and the last batch isn't full.
ROWS = 270
BATCH = 32


def called_once(model):
    nodes = model.operations if hasattr(model, "operations") else model.layers
    return [node.name for node in nodes if len(node._inbound_nodes) == 1]


def find_output(model, name):
    if hasattr(model, "operations"):
        return next(node for node in model.operations if node.name == name).output
    return model.get_layer(name).output


@pytest.fixture(scope="module", params=["shapes_rpn.h5", "digits_cnn.keras", "siamese.keras"])
def case(request, samples, shapes_rpn, digits_cnn, siamese, shapes, digits):
    """A sample model's file, its samples, and what Keras gives for them, by layer."""
    path = samples / request.param
    model, function, inputs = {
        "shapes_rpn.h5": (
            shapes_rpn,
            tf_keras.backend.function,
            {"image": np.resize(shapes, (ROWS, *shapes.shape[1:]))},
        ),
        "digits_cnn.keras": (digits_cnn, keras.Function, {"scan": digits[:ROWS]}),
        "siamese.keras": (
            siamese,
            keras.Function,
            {"left": digits[:ROWS], "right": digits[-ROWS:]},
        ),
    }[request.param]
    names = called_once(model)
    compute = function(model.inputs, [find_output(model, name) for name in names])
    parts = [
        compute([array[start : start + BATCH] for array in inputs.values()])
        for start in range(0, ROWS, BATCH)
    ]
    arrays = [
        np.concatenate([np.asarray(x) for x in column]) for column in zip(*parts, strict=True)
    ]
    return path, inputs, dict(zip(names, arrays, strict=True))


def dump_all(case, path, **options):
    model, inputs, reference = case
    kprobe.dump(model, list(reference), inputs=inputs, output=path, batch_size=BATCH, **options)
    return kprobe.open_dump(path)


def test_exact_layers_are_those_of_keras_bit_for_bit(case, tmp_path):
    with dump_all(case, tmp_path / "a.h5", exact=True) as dump:
        assert not dump.attrs["frozen"]
        for name, expected in case[2].items():
            np.testing.assert_array_equal(dump[name], expected, err_msg=name)


@pytest.mark.parametrize("rows", [40, ROWS], ids=["traced", "frozen"])
def test_layers_are_those_of_keras_to_the_fifth_digit(case, tmp_path, rows):
    with dump_all(case, tmp_path / "a.h5", limit=rows) as dump:
        assert dump.attrs["frozen"] == (rows == ROWS)
        for name, expected in case[2].items():
            wrong = np.abs(dump[name] - expected[:rows]).max()
            assert wrong <= 1e-5 * np.abs(expected).max(), name


def rebuild_encoder(model):
    """The encoder of siamese.keras, built anew; only the weights are taken from the model."""
    layers = keras.layers
    encoder = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dense(32, name="embedding"),
        ]
    )
    for layer in encoder.layers:
        layer.set_weights(model.get_layer("encoder").get_layer(layer.name).get_weights())
    return encoder


def test_nested_and_shared_layers_equal_a_reference_built_by_itself(
    samples, siamese, digits, tmp_path
):
    inputs = {"left": digits[:ROWS], "right": digits[-ROWS:]}
    encoder = rebuild_encoder(siamese)
    expected = {}
    for number, scans in enumerate(inputs.values()):
        tensor = scans
        for layer in encoder.layers:
            tensor = layer(tensor)
            expected[f"encoder@{number}/{layer.name}"] = np.asarray(tensor)
        expected[f"encoder@{number}"] = np.asarray(tensor)
    expected["difference"] = expected["encoder@0"] - expected["encoder@1"]
    expected["absolute"] = np.abs(expected["difference"])
    expected["add"] = expected["absolute"] + 1
    expected["true_divide"] = 1 / expected["add"]
    weights, bias = siamese.get_layer("same").get_weights()
    expected["same"] = 1 / (1 + np.exp(-(expected["true_divide"] @ weights + bias)))
    output = tmp_path / "a.h5"
    kprobe.dump(samples / "siamese.keras", None, inputs=inputs, output=output)
    with kprobe.open_dump(output) as dump:
        assert set(dump) == set(expected)
        for name, values in expected.items():
            wrong = np.abs(dump[name] - values).max()
            assert wrong <= 1e-5 * np.abs(values).max(), name
