"""What is declared ragged runs sample by sample: a batch size beside it is refused at once."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

DATA = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def make_model(k):
    """Two layers, and the sizes of all the batches that run."""
    sizes = []

    class Noted(k.layers.Layer):
        def call(self, x):
            def note(values):
                sizes.append(len(values))
                return values

            return tf.ensure_shape(tf.numpy_function(note, [x], tf.float32), x.shape)

    class Kept(k.layers.Layer):
        def call(self, x):
            return tf.boolean_mask(x, x[:, 0] > 0)

        def compute_output_shape(self, shape):
            return (None, *shape[1:])

    x = k.Input((4,), name="x")
    noted = Noted(name="noted")(x)
    dense = k.layers.Dense(3, name="dense")(noted)
    return k.Model(x, [Kept(name="kept")(noted), dense]), sizes


@KERASES
@pytest.mark.parametrize("layers", ["kept", "kept,dense", "dense,kept"])
def test_a_batch_size_is_refused_before_anything_runs(k, layers, tmp_path):
    model, sizes = make_model(k)
    output = tmp_path / "a.h5"
    with pytest.raises(kprobe.KprobeError, match="received a batch size of 8") as caught:
        kprobe.dump(model, layers, inputs=DATA, output=output, ragged="kept", batch_size=8)
    assert caught.value.faults[0] == "kept is declared ragged"
    assert caught.value.hint == "leave batch_size out, or these tensors"
    assert sizes == []
    assert list(tmp_path.iterdir()) == []


@KERASES
@pytest.mark.parametrize("options", [{}, {"batch_size": 1}], ids=["none", "one"])
def test_none_and_one_are_taken(k, options):
    model, sizes = make_model(k)
    received = kprobe.activations(model, "kept", DATA, ragged="kept", **options)
    for row, values in zip(DATA, received["kept"], strict=True):
        np.testing.assert_array_equal(values, row[None][row[None, 0] > 0])
    assert {*sizes} == {1}
