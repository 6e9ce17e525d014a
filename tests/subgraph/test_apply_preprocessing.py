"""--preprocess: every family of keras.applications, as its own library does it."""

from __future__ import annotations

import inspect
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kprobe.errors import InputError
from kprobe.preprocessing import Preprocessing
from kprobe.subgraph.apply_preprocessing import find_family, prepare

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), "uint8")
BOTH = [
    *("convnext", "densenet", "efficientnet", "efficientnet_v2", "inception_resnet_v2"),
    *("inception_v3", "mobilenet", "mobilenet_v2", "mobilenet_v3", "nasnet", "resnet", "resnet50"),
    *("resnet_v2", "vgg16", "vgg19", "xception"),
]
FAMILIES = [(keras, name) for name in BOTH]
FAMILIES += [(tf_keras, name) for name in [*BOTH, "regnet", "resnet_rs"]]
IDS = [f"{library.__name__}-{name}" for library, name in FAMILIES]


def prepare_here(images, name, library):
    spec = tf.TensorSpec([None, *images.shape[1:]], tf.float32)
    wanted = Preprocessing(preprocess=name)
    return tf.function(lambda data: prepare(data, spec, wanted, library))(images).numpy()


def prepare_there(images, module):
    return module.preprocess_input(images.astype("float32"))


@pytest.mark.parametrize(("library", "name"), FAMILIES, ids=IDS)
def test_a_family_prepares_as_its_library_does(library, name):
    expected = prepare_there(IMAGES, getattr(library.applications, name))
    assert expected.dtype == np.float32
    for images in (IMAGES, IMAGES.astype("float32")):
        computed = prepare_here(images, name, library)
        np.testing.assert_allclose(computed, expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_no_family_is_forgotten(library):
    there = {
        name
        for name, value in vars(library.applications).items()
        if isinstance(value, ModuleType) and hasattr(value, "preprocess_input")
    } - {"imagenet_utils"}
    assert there == {name for owner, name in FAMILIES if owner is library}


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_every_model_names_its_family(library):
    models = [n for n, value in vars(library.applications).items() if inspect.isfunction(value)]
    assert len(models) > 30
    for name in models:
        family = find_family(name, library)
        own = inspect.getmodule(getattr(library.applications, name))
        np.testing.assert_array_equal(
            prepare_there(IMAGES, family), prepare_there(IMAGES, own), err_msg=name
        )


@pytest.mark.parametrize("name", ["MobileNetV2", "mobilenet-v2", "mobilenetv2", "mobilenet_v2"])
def test_case_and_punctuation_of_a_family_do_not_count(name):
    assert find_family(name, keras) is keras.applications.mobilenet_v2


@pytest.mark.parametrize("name", ["resnet51", "preprocess_input", "imagenet_utils", "sys", ""])
def test_what_is_no_family_is_refused_with_those_there_are(name):
    with pytest.raises(InputError, match=r"no model family .*; it has convnext, densenet, "):
        find_family(name, keras)


def test_an_integer_input_is_not_preprocessed():
    with pytest.raises(InputError, match="needs a floating-point input, received int32"):
        prepare(
            tf.constant([[1]]),
            tf.TensorSpec([None, 1], tf.int32),
            Preprocessing(scale=2.0),
            keras,
        )


def test_as_many_means_as_channels_are_wanted():
    with pytest.raises(InputError, match="mean: expected 1 or 3 values, received 2"):
        prepare(
            tf.constant(IMAGES),
            tf.TensorSpec([None, 8, 8, 3], tf.float32),
            Preprocessing(mean=(1.0, 2.0)),
            keras,
        )


def test_scale_mean_and_deviation_come_in_this_order():
    computed = prepare(
        tf.constant(IMAGES),
        tf.TensorSpec([None, 8, 8, 3], tf.float32),
        Preprocessing(scale=0.5, mean=(1.0, 2.0, 3.0), std=(4.0,)),
        keras,
    )
    np.testing.assert_array_equal(computed, (IMAGES * np.float32(0.5) - [1, 2, 3]) / 4)


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("family", ["resnet50", "vgg16", "densenet"])
def test_a_family_of_colour_images_takes_no_others(family, channels, library):
    images = tf.zeros((2, 8, 8, channels))
    with pytest.raises(InputError) as caught:
        prepare(images, tf.TensorSpec(images.shape), Preprocessing(preprocess=family), library)
    assert str(caught.value) == (
        f"preprocess: {family}: expected images of 3 channels, and the model takes "
        f"(2, 8, 8, {channels}); use scale, mean and std"
    )


def test_a_family_that_treats_channels_alike_takes_any_number():
    images = np.linspace(0, 255, 32, dtype="float32").reshape(2, 4, 4, 1)
    computed = prepare(
        tf.constant(images),
        tf.TensorSpec([None, 4, 4, 1]),
        Preprocessing(preprocess="mobilenet_v2"),
        keras,
    )
    np.testing.assert_allclose(computed, images / 127.5 - 1, atol=1e-6)
