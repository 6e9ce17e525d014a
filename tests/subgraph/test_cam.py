"""Class activation maps are those of their papers, computed by a tape, or by numpy."""

from __future__ import annotations

import json
import shutil

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

L = keras.layers
IMAGES = np.random.default_rng(0).normal(size=(4, 12, 12, 3)).astype("float32")


def make(k, data_format="channels_last"):
    """A backbone in a model, with two convolutions, and a head that pools."""
    k.utils.set_random_seed(1)
    shape = (12, 12, 3) if data_format == "channels_last" else (3, 12, 12)
    i = k.Input(shape, name="i")
    options = {"activation": "relu", "data_format": data_format}
    first = k.layers.Conv2D(4, 3, name="first", **options)(i)
    last = k.layers.Conv2D(6, 3, name="last", **options)(first)
    backbone = k.Model(i, last, name="backbone")
    x = k.Input(shape, name="x")
    pooled = k.layers.GlobalAveragePooling2D(data_format=data_format, name="pooled")(backbone(x))
    dropped = k.layers.Dropout(0.5, name="drop")(pooled)
    made = k.layers.Dense(
        5, activation="softmax", bias_initializer="random_normal", name="predictions"
    )(dropped)
    return k.Model(x, made)


@pytest.fixture(scope="module", params=[keras, tf_keras], ids=["keras", "tf_keras"])
def model(request):
    return make(request.param)


def refer(model, layer="last", unit=None, images=IMAGES, *, softmax=False):
    """Activations, gradients of the score before the softmax, units and probabilities."""
    backbone, head = model.get_layer("backbone"), model.get_layer("predictions")
    with tf.GradientTape(persistent=True) as tape:
        value = tf.constant(images)
        for name in ("first", "last"):
            value = backbone.get_layer(name)(value)
            if name == layer:
                kept = value
                tape.watch(kept)
        pooled = model.get_layer("pooled")(value)
        scores = tf.matmul(pooled, head.kernel) + head.bias
        likely = tf.nn.softmax(scores)
        units = tf.argmax(scores, 1) if unit is None else tf.fill([len(images)], unit)
        chosen = tf.gather(likely if softmax else scores, units, batch_dims=1)
    found = tf.gather(likely, units, batch_dims=1)
    return kept.numpy(), tape.gradient(chosen, kept).numpy(), units.numpy(), found.numpy()


def grad_cam(activations, gradient):
    weights = gradient.mean((1, 2), keepdims=True)
    return np.maximum((activations * weights).sum(-1), 0)


def grad_cam_plus_plus(activations, gradient):
    a, g = activations.astype(float), gradient.astype(float)
    below = 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3
    shares = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
    weights = (shares * np.maximum(g, 0)).sum((1, 2), keepdims=True)
    return np.maximum((a * weights).sum(-1), 0)


def check(found, maps, units, scores):
    assert list(found) == ["cam", "unit", "score"]
    assert maps.max() > 0
    np.testing.assert_allclose(found["cam"], maps, rtol=1e-5, atol=1e-6 * maps.max())
    np.testing.assert_array_equal(found["unit"], units)
    np.testing.assert_allclose(found["score"], scores, rtol=1e-5)


@pytest.mark.parametrize("unit", [None, 3])
@pytest.mark.parametrize(
    ("method", "compute"), [("grad-cam", grad_cam), ("grad-cam++", grad_cam_plus_plus)]
)
def test_maps_of_any_layer_are_those_of_a_tape(model, method, compute, unit):
    for layer in ("last", "first"):
        found = kprobe.cam(model, IMAGES, f"backbone/{layer}", method=method, unit=unit)
        activations, gradient, units, scores = refer(model, layer, unit)
        check(found, compute(activations, gradient), units, scores)


def test_cam_weights_channels_by_the_dense_layer(model):
    found = kprobe.cam(model, IMAGES, method="cam")
    activations, _, units, scores = refer(model)
    kernel = np.asarray(model.get_layer("predictions").kernel)
    check(found, np.einsum("brwc,cb->brw", activations, kernel[:, units]), units, scores)
    summed = kprobe.cam(model, IMAGES, "backbone", method="cam", unit="sum")
    assert list(summed) == ["cam", "score"]
    expected = np.einsum("brwc,c->brw", activations, kernel.sum(1))
    np.testing.assert_allclose(summed["cam"], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(summed["score"], 1, rtol=1e-6)


def test_an_operation_is_meant_as_it_stands_behind_the_softmax(model):
    found = kprobe.cam(model, IMAGES, of="predictions//Softmax", unit=2)
    activations, gradient, units, scores = refer(model, unit=2, softmax=True)
    check(found, grad_cam(activations, gradient), units, scores)
    before = kprobe.cam(model, IMAGES, of="predictions", unit=2)
    assert not np.allclose(found["cam"], before["cam"])


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "cam"])
def test_channels_may_come_first(method):
    last, first = make(keras), make(keras, "channels_first")
    first.set_weights(last.get_weights())
    expected = kprobe.cam(last, IMAGES, "backbone/last", method=method)
    found = kprobe.cam(first, np.moveaxis(IMAGES, -1, 1).copy(), method=method)
    check(found, *expected.values())


def test_old_files_and_saved_models_have_the_maps_of_the_model(tmp_path):
    old, new = make(tf_keras), make(keras)
    old.save(tmp_path / "old.h5")
    new.export(tmp_path / "exported", verbose=False)
    places = {"old.h5": (old, None), "exported": (new, "//*last*/Relu")}
    for name, (saved, layer) in places.items():
        found = kprobe.cam(tmp_path / name, IMAGES, layer)
        activations, gradient, units, scores = refer(saved)
        check(found, grad_cam(activations, gradient), units, scores)
        weights = np.asarray(saved.get_layer("predictions").kernel)[:, units]
        found = kprobe.cam(tmp_path / name, IMAGES, method="cam")
        check(found, np.einsum("brwc,cb->brw", activations, weights), units, scores)


def test_scores_may_have_several_axes():
    keras.utils.set_random_seed(0)
    segmenting = keras.Sequential(
        [
            keras.Input((6, 6, 3), name="x"),
            L.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
            L.Conv2D(2, 1, name="classes"),
            L.Softmax(name="likely"),
        ]
    )
    images = IMAGES[:, :6, :6]
    largest = kprobe.cam(segmenting, images)
    values = kprobe.activations(segmenting, "likely,classes", images)
    flat = values["classes"].reshape(4, -1).argmax(1)
    np.testing.assert_array_equal(largest["unit"], np.stack(np.unravel_index(flat, (6, 6, 2)), 1))
    found = kprobe.cam(segmenting, images, "conv", unit=(2, -1, 1))
    np.testing.assert_array_equal(found["unit"], [[2, 5, 1]] * 4)
    np.testing.assert_allclose(found["score"], values["likely"][:, 2, 5, 1], rtol=1e-5)
    with tf.GradientTape() as tape:
        conv = segmenting.get_layer("conv")(images)
        tape.watch(conv)
        chosen = segmenting.get_layer("classes")(conv)[:, 2, 5, 1]
    gradient = tape.gradient(chosen, conv).numpy()
    np.testing.assert_allclose(found["cam"], grad_cam(conv.numpy(), gradient), rtol=1e-4, atol=1e-7)


def test_a_sigmoid_that_is_1_has_a_map():
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 12, 3), name="x")
    conv = L.Conv2D(4, 3, activation="relu", name="conv")(x)
    pooled = L.GlobalAveragePooling2D(name="pooled")(conv)
    sure = L.Dense(1, activation="sigmoid", bias_initializer=keras.initializers.Constant(99))
    sure.name = "sure"
    model = keras.Model(x, L.Reshape((), name="alone")(sure(pooled)))
    found = kprobe.cam(model, IMAGES, of="sure")
    assert found["score"].tolist() == [1] * 4
    with tf.GradientTape() as tape:
        value = model.get_layer("conv")(IMAGES)
        tape.watch(value)
        score = model.get_layer("pooled")(value) @ sure.kernel
    gradient = tape.gradient(score, value).numpy()
    np.testing.assert_allclose(
        found["cam"], grad_cam(value.numpy(), gradient), rtol=1e-4, atol=1e-7
    )
    alone = kprobe.cam(model, IMAGES)
    assert (alone["unit"].shape, alone["cam"].max()) == ((4,), 0)


def test_an_older_head_averages_by_a_window():
    keras.utils.set_random_seed(0)
    old = keras.Sequential(
        [
            keras.Input((12, 12, 3), name="x"),
            L.Conv2D(4, 5, name="conv"),
            L.AveragePooling2D(8, name="mean"),
            L.Flatten(name="flat"),
            L.Dense(3, name="dense"),
            L.Activation("softmax", name="likely"),
        ]
    )
    found = kprobe.cam(old, IMAGES, method="cam", unit=1)
    conv = np.asarray(old.get_layer("conv")(IMAGES))
    kernel = np.asarray(old.get_layer("dense").kernel)
    np.testing.assert_allclose(found["cam"], conv @ kernel[:, 1], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def other():
    """A head that flattens, two outputs, and one beside it that nothing of the image changes."""
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 12, 3), name="x")
    conv = L.Conv2D(4, 3, name="conv")(x)
    flat = L.Flatten(name="flat")(conv)
    wide = L.Dense(3, name="wide")(flat)
    beside = L.Conv2D(2, 3, name="beside")(x)
    best = L.GlobalMaxPooling2D(name="best")(beside)
    return keras.Model(x, [wide, L.Dense(3, name="narrow")(best)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, 'the model has 2 outputs: wide, narrow; say of which one with of="ADDRESS"'),
        ({"of": "wide", "method": "cam"}, r"pooling before it, received conv \(Conv2D, its"),
        (
            {"of": "narrow", "method": "cam"},
            r"received best \(GlobalMaxPooling2D, its op",
        ),
        ({"of": "best", "method": "cam"}, r"expected a dense layer, received best"),
        ({"of": "wide", "layer": "beside"}, "beside isn't among what wide depends on"),
        ({"of": "wide", "layer": "flat"}, r"received shape \(None, 400\)"),
        ({"of": "wide", "layer": "conv:kernel"}, "conv:kernel: expected what a layer gives"),
        ({"of": "wide", "layer": "conv:gradient"}, "conv:gradient: expected what a layer gives"),
        ({"of": "wide", "layer": "conv*,beside"}, "layer: expected one address, received 2"),
        ({"of": "wide", "layer": "re:conv|beside"}, "stands for 2 tensors: beside, conv"),
        ({"of": "wide", "layer": "cnov"}, "no layer 'cnov'; nearest: conv"),
        ({"of": "wide,narrow"}, "of: expected the address of one tensor, received 'wide,narrow'"),
        ({"of": "wid"}, "the target of gradients: no layer 'wid'"),
        ({"of": "wide", "unit": 3}, "expected a number from 0 to 2, received 3"),
        ({"of": "wide", "method": None}, "method: expected one of .*, received 'None'"),
        ({"of": "wide", "method": "gradcam"}, "method: expected one of grad-cam, grad-cam"),
        ({"of": "conv", "unit": "sum"}, "conv depends on no layer that is known to have height"),
    ],
)
def test_what_has_no_map_gets_a_line(other, settings, message):
    with pytest.raises(kprobe.KprobeError, match=message) as caught:
        kprobe.cam(other, IMAGES, **settings)
    assert len(caught.value.faults) == 1


def test_cam_names_the_layer_that_is_pooled(model):
    with pytest.raises(kprobe.KprobeError, match="expected backbone, received backbone/first"):
        kprobe.cam(model, IMAGES, "backbone/first", method="cam")


def test_where_no_layer_tells_its_axes_the_last_is_said_to_be_that_of_channels(other):
    x = keras.Input((12, 12, 3), name="x")
    mixed = L.Lambda(lambda v: v * 2 + 1, name="mixed")(x)
    model = keras.Model(x, L.Dense(2, name="dense")(L.Flatten(name="flat")(mixed)))
    job = {"layers": "mixed", "cam": "grad-cam", "inputs": IMAGES}
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job

    with plan_job(make_job(model=model, **job)) as plan:
        assert any("what the axes of mixed are isn't known" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"unit": 1}, "cam.unit: max then, 1 now"),
        ({"method": "grad-cam++"}, "cam.method: grad-cam then, grad-cam"),
        ({"layer": "same"}, "cam.map_of: last then, same now"),
        ({"of": "second"}, "cam.score_of: first then, second now"),
    ],
)
def test_other_maps_continue_no_run(two_heads, tmp_path, other, message):
    path = tmp_path / "a.h5"
    shutil.copy(two_heads[1], path)
    job = {"layer": "last", "of": "first", "output": path, "resume": True}
    assert kprobe.cam(two_heads[0], IMAGES, **job).resumed == 4
    with pytest.raises(kprobe.KprobeError, match=message):
        kprobe.cam(two_heads[0], IMAGES, **job | other)


@pytest.fixture(scope="module")
def two_heads(tmp_path_factory):
    """A model of two layers of one shape and two heads, and a dump of maps."""
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 12, 3), name="x")
    last = L.Conv2D(3, 3, padding="same", name="last")(L.Conv2D(3, 3, name="same")(x))
    pooled = L.GlobalAveragePooling2D(name="pooled")(last)
    heads = [L.Dense(2, name="first")(pooled), L.Dense(2, name="second")(pooled)]
    model = keras.Model(x, heads)
    path = tmp_path_factory.mktemp("maps") / "a.h5"
    kprobe.cam(model, IMAGES, "last", of="first", output=path)
    return model, path


def test_a_dump_of_maps_says_what_they_are(model, tmp_path):
    receipt = kprobe.cam(model, IMAGES, unit="max", output=tmp_path / "a.h5", batch_size=2)
    assert (receipt.rows, receipt.datasets) == (4, 3)
    with h5py.File(receipt.output) as file:
        attrs = file["cam"].attrs
        told = {"method": "grad-cam", "score_of": "predictions", "before": "Softmax"}
        assert {name: attrs[name] for name in told} == told
        assert attrs["layer"].startswith("backbone")
        assert [axis.label for axis in file["cam"].dims] == ["sample", "height", "width"]
        assert json.loads(file.attrs["options"])["cam"] == "grad-cam"
        assert json.loads(file.attrs["job"])["cam"] == "grad-cam"
        activations, gradient, units, _ = refer(model)
        np.testing.assert_array_equal(file["unit"][:], units)
        maps = grad_cam(activations, gradient)
        np.testing.assert_allclose(file["cam"][:], maps, rtol=1e-4, atol=1e-6)
