"""Random samples have the lengths that the user says, or else that the model takes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def make_cropping(k, crop=100):
    """A model that cuts off `crop` steps at both ends."""
    i = k.Input((None, 4), name="steps")
    x = k.layers.Conv1D(8, 11, padding="same", name="c")(i)
    x = k.layers.Cropping1D(crop, name="crop")(x)
    return k.Model(i, k.layers.Conv1D(2, 3, name="last")(x))


def make_pictures(k):
    """A model of images that has no padding, and another input."""
    i, j = k.Input((None, None, 3), name="picture"), k.Input((5,), name="row")
    x = k.layers.Conv2D(2, 9, strides=9, name="c")(i)
    x = k.layers.Conv2D(2, 9, name="d")(x)
    y = k.layers.Dense(2, name="e")(j)
    return k.Model([i, j], k.layers.Add()([k.layers.GlobalMaxPooling2D()(x), y]))


def make_short(k):
    return k.Sequential([k.Input((None, 3)), k.layers.Conv1D(2, 3, name="c")])


@KERASES
@pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
def test_lengths_grow_until_the_model_takes_them(k, eager):
    model = make_cropping(k)
    received = kprobe.activations(model, "c:in,crop,last", random=2, eager=eager)
    assert received["c:in"].shape == (2, 256, 4)
    assert received["crop"].shape == (2, 56, 8)
    expected = np.asarray(model(received["c:in"]))
    np.testing.assert_allclose(received["last"], expected, rtol=1e-5, atol=1e-6)


@KERASES
def test_both_sizes_of_a_picture_grow(k):
    received = kprobe.activations(make_pictures(k), "c:in,d,e:in", random=2)
    assert received["c:in"].shape == (2, 256, 256, 3)
    assert received["d"].shape == (2, 20, 20, 2)
    assert received["e:in"].shape == (2, 5)


@KERASES
def test_what_takes_the_usual_length_gets_it(k):
    assert kprobe.activations(make_short(k), "c:in", random=2)["c:in"].shape == (2, 64, 3)


@KERASES
def test_the_plan_says_that_they_grew(k):
    with plan_job(make_job(model=make_cropping(k), layers="c")) as plan:
        assert plan.notes == [
            "input 'steps': random samples have shape (256, 4), as the model takes no smaller ones"
        ]
        assert plan.samples.rows == 8
    with plan_job(make_job(model=make_short(k), layers="c")) as plan:
        assert plan.notes == []


def test_what_is_too_large_at_the_length_that_was_found_says_how_to_say_another():
    with pytest.raises(
        kprobe.KprobeError,
        match=r"for a batch of 1, and 5,000 are allowed; leave out the layers that need it, or "
        "allow more with max_activation_bytes; give samples with inputs, or say their shape with "
        "random_shape$",
    ):
        kprobe.activations(make_cropping(keras), "c", random=2, max_activation_bytes=5000)


@KERASES
def test_the_shape_may_be_said(k):
    model = make_cropping(k)
    received = kprobe.activations(model, "c:in,crop", random_shape={"steps": (3, 1000, 4)})
    assert received["c:in"].shape == (3, 1000, 4)
    assert received["crop"].shape == (3, 800, 8)
    assert kprobe.activations(model, "c", random_shape=[2, 300, 4])["c"].shape == (2, 300, 8)
    first = kprobe.activations(model, "c:in", random_shape=(2, 300, 4), random=2)["c:in"]
    second = kprobe.activations(model, "c:in", random_shape=np.array([2, 300, 4]).tolist())["c:in"]
    np.testing.assert_array_equal(first, second)
    both = kprobe.activations(
        make_pictures(k), "c:in,e:in", random_shape={"picture": (4, 200, 300, 3)}
    )
    assert both["c:in"].shape == (4, 200, 300, 3)
    assert both["e:in"].shape == (4, 5)


@KERASES
def test_a_model_that_takes_none_of_them_is_answered_with_what_to_do(k):
    class Many(k.layers.Layer):
        """Takes 100,000 steps, and no fewer."""

        def call(self, x):
            if x.shape[1] is not None and x.shape[1] < 100_000:
                raise ValueError("too few steps")
            return x * 2.0

    i = k.Input((None, 1), name="steps")
    model = k.Model(i, Many(name="many")(i))
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "many", random=1)
    assert "too few steps" in str(caught.value)
    assert caught.value.hint == "give samples with inputs, or say their shape with random_shape"
    received = kprobe.activations(model, "many", random_shape=(1, 100_000, 1))
    assert received["many"].shape == (1, 100_000, 1)


def make_strict(k, least, most=1 << 30):
    """A model that refuses other lengths, and only when it is run."""

    class Checked(k.layers.Layer):
        def call(self, x):
            steps = tf.shape(x)[1]
            fits = tf.logical_and(steps >= least, steps <= most)
            with tf.control_dependencies([tf.debugging.Assert(fits, ["of wrong length"])]):
                return tf.identity(x) * 2.0

    i = k.Input((None, 3), name="steps")
    x = Checked(name="checked")(k.layers.Dense(2, name="first")(i))
    return k.Model(i, k.layers.Dense(4, name="last")(x))


@KERASES
@pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
def test_lengths_that_only_a_run_refuses_change_too(k, eager):
    for least, most, length in ((150, 1 << 30, 256), (0, 32, 16), (2, 7, 4), (900, 2000, 1024)):
        model = make_strict(k, least, most)
        received = kprobe.activations(model, "steps,last", random=2, eager=eager)
        assert received["steps"].shape == (2, length, 3)
        expected = np.asarray(model(received["steps"]))
        np.testing.assert_allclose(received["last"], expected, rtol=1e-5, atol=1e-6)
    with plan_job(make_job(model=make_strict(k, 0, 32), layers="last", eager=eager)) as plan:
        (note,) = plan.notes
        assert note == (
            "input 'steps': random samples have shape (16, 3), as the model takes no (64, 3)"
        )


@KERASES
def test_a_model_that_no_run_takes_is_answered_with_what_to_do(k):
    """What is upstream of the layer that fails has the usual length."""
    model = make_strict(k, 3000)
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(model, "last")
    (fault,) = caught.value.faults
    assert "of wrong length" in fault
    assert caught.value.hint == "give samples with inputs, or say their shape with random_shape"
    received = kprobe.activations(model, "last", random_shape=(2, 3000, 3))
    assert received["last"].shape == (2, 3000, 4)
    assert kprobe.activations(model, "first")["first"].shape == (8, 64, 2)


@KERASES
def test_a_model_that_gives_nothing_for_any_length_gets_the_usual_one(k):
    i = k.Input((None, 3), name="steps")
    model = k.Model(i, k.layers.Lambda(lambda x: x[:, :0], name="none")(i))
    assert kprobe.activations(model, "steps,none")["steps"].shape == (8, 64, 3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"steps": (2, 0, 4)}, "expected sizes of 1 or more, the number of samples first for "),
        ("8,4", "expected sizes of 1 or more, the number of samples first, received '8,4'"),
        ({"steps": ()}, "expected sizes of 1 or more"),
        ({"step": (2, 300, 4)}, "no input 'step'; the model's inputs: steps (None, None, 4) float"),
        ({"steps": (2, 300, 5)}, "expects shape (None, None, 4), received (2, 300, 5) from random"),
        ({"steps": (2, 300)}, "expects shape (None, None, 4), received (2, 300) from random"),
        (
            {"a": (2, 3), "b": (4, 3)},
            "expected as many samples everywhere, received 2 and 4 (the first",
        ),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(given, told):
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(make_cropping(keras), "c", random_shape=given)
    assert told in str(caught.value)


def test_a_shape_and_other_counts_or_samples_are_refused():
    model = make_cropping(keras)
    with pytest.raises(kprobe.KprobeError, match="as many samples everywhere, received 2 and 3"):
        kprobe.activations(model, "c", random_shape=(2, 300, 4), random=3)
    with pytest.raises(kprobe.KprobeError, match="inputs or random samples, received both"):
        kprobe.activations(model, "c", np.ones((2, 300, 4), "float32"), random_shape=(2, 300, 4))
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(make_pictures(keras), "c", random_shape=(2, 300, 300, 3))
    assert "random samples: expected the name of an input, as there are 2" in str(caught.value)


def test_a_shape_for_no_input_shows_how_one_is_said():
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.activations(make_cropping(keras), "c", random_shape={"nope": (2, 300, 4)})
    assert "no input 'nope'" in str(caught.value)
    assert caught.value.hint == 'say which, for example random_shape={"steps": (8, 16)}'
