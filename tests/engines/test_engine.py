"""What an engine says of a model that fails on a batch."""

from __future__ import annotations

import json

import h5py
import keras
import numpy as np
import pytest
import tf_keras

import kprobe
from kprobe.errors import ModelError

ROWS = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32")


@pytest.fixture
def of_cudnn(tmp_path):
    """A file with a CuDNNLSTM: its weights, and the file."""
    units, rng = 4, np.random.default_rng(1)
    layer = tf_keras.layers.LSTM(units, name="rnn")
    path = tmp_path / "cudnn.h5"
    tf_keras.Sequential([tf_keras.Input((5, 2)), layer]).save(path)
    values = {
        "kernel": rng.normal(size=(2, 16)),
        "recurrent_kernel": rng.normal(size=(4, 16)),
        "bias": rng.normal(size=32),
    }
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1] = {
            "class_name": "CuDNNLSTM",
            "config": {"name": "rnn", "trainable": True, "dtype": "float32", "units": units},
        }
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.2.4"
        group = file["model_weights"]["rnn"]
        del group["rnn"]
        names = [f"rnn/{name}:0" for name in values]
        group.attrs["weight_names"] = [name.encode() for name in names]
        for name, value in zip(names, values.values(), strict=True):
            group[name] = value.astype("float32")
    return path, values


def run_lstm(rows, weights):
    """Compute what cuDNN does, in NumPy: gates i, f, c, o; two biases."""

    def squash(x):
        return 1 / (1 + np.exp(-x))

    # cuDNN takes the numbers of each gate as a matrix that stands in front of the vector.
    kernel, recurrent = (
        np.hstack([part.reshape(part.T.shape).T for part in np.hsplit(weights[name], 4)])
        for name in ("kernel", "recurrent_kernel")
    )
    bias = weights["bias"].reshape(2, -1).sum(0)
    state = carry = np.zeros((len(rows), 4))
    for step in range(rows.shape[1]):
        gates = rows[:, step] @ kernel + state @ recurrent + bias
        i, f, c, o = np.split(gates, 4, axis=1)
        carry = squash(f) * carry + squash(i) * np.tanh(c)
        state = squash(o) * np.tanh(carry)
    return state


CODE = """
import tf_keras
def make():
    x = tf_keras.Input((5, 2), name="x")
    layer = tf_keras.layers.LSTM(4, recurrent_activation="sigmoid", name="rnn")
    return tf_keras.Model(x, layer(x))
"""


def test_a_layer_for_a_gpu_alone_is_answered_with_what_helps(of_cudnn, tmp_path):
    path, weights = of_cudnn
    with pytest.raises(ModelError, match="No OpKernel was registered to support Op") as caught:
        kprobe.dump(path, "rnn", inputs=ROWS, output=tmp_path / "a.h5")
    assert caught.value.hint == (
        "CuDNNLSTM and CuDNNGRU run on a GPU only: give the model as code, with LSTM (of "
        "recurrent_activation=\"sigmoid\") or GRU in their place, and this file as weights='FILE'"
    )
    (tmp_path / "swirl_lstm.py").write_text(CODE)
    code = f"{tmp_path / 'swirl_lstm.py'}:make"
    kprobe.dump(code, "rnn", weights=path, inputs=ROWS, output=tmp_path / "b.h5")
    with kprobe.open_dump(tmp_path / "b.h5") as dump:
        np.testing.assert_allclose(dump["rnn"][:], run_lstm(ROWS, weights), rtol=1e-4, atol=1e-5)


def test_a_layer_without_its_vocabulary_is_answered_with_what_helps(tmp_path):
    lookup = keras.layers.StringLookup(name="lookup")
    lookup.adapt(np.array(["a", "b", "b"]))
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup])
    words = np.array([["b"], ["a"], ["c"]])
    for ending in ("h5", "keras"):
        model.save(tmp_path / f"m.{ending}")
    with pytest.raises(ModelError, match="Table not initialized") as caught:
        kprobe.activations(tmp_path / "m.h5", "lookup", inputs=words)
    assert caught.value.hint == (
        "a layer of it has no vocabulary; HDF5 keeps none that was adapted or read: save the "
        "model as .keras"
    )
    found = kprobe.activations(tmp_path / "m.keras", "lookup", inputs=words)["lookup"]
    assert found.ravel().tolist() == [1, 2, 0]  # by how often each was there
