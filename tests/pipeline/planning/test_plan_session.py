"""Awkward models through the whole pipeline: numbers against the Kerases themselves."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
RNG = np.random.default_rng(0)
STEPS = RNG.normal(size=(5, 7, 4)).astype("float32")


def save(model, tmp_path, k):
    path = tmp_path / ("model.keras" if k is keras else "model.h5")
    model.save(path)
    return path


def dump(model, layers, tmp_path, **options):
    output = tmp_path / "acts.h5"
    kprobe.dump(model, layers, output=output, overwrite=True, **options)
    with kprobe.open_dump(output) as file:
        return {address: file[address][:] for address in file}


@KERASES
@pytest.mark.parametrize("as_dict", [False, True], ids=["list", "dict"])
@pytest.mark.filterwarnings(
    # tf_keras says so of every HDF5 file it writes.
    "ignore:You are saving your model as an HDF5 file:UserWarning"
)
def test_inputs_are_paired_by_name_whatever_their_order(k, as_dict, tmp_path):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    inputs = {"b": b, "a": a} if as_dict else [b, a]
    model = k.Model(inputs, k.layers.Subtract(name="sub")([a, b]))
    data = {"a": STEPS[:, 0], "b": STEPS[:, 1]}
    for given in (model, save(model, tmp_path, k)):
        computed = dump(given, "sub", tmp_path, inputs=data)
        np.testing.assert_array_equal(computed["sub"], data["a"] - data["b"])


@KERASES
def test_all_of_a_recurrent_model_comes_out(k, tmp_path):
    i = k.Input((7, 4), name="seq")
    model = k.Model(i, k.layers.LSTM(3, return_sequences=True, name="lstm")(i))
    computed = dump(model, None, tmp_path, inputs=STEPS)
    np.testing.assert_allclose(computed["lstm"], model.predict_on_batch(STEPS), atol=1e-6)
    if k is keras:
        # The state after every step, in a time axis behind the samples.
        np.testing.assert_allclose(computed["lstm/lstm_cell[0]"], computed["lstm"], atol=1e-6)


@KERASES
def test_a_model_made_for_one_batch_size_is_fed_whole_batches(k, tmp_path):
    i = k.Input(batch_shape=(4, 7, 4), name="seq")
    model = k.Model(i, k.layers.LSTM(3, stateful=True, name="lstm")(k.layers.ReLU(name="r")(i)))
    computed = dump(model, "r,lstm", tmp_path, inputs=STEPS[:4])
    np.testing.assert_array_equal(computed["r"], np.maximum(STEPS[:4], 0))
    assert computed["lstm"].shape == (4, 3)
    with pytest.raises(kprobe.KprobeError, match="5 are no multiple of it; take fewer: limit=4"):
        dump(model, "r,lstm", tmp_path, inputs=STEPS)
    with pytest.raises(kprobe.KprobeError, match="takes batches of 4 samples only"):
        dump(model, "r", tmp_path, inputs=STEPS, batch_size=2)


def sums_batch(k):
    class Sum(k.layers.Layer):
        def call(self, x):
            return k.ops.sum(x, axis=0) if k is keras else x[0] + 0.0

    i = k.Input((4,), name="x")
    return k.Model(i, [k.layers.ReLU(name="relu")(i), Sum(name="whole")(i)])


@KERASES
def test_what_a_pattern_names_and_has_no_rows_is_left_out_and_said(k, tmp_path):
    from kprobe.pipeline.planning.job import make_job
    from kprobe.pipeline.planning.plan_job import plan_job

    model, data = sums_batch(k), STEPS[:, 0]
    assert set(dump(model, None, tmp_path, inputs=data)) == {"relu"}
    with plan_job(
        make_job(model=model, layers=None, output=tmp_path / "x.h5", inputs=data)
    ) as ready:
        assert ready.left_out == [
            "whole has shape (4,) for one sample and (4,) for two: not a row for each sample"
        ]
    with pytest.raises(kprobe.KprobeError, match="whole has shape") as caught:
        dump(model, "whol*", tmp_path, inputs=data)
    assert caught.value.hint == "ask for it by its name, to store it whole for each sample"


def test_a_mistake_inside_the_model_is_one_line(tmp_path):
    i = keras.Input((2,), dtype="int32", name="tokens")
    model = keras.Model(i, keras.layers.Embedding(5, 3, name="e")(i))
    with pytest.raises(kprobe.KprobeError, match=r"the model failed on a batch: .*indices"):
        dump(model, "e", tmp_path, inputs=np.full((3, 2), 9, "int32"))


def test_preprocessing_for_colour_is_refused_for_other_images(tmp_path):
    i = keras.Input((4, 4, 4), name="image")
    model = keras.Model(i, keras.layers.ReLU(name="relu")(i))
    family = {"": kprobe.Preprocessing(preprocess="resnet50")}
    with pytest.raises(kprobe.KprobeError, match="expected images of 3 channels"):
        dump(model, "relu", tmp_path, preprocessing=family)


def test_randomness_out_of_control_is_recorded(tmp_path):
    class Noise(keras.layers.Layer):
        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x))

    class Counts(keras.layers.Layer):
        def call(self, x):
            return x + tf.random.poisson((), x)

    i = keras.Input((4,), name="x")
    model = keras.Model(i, Counts(name="counts")(Noise(name="noise")(i)))
    for layer, reproducible in (("counts", False), ("noise", True)):
        dump(model, layer, tmp_path)
        with kprobe.open_dump(tmp_path / "acts.h5") as file:
            assert file.attrs["reproducible"] is reproducible


def test_a_frozen_sub_graph_is_as_exact_as_promised(tmp_path, digits_cnn):
    data = RNG.random((512, 8, 8, 1), "float32")
    reference = keras.Model(digits_cnn.inputs, digits_cnn.get_layer("features").output)
    computed = dump(digits_cnn, "features", tmp_path, inputs=data)["features"]
    expected = reference.predict(data, verbose=0)
    assert np.abs(computed - expected).max() <= 1e-5 * np.abs(expected).max()
    with kprobe.open_dump(tmp_path / "acts.h5") as file:
        assert file.attrs["frozen"] is True


def test_rows_that_go_missing_on_the_way_are_refused_where_they_do(tmp_path):
    class Filter(keras.layers.Layer):
        def call(self, x):
            return tf.boolean_mask(x, x[:, 0] > 0)

        def compute_output_shape(self, shape):
            return shape

    i = keras.Input((4,), name="x")
    model = keras.Model(i, Filter(name="filter")(i))
    data = np.ones((8, 4), "float32")
    data[5] = -1
    with pytest.raises(
        kprobe.KprobeError, match=r"filter has shape \(4, 4\) for 4 samples and \(3, 4\) for others"
    ):
        dump(model, "filter", tmp_path, inputs=data, batch_size=4)
    assert not list(tmp_path.glob("acts.h5*")) or (tmp_path / "acts.h5.partial").exists()


def test_a_dump_says_in_which_order_the_model_computes(tmp_path):
    i = keras.Input((4,), name="x")
    first = keras.layers.Dense(3, name="first")(i)
    last = keras.layers.Dense(2, name="last")(keras.layers.ReLU(name="middle")(first))
    model = keras.Model(i, last)
    dump_to = tmp_path / "acts.h5"
    asked = "end=last,first:kernel,first,middle"
    kprobe.dump(model, asked, inputs=STEPS[:, 0], output=dump_to)
    with kprobe.open_dump(dump_to) as file:
        assert file.columns == ["end", "first", "middle", "first:kernel"]
        assert file.attrs["computed"] == ["first", "middle", "end"]
