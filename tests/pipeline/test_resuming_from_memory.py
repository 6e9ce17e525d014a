"""A run over what is in memory isn't continued with what begins otherwise."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.errors import StoppedError

ONE, OTHER = np.random.default_rng(0).normal(size=(2, 24, 4)).astype("float32")
ROW_BYTES = 12


@pytest.fixture(scope="module")
def model():
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(3, name="d")(x))


def split(data, size=4):
    yield from (data[row : row + size] for row in range(0, len(data), size))


class Indexed(keras.utils.PyDataset):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def __len__(self):
        return 6

    def __getitem__(self, number):
        return self.data[4 * number : 4 * number + 4]


KINDS = {
    "generator": split,
    "function": lambda data: lambda: split(data),
    "partial": lambda data: partial(split, data),
    "PyDataset": Indexed,
    "dataset of batches": lambda data: tf.data.Dataset.from_tensor_slices(data).batch(4),
    "dataset of samples": tf.data.Dataset.from_tensor_slices,
    "named": lambda data: lambda: ({"x": part} for part in split(data)),
}


def begin(model, given, path):
    with pytest.raises(StoppedError):
        kprobe.dump(
            model, "d", inputs=given, output=path, batch_size=4, stop_after=1e-9, overwrite=True
        )


@pytest.mark.parametrize("kind", KINDS)
def test_what_begins_otherwise_is_refused(model, kind, tmp_path):
    make, path = KINDS[kind], tmp_path / "a.h5"
    begin(model, make(ONE), path)
    with pytest.raises(kprobe.KprobeError, match="is of another run") as caught:
        kprobe.dump(model, "d", inputs=make(OTHER), output=path, batch_size=4, resume=True)
    assert any("first_sha256" in fault for fault in caught.value.faults)
    receipt = kprobe.dump(model, "d", inputs=make(ONE), output=path, batch_size=4, resume=True)
    assert receipt.resumed >= 4
    expected = kprobe.activations(model, "d", ONE, batch_size=4)["d"]
    with kprobe.open_dump(path) as dump:
        np.testing.assert_array_equal(dump["d"][:], expected)
    # Nor is the finished one taken for what the others give.
    with pytest.raises(kprobe.KprobeError, match="first_sha256"):
        kprobe.dump(model, "d", inputs=make(OTHER), output=path, batch_size=4, resume=True)


def test_the_size_of_the_batches_given_does_not_matter(model, tmp_path):
    begin(model, split(ONE, 4), tmp_path / "a.h5")
    receipt = kprobe.dump(
        model, "d", inputs=split(ONE, 6), output=tmp_path / "a.h5", batch_size=4, resume=True
    )
    assert receipt.rows == 24
