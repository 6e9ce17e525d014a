"""Every layer's tensor equals what the Keras of the model computes for it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

import kprobe


@pytest.fixture(scope="module")
def pairs(digits):
    return {"left": digits[:8], "right": digits[8:16]}


def called_once(model):
    return [layer.name for layer in model.layers if len(layer._inbound_nodes) == 1]


def test_every_layer_of_a_keras_2_model_equals_k_function(shapes_rpn, shapes):
    names = called_once(shapes_rpn)
    assert len(names) >= 15
    reference = tf_keras.backend.function(
        shapes_rpn.inputs, [shapes_rpn.get_layer(name).output for name in names]
    )([shapes[:4]])
    computed = kprobe.function(shapes_rpn, names, exact=True)(shapes[:4])
    assert list(computed) == names
    for name, expected in zip(names, reference, strict=True):
        np.testing.assert_array_equal(computed[name], expected, err_msg=name)


def test_every_layer_of_a_keras_3_model_equals_keras_function(digits_cnn, digits):
    names = called_once(digits_cnn)
    assert len(names) >= 8
    reference = keras.Function(
        digits_cnn.inputs, [digits_cnn.get_layer(name).output for name in names]
    )([digits[:4]])
    computed = kprobe.function(digits_cnn, names, exact=True)(digits[:4])
    for name, expected in zip(names, reference, strict=True):
        np.testing.assert_array_equal(computed[name], expected, err_msg=name)


def test_every_top_level_layer_and_operation_of_a_merging_model_is_equal(siamese, pairs):
    # The encoder is called twice; the operations `x + 1` and the like are in no `layers` list.
    nodes = [op for op in siamese.operations if len(op._inbound_nodes) == 1]
    assert any(not isinstance(op, keras.Layer) for op in nodes)
    reference = keras.Function(siamese.inputs, [op.output for op in nodes])(
        [pairs["left"], pairs["right"]]
    )
    computed = kprobe.function(siamese, [op.name for op in nodes], exact=True)(pairs)
    for op, expected in zip(nodes, reference, strict=True):
        np.testing.assert_array_equal(computed[op.name], expected, err_msg=op.name)


@pytest.mark.parametrize(("number", "side"), [(0, "left"), (1, "right")])
def test_each_call_of_a_nested_shared_model_equals_the_model_by_itself(
    siamese, pairs, number, side
):
    encoder = siamese.get_layer("encoder")
    inner = [layer.name for layer in encoder.layers]
    reference = keras.Function(encoder.inputs, [encoder.get_layer(name).output for name in inner])(
        [pairs[side]]
    )
    computed = kprobe.function(siamese, f"encoder@{number}/*", exact=True)(pairs)
    assert list(computed) == [f"encoder@{number}/{name}" for name in inner]
    for name, expected in zip(inner, reference, strict=True):
        np.testing.assert_array_equal(computed[f"encoder@{number}/{name}"], expected)


def test_a_layers_input_is_the_output_of_the_layer_before(shapes_rpn, shapes):
    computed = kprobe.function(shapes_rpn, ["conv1_2:in", "conv1_1"])(shapes[:2])
    np.testing.assert_array_equal(computed["conv1_2:in"], computed["conv1_1"])


def test_a_merge_has_an_input_for_each_branch(siamese, pairs):
    computed = kprobe.function(siamese, "difference:in,encoder@0,encoder@1")(pairs)
    np.testing.assert_array_equal(computed["difference:in[0]"], computed["encoder@0"])
    np.testing.assert_array_equal(computed["difference:in[1]"], computed["encoder@1"])


def test_a_feed_takes_the_place_of_what_is_upstream(shapes_rpn, shapes):
    whole = kprobe.function(shapes_rpn, "conv4_1,rpn_class")(shapes[:4])
    tail = kprobe.function(shapes_rpn, "rpn_class,conv4_1", feeds="conv4_1")
    assert tail.feeds == ["conv4_1"]
    computed = tail(whole["conv4_1"])
    np.testing.assert_array_equal(computed["rpn_class"], whole["rpn_class"])
    np.testing.assert_array_equal(computed["conv4_1"], whole["conv4_1"])


def test_only_the_inputs_that_the_layers_need_are_asked_for(siamese, pairs):
    function = kprobe.function(siamese, "encoder@1/conv1")
    assert function.feeds == ["right"]
    assert function(pairs["right"])["encoder@1/conv1"].shape == (8, 8, 8, 16)


def test_the_model_is_left_as_it_was(siamese, pairs):
    before = {layer: dict(vars(layer)) for layer in siamese._flatten_layers()}
    call = keras.Operation.__call__, tf_keras.layers.Layer.__call__
    expected = siamese.predict_on_batch([pairs["left"], pairs["right"]])
    kprobe.function(siamese, "encoder@1/conv1")
    assert (keras.Operation.__call__, tf_keras.layers.Layer.__call__) == call
    for layer, attributes in before.items():
        assert set(vars(layer)) <= set(attributes) | {"_called"}, layer.name
    assert siamese.losses == []
    np.testing.assert_array_equal(
        siamese.predict_on_batch([pairs["left"], pairs["right"]]), expected
    )


WRONG = [
    (
        (),
        {},
        "expected an array for every input that these layers need, received none for "
        "image (None, 64, 64, 3) float32",
    ),
    ((np.zeros((2, 64, 64, 3)),) * 2, {}, "expected an array for image, received 2 arrays"),
    ((), {"images": np.zeros((2, 64, 64, 3))}, "expected an array for image, received images"),
    (
        (np.zeros((2, 32, 64, 3)),),
        {},
        "image: expected shape (None, 64, 64, 3), received (2, 32, 64, 3)",
    ),
    ((np.full((2, 64, 64, 3), 1j),), {}, "image: expected float32, received complex128"),
]


@pytest.mark.parametrize(("arrays", "named", "fault"), WRONG)
def test_wrong_arguments_are_refused_side_by_side(shapes_rpn, arrays, named, fault):
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.function(shapes_rpn, "conv1_1")(*arrays, **named)
    assert caught.value.faults == (fault,)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_calls_are_numbered_as_the_model_was_put_together(k):
    left, right = k.Input((3,), name="left"), k.Input((3,), name="right")
    shared = k.layers.Dense(2, name="shared")
    a = shared(left)  # needed last, and so run last
    b = k.layers.Dense(2, name="deep")(k.layers.Dense(2, name="deeper")(shared(right)))
    model = k.Model([left, right], k.layers.Add(name="sum")([a, b]))
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    computed = kprobe.function(model, "shared@*")(left=x[0], right=x[1])
    for number, given in enumerate(x):
        expected = np.array(shared(given).numpy())
        np.testing.assert_allclose(computed[f"shared@{number}"], expected, rtol=1e-5, atol=1e-6)
