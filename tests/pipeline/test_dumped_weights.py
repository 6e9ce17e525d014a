"""Weights in a dump: datasets without the axis of samples, computed by nothing."""

from __future__ import annotations

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
import xarray

import kprobe
from kprobe.errors import AddressError, InputError
from kprobe.models.file import read_model_file
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.planning.precheck import precheck


@pytest.mark.parametrize("name", ["shapes_rpn.h5", "digits_cnn.keras"])
def test_a_dump_holds_weights_beside_activations(
    name, samples, shapes_rpn, digits_cnn, shapes, digits, tmp_path
):
    model, data, first = {
        "shapes_rpn.h5": (shapes_rpn, shapes, "conv1_1"),
        "digits_cnn.keras": (digits_cnn, digits[:300], "conv1"),
    }[name]
    output = tmp_path / "a.h5"
    receipt = kprobe.dump(samples / name, f"{first},{first}:kernel", inputs=data, output=output)
    kernel = model.get_layer(first).get_weights()[0]
    with kprobe.open_dump(output) as dump:
        assert list(dump) == [first, f"{first}:kernel"]
        assert dump.rows == len(data)
        assert dump[first].shape[0] == len(data)
        weight = dump[f"{first}:kernel"]
        assert weight.attrs["layout"] == "weight"
        assert dump[first].attrs["layout"] == "dense"
        assert weight.attrs["layer"] == first
        assert weight.dtype == kernel.dtype
        np.testing.assert_array_equal(weight, kernel)
        assert receipt.written == dump[first].nbytes + kernel.nbytes
    with xarray.open_dataset(output, engine="h5netcdf") as dataset:
        assert dataset[first].dims[0] == "sample"
        assert "sample" not in dataset[f"{first}:kernel"].dims
        np.testing.assert_array_equal(dataset[f"{first}:kernel"], kernel)


def test_weights_alone_need_no_samples(samples, siamese, tmp_path):
    output = tmp_path / "a.h5"
    receipt = kprobe.dump(
        samples / "siamese.keras", "encoder@*/conv1:kernel,b=same:bias", output=output
    )
    kernel = siamese.get_layer("encoder").get_layer("conv1").get_weights()[0]
    bias = siamese.get_layer("same").get_weights()[1]
    assert receipt.rows == 0
    assert receipt.written == kernel.nbytes + bias.nbytes
    with kprobe.open_dump(output) as dump:
        assert dump.complete
        assert dump.rows == 0
        assert dump.columns == ["encoder@0.conv1:kernel", "b"]
        for address in ("encoder@0/conv1:kernel", "encoder@1/conv1:kernel"):
            np.testing.assert_array_equal(dump[address], kernel)
        np.testing.assert_array_equal(dump["same:bias"], bias)
        assert not dump.attrs["random"]
    with xarray.open_dataset(output, engine="h5netcdf") as dataset:
        np.testing.assert_array_equal(dataset["b"], bias)
        assert dataset.sizes["sample"] == 0


def test_one_weight_under_several_addresses_is_stored_once(siamese, tmp_path):
    output = tmp_path / "a.h5"
    layers = "encoder/conv1:kernel,encoder:conv1/kernel,encoder@1/conv1:kernel"
    kprobe.dump(siamese, layers, output=output)
    with kprobe.open_dump(output) as dump:
        assert dump.columns == ["encoder.conv1:kernel"]
        assert list(dump) == layers.split(",")


def test_no_samples_are_looked_for_where_weights_alone_are_asked_for(tmp_path):
    # Random samples can't be made for text.
    i = tf_keras.Input((), dtype="string", name="text")
    tokens = tf_keras.layers.Hashing(8, name="hash")(i)
    model = tf_keras.Model(i, tf_keras.layers.Embedding(8, 2, name="embedding")(tokens))
    output = tmp_path / "a.h5"
    kprobe.dump(model, "embedding:embeddings", output=output)
    with kprobe.open_dump(output) as dump:
        expected = model.get_layer("embedding").get_weights()[0]
        np.testing.assert_array_equal(dump["embedding:embeddings"], expected)


def test_weights_are_not_computed(digits_cnn, tmp_path):
    with plan_job(
        make_job(model=digits_cnn, layers=["conv1:kernel", "scan"], output=tmp_path / "a")
    ) as ready:
        assert [fetch.address for fetch in ready.computation.engine.fetches] == ["scan"]
        assert ready.row_bytes == 8 * 8 * 4
        assert ready.bytes == ready.samples.rows * ready.row_bytes + 3 * 3 * 16 * 4


def test_batches_of_a_size_leave_weights_whole(tmp_path):
    i = keras.Input(batch_shape=(4, 4), name="x")
    model = keras.Model(i, keras.layers.Dense(3, name="dense")(i))
    rows = np.ones((8, 4), "f4")
    kprobe.dump(model, "dense,dense:kernel", inputs=rows, output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        kernel, bias = model.get_layer("dense").get_weights()
        np.testing.assert_array_equal(dump["dense:kernel"], kernel)
        np.testing.assert_allclose(dump["dense"], rows @ kernel + bias, rtol=1e-5, atol=1e-5)


class Untraceable(keras.layers.Layer):
    """Asks for a value, which there is none of in a trace."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(3, name="dense")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x) * float(tf.size(x) > 0) if tf.executing_eagerly() else x[:, :3]


@pytest.mark.parametrize("layers", ["odd/dense:kernel", "odd/dense:kernel,odd/dense"])
def test_a_model_that_runs_eagerly_has_weights_too(layers, tmp_path):
    i = keras.Input((4,), name="x")
    model = keras.Model(i, Untraceable(name="odd")(i))
    kprobe.dump(model, layers, eager=True, output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        kernel = model.get_layer("odd").dense.get_weights()[0]
        np.testing.assert_array_equal(dump["odd/dense:kernel"], kernel)
        assert sorted(dump) == sorted(layers.split(","))


class Odd(keras.layers.Layer):
    """Has weights of dtypes that HDF5 or numpy don't have, or that `--dtype` leaves alone."""

    def build(self, shape):
        values = {"bool": [True, False], "bfloat16": [1.5, -2.0], "float32": [0.1, 2.0]}
        for dtype, value in {**values, "int8": [-3, 4]}.items():
            weight = self.add_weight(shape=(2,), dtype=dtype, name=dtype, trainable=False)
            weight.assign(tf.constant(value, dtype))

    def call(self, x):
        return x + 0


@pytest.mark.parametrize(("dtype", "small"), [("as-is", "float32"), ("float16", "float16")])
def test_weights_are_stored_in_the_dtypes_of_activations(dtype, small, tmp_path):
    i = keras.Input((2,), name="x")
    model = keras.Model(i, Odd(name="odd")(i))
    kprobe.dump(model, "odd:*", output=tmp_path / "a.h5", dtype=dtype)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        stored = {name: (dump[name].dtype.name, dump[name][:].tolist()) for name in dump}
        computed = {name: dump[name].attrs["dtype"] for name in dump}
    assert stored == {
        "odd:bool": ("uint8", [1, 0]),
        "odd:bfloat16": (small, [1.5, -2.0]),
        "odd:float32": (small, np.array([0.1, 2.0], small).tolist()),
        "odd:int8": ("int8", [-3, 4]),
    }
    assert computed == {name: name.removeprefix("odd:") for name in stored}


def test_a_large_weight_is_written_without_a_copy_of_it(tmp_path):
    i = keras.Input((1000,), name="x")
    model = keras.Model(i, keras.layers.Dense(1000, use_bias=False, name="dense")(i))
    with plan_job(
        make_job(model=model, layers=["dense:kernel"], output=tmp_path / "a.h5")
    ) as ready:
        variable = model.get_layer("dense").kernel.value
        assert np.shares_memory(ready.columns[0].value, np.asarray(variable.value()))


def test_a_misspelt_layer_of_a_weight_is_found_before_tensorflow_loads(samples, tmp_path):
    file = read_model_file(samples / "digits_cnn.keras")
    layers = ["cnv1:kernel", "conv1", "conv2:in"]
    job = make_job(model=str(file.path), layers=layers, output=tmp_path / "a.h5")
    with contextlib.ExitStack() as opened, pytest.raises(AddressError) as caught:
        precheck(job, file, opened)
    assert caught.value.faults == ("no layer 'cnv1:kernel'; nearest: conv1, conv2",)


def test_what_only_a_trace_tells_is_told_with_the_layers_that_are_misspelt(samples, tmp_path):
    layers = "cnv1:kernel,conv1:kernal,conv1:scores,conv2,conv7,conv1[3],conv1//Nope,b=conv1:mask"
    with pytest.raises(AddressError) as caught:
        kprobe.dump(samples / "digits_cnn.keras", layers, output=tmp_path / "a.h5")
    assert caught.value.faults == (
        "no layer 'cnv1:kernel'; nearest: conv1, conv2",
        "no layer 'conv7'; nearest: conv2, conv1",
        "'conv1' has no :kernal; it has :kernel, :in, :out",
        "'conv1' has no :scores; it has :kernel, :in, :out",
        "'conv1' has no [3]; it is one tensor",
        "conv1//Nope names no operation",
        "'conv1:mask' has no tensor",
    )


def test_what_weights_can_not_do_is_refused(digits_cnn, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"output": tmp_path / "a.h5"}
    with pytest.raises(InputError, match="weights alone need no input, and some is given"):
        kprobe.dump(digits_cnn, "conv1:kernel", inputs=digits, **options)
    with pytest.raises(InputError, match="weights alone aren't computed"):
        kprobe.dump(digits_cnn, "conv1:kernel", audit=True, **options)
    np.save("a.npy", digits)
    with pytest.raises(AddressError, match="weights can't be fed: conv1:kernel"):
        kprobe.dump(digits_cnn, "conv1", feeds=["conv1:kernel=a.npy"], **options)
    with pytest.raises(AddressError, match="nothing that is asked for depends on conv1"):
        kprobe.dump(digits_cnn, "conv1:kernel", feeds=["conv1=a.npy"], **options)
