"""Sparse and ragged tensors in a model, and inputs declared as such."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
EAGER = pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
# The first two have as many numbers, so that they don't show that others have more or less.
DATA = np.array([[1, 2, 0, 0], [3, 4, 0, 0], [5, 0, 0, 0], [6, 7, 8, 9], [0, 0, 0, 0]], "float32")


def make_layer(k, function, name):
    class Custom(k.layers.Layer):
        def call(self, x):
            return function(x)

    return Custom(name=name)


def dump(model, layers, path, data=DATA, **options):
    kprobe.dump(model, layers, output=path, overwrite=True, inputs=data, **options)
    return kprobe.open_dump(path)


@KERASES
@EAGER
def test_a_sparse_output_is_stored_with_its_zeros(k, eager, tmp_path):
    i = k.Input((4,), name="x")
    sparse = make_layer(k, lambda x: tf.sparse.from_dense(x * 2), "sparse")(i)
    total = make_layer(k, tf.sparse.to_dense, "total")(sparse)
    both = {"a": make_layer(k, tf.sparse.from_dense, "last")(total), "b": total}
    for outputs in (total, both):
        with dump(k.Model(i, outputs), None, tmp_path / "a.h5", eager=eager) as file:
            assert set(file) == {"sparse", "total", *(["last"] if outputs is both else [])}
            for address in file:
                np.testing.assert_array_equal(file[address][:], DATA * 2)


@KERASES
@EAGER
def test_a_ragged_output_is_stored_as_each_sample_has_it(k, eager, tmp_path):
    i = k.Input((4,), name="x")
    ragged = make_layer(k, lambda x: tf.ragged.boolean_mask(x, x > 0), "ragged")(i)
    total = make_layer(k, lambda x: tf.reduce_sum(x, axis=1), "total")(ragged)
    model = k.Model(i, [total, k.layers.ReLU(name="relu")(i)])
    with dump(model, "ragged,total,relu", tmp_path / "a.h5", eager=eager) as file:
        assert file["ragged"].attrs["layout"] == "ragged"
        assert [row.tolist() for row in file["ragged"]] == [[v for v in r if v] for r in DATA]
        np.testing.assert_array_equal(file["total"][:], DATA.sum(axis=1))
        np.testing.assert_array_equal(file["relu"][:], DATA)
    with dump(model, None, tmp_path / "a.h5", eager=eager) as file:
        assert set(file) == {"total", "relu"}
    with pytest.raises(kprobe.KprobeError, match="ragged is a ragged tensor"):
        dump(model, "ragg*", tmp_path / "a.h5", eager=eager)


@KERASES
def test_what_a_call_inside_a_loop_gives_sparsely_has_no_tensor(k, tmp_path):
    inner = make_layer(k, tf.sparse.from_dense, "inner")
    outer = make_layer(k, lambda x: tf.map_fn(lambda r: tf.sparse.to_dense(inner(r)), x), "outer")
    i = k.Input((4,), name="x")
    with dump(k.Model(i, outer(i)), "outer", tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["outer"][:], DATA)


@KERASES
@EAGER
def test_a_sparse_input_takes_a_file_of_scipy(k, eager, tmp_path):
    i = k.Input((4,), sparse=True, name="x")
    dense = make_layer(k, lambda x: tf.sparse.to_dense(x) + 1, "dense")(i)
    model = k.Model(i, [dense, k.layers.Dense(3, name="linear")(i)])
    scipy.sparse.save_npz(tmp_path / "x.npz", scipy.sparse.csr_matrix(DATA))
    source = [str(tmp_path / "x.npz")]
    with dump(model, "x,dense,linear", tmp_path / "a.h5", source, eager=eager) as file:
        np.testing.assert_array_equal(file["x"][:], DATA)
        np.testing.assert_array_equal(file["dense"][:], DATA + 1)
        kernel = model.get_layer("linear").get_weights()[0]
        np.testing.assert_allclose(file["linear"][:], DATA @ kernel, rtol=1e-5, atol=1e-5)


def test_a_ragged_input_takes_rows_of_one_length(tmp_path):
    i = tf_keras.Input((None,), ragged=True, name="x")
    total = make_layer(tf_keras, lambda x: tf.reduce_sum(x, axis=1), "total")(i)
    with dump(tf_keras.Model(i, total), "total", tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["total"][:], DATA.sum(axis=1))
