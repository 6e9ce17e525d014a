"""Finding the axis of samples: in loops, in models of one batch size, where nothing runs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
STEPS = np.random.default_rng(0).normal(size=(10, 4, 3)).astype("float32")


def dump(model, layers, tmp_path, **options):
    path = tmp_path / "a.h5"
    kprobe.dump(model, layers, output=path, overwrite=True, **options)
    with kprobe.open_dump(path) as file:
        return {address: file[address][:] for address in file}


@KERASES
@pytest.mark.parametrize("rows", [10, 1])
def test_gates_in_a_model_of_one_batch_size_are_rows_of_samples(k, rows, tmp_path):
    def make(**shape):
        i = k.Input(name="seq", **shape)
        return k.Model(i, k.layers.LSTM(4, return_sequences=True, name="lstm")(i))

    free = make(shape=(4, 3))
    # As many steps and units as samples: the sizes don't tell the axes apart.
    fixed = make(batch_shape=(4, 4, 3))
    fixed.set_weights(free.get_weights())
    data = STEPS[:rows]
    expected = dump(free, "lstm//*Sigmoid*,lstm", tmp_path, inputs=data)
    computed = dump(fixed, "lstm//*Sigmoid*,lstm", tmp_path, inputs=data)
    assert len(expected) == 4
    for (address, value), other in zip(computed.items(), expected.values(), strict=True):
        assert value.shape == (rows, 4, 4), address
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)


@KERASES
def test_what_has_no_row_for_each_sample_is_refused_in_such_a_model_too(k, tmp_path):
    class Total(k.layers.Layer):
        def call(self, x):
            return x + tf.reduce_sum(x, axis=(0, 1), name="total")

    i = k.Input(batch_shape=(4, 4, 3), name="seq")
    model = k.Model(i, Total(name="sum")(i))
    with pytest.raises(kprobe.KprobeError, match="not a row for each sample"):
        dump(model, "sum//total", tmp_path, inputs=STEPS)


@KERASES
def test_a_loop_that_never_runs_gives_an_empty_row_for_each_sample(k, tmp_path):
    class Loop(k.layers.Layer):
        def call(self, x):
            def body(i, y):
                return i + 1, tf.nn.relu(y, name="never")

            return tf.while_loop(lambda i, _: i < 0, body, (0, x))[1]

    i = k.Input((4, 3), name="seq")
    model = k.Model(i, Loop(name="loop")(i))
    computed = dump(model, "loop,loop//*never", tmp_path, inputs=STEPS, batch_size=4)
    np.testing.assert_array_equal(computed["loop"], STEPS)
    (never,) = (value for address, value in computed.items() if "never" in address)
    assert never.shape == (10, 0, 4, 3)
