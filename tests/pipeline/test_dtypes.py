"""Tensors of every dtype, of no size, of many inputs, and outputs that aren't there."""

from __future__ import annotations

import json

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
DATA = np.random.default_rng(0).uniform(0, 9, (5, 3)).astype("float32")


def make_layer(k, function):
    class Custom(k.layers.Layer):
        def call(self, x):
            return function(x)

    return Custom(name="custom")


def dump(model, layers, path, data=DATA, **options):
    kprobe.dump(model, layers, output=path, overwrite=True, inputs=data, **options)
    return kprobe.open_dump(path)


@KERASES
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint16", "float64"])
def test_numbers_keep_their_dtype(k, dtype, tmp_path):
    i = k.Input((3,), name="x")
    model = k.Model(i, make_layer(k, lambda x: tf.cast(x, dtype))(i))
    with dump(model, "custom", tmp_path / "a.h5") as file:
        assert file["custom"].dtype == file["custom"].attrs["dtype"] == dtype
        np.testing.assert_array_equal(file["custom"][:], DATA.astype(dtype))


@KERASES
def test_bfloat16_is_stored_as_float32_and_booleans_as_uint8(k, tmp_path):
    i = k.Input((3,), name="x")
    for function, computed, stored in (
        (lambda x: tf.cast(x, tf.bfloat16), "bfloat16", "float32"),
        (lambda x: x > 4, "bool", "uint8"),
    ):
        with dump(k.Model(i, make_layer(k, function)(i)), "custom", tmp_path / "a.h5") as file:
            assert file["custom"].attrs["dtype"] == computed
            assert file["custom"].dtype == stored
            bits = DATA.view("uint32")
            # To the nearest, and to the even one of two: the first 16 bits of a float32.
            rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
            expected = rounded.view("float32") if computed == "bfloat16" else DATA > 4
            np.testing.assert_array_equal(file["custom"][:], expected)


@pytest.mark.parametrize("dtype", ["float8_e5m2", "float8_e4m3fn"])
def test_float8_is_stored_as_float32(dtype, tmp_path):
    i = tf_keras.Input((3,), name="x")
    model = tf_keras.Model(i, make_layer(tf_keras, lambda x: tf.cast(x, dtype))(i))
    with dump(model, "custom", tmp_path / "a.h5") as file:
        assert (file["custom"].attrs["dtype"], file["custom"].dtype) == (dtype, "float32")
        expected = DATA.astype(getattr(ml_dtypes, dtype)).astype("float32")
        np.testing.assert_array_equal(file["custom"][:], expected)


@KERASES
@pytest.mark.parametrize("dtype", ["as-is", "float16"])
def test_complex_numbers_are_stored_as_h5py_has_them(k, dtype, tmp_path):
    i = k.Input((3,), name="x")
    model = k.Model(i, make_layer(k, lambda x: tf.signal.fft(tf.complex(x, x)))(i))
    dump(model, "custom", tmp_path / "a.h5", dtype=dtype).close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["custom"].dtype == "complex64"
        np.testing.assert_allclose(file["custom"], np.fft.fft(DATA + 1j * DATA), rtol=1e-4)


def test_values_that_become_infinite_as_they_are_stored_are_counted(tmp_path):
    """65,519 is the largest whole number that float16 rounds to one that it has."""
    i = keras.Input((5,), name="x")
    large = make_layer(keras, lambda x: x * 1)(i)
    wide = keras.layers.Activation("linear", dtype="bfloat16", name="wide")(large)
    scaled = keras.layers.Dense(1, use_bias=False, name="scaled")(large)
    model = keras.Model(i, [wide, scaled, keras.ops.cast(large, "float16")])
    model.get_layer("scaled").kernel.assign([[1], [0], [-1e6], [1e5], [np.inf]])
    data = np.zeros((40, 5), "float32")
    data[:, 0] = 65519
    data[7] = [65520, -65520, np.inf, np.nan, -np.inf]
    data[38] = 1e6
    settings = {"inputs": data, "output": tmp_path / "a.h5", "batch_size": 3}
    addresses = "custom,wide,scaled:kernel"
    # bfloat16 has 65,536 behind 65,280.
    expected = {"custom": 2 + 5, "wide": 38 + 2 + 5}
    for options in ({}, {"streams": 2}, {"eager": True}):
        options |= {"overwrite": True, "dtype": "float16"}
        receipt = kprobe.dump(model, addresses, **settings, **options)
        assert receipt.overflows == expected, options
        with kprobe.open_dump(tmp_path / "a.h5") as file:
            assert np.isinf(file["custom"][:]).sum() == 2 + 2 + 5
            assert file["custom"][0, 0] == 65504
    for dtype in ("as-is", "float32"):
        receipt = kprobe.dump(model, addresses, **settings, overwrite=True, dtype=dtype)
        assert receipt.overflows == {}


@KERASES
def test_text_that_a_layer_makes_comes_out_whole(k, tmp_path):
    i = k.Input((3,), name="x")
    model = k.Model(i, make_layer(k, lambda x: tf.strings.as_string(tf.cast(x, tf.int32)) + "µ")(i))
    with dump(model, "custom", tmp_path / "a.h5") as file:
        expected = [[f"{int(value)}µ" for value in row] for row in DATA]
        assert [row.tolist() for row in file["custom"]] == expected


@KERASES
def test_a_layer_without_units_has_empty_rows(k, tmp_path):
    i = k.Input((3,), name="x")
    empty = make_layer(k, lambda x: x[:, :0])(i)
    sides = [empty, k.layers.ReLU(name="relu")(i)]
    model = k.Model(i, k.layers.Concatenate(name="joined")(sides))
    with dump(model, None, tmp_path / "a.h5") as file:
        assert file["custom"].shape == (5, 0)
        np.testing.assert_array_equal(file["joined"][:], DATA)


@KERASES
def test_fifty_inputs_come_from_one_file_in_any_order(k, tmp_path):
    names = [f"in_{number}" for number in range(50)]
    model = k.Model(
        inputs := [k.Input((3,), name=n) for n in names], k.layers.Add(name="sum")(inputs)
    )
    arrays = {name: DATA * number for number, name in enumerate(names)}
    np.savez(tmp_path / "x.npz", **dict(reversed(arrays.items())))
    with dump(model, "sum,in_49", tmp_path / "a.h5", [str(tmp_path / "x.npz")]) as file:
        np.testing.assert_allclose(file["sum"][:], DATA * 1225, rtol=1e-5)
        np.testing.assert_array_equal(file["in_49"][:], DATA * 49)
        assert [entry["input"] for entry in json.loads(file.attrs["inputs"])] == names
    del arrays["in_17"]
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(kprobe.KprobeError, match="received none for in_17"):
        dump(model, "sum", tmp_path / "a.h5", [str(tmp_path / "x.npz")])


def test_an_output_that_is_none_is_no_tensor(tmp_path):
    i = tf_keras.Input((3,), name="x")
    found = make_layer(tf_keras, lambda x: {"a": x * 2, "b": None, "c": (None, x + 1)})(i)
    model = tf_keras.Model(i, [found["a"], found["c"][1]])
    with dump(model, None, tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["custom[a]"][:], DATA * 2)
        np.testing.assert_array_equal(file["custom[c.1]"][:], DATA + 1)
        assert len(file) == 2
    with pytest.raises(kprobe.KprobeError, match=r"no \[b\]; it has \[a\], \[c.1\]"):
        dump(model, "custom['b']", tmp_path / "a.h5")
