"""Activations in memory say which samples were skipped, and why."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe


@pytest.fixture
def folder(tmp_path):
    """Five images, of which two can't be read."""
    for number in range(5):
        image = np.full((6, 6, 3), 40 * number, np.uint8)
        (tmp_path / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    (tmp_path / "3.png").write_bytes(b"")
    return tmp_path


@pytest.fixture(scope="module")
def model():
    x = keras.Input((6, 6, 3), name="x")
    return keras.Model(x, keras.layers.Flatten(name="flat")(x))


@pytest.mark.parametrize("batch_size", [2, 5])
def test_rows_that_were_skipped_are_told(model, folder, batch_size):
    received = kprobe.activations(model, "flat", folder, on_error="skip", batch_size=batch_size)
    assert [*received] == ["flat", "valid", "reason"]
    assert received["valid"].tolist() == [True, False, True, False, True]
    assert received["valid"].dtype == bool
    assert [bool(reason) for reason in received["reason"]] == [False, True, False, True, False]
    assert received["reason"][1].startswith("1.png: ")
    np.testing.assert_array_equal(np.isnan(received["flat"]).all(axis=1), ~received["valid"])


def test_it_is_as_in_a_dump(model, folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "a.h5"
    received = kprobe.activations(model, "flat", folder, on_error="skip")
    kprobe.dump(model, "flat", inputs=folder, output=path, on_error="skip")
    with kprobe.open_dump(path) as dump:
        np.testing.assert_array_equal(dump.valid, received["valid"])
        for kept, told in zip(dump.reason, received["reason"], strict=True):
            assert told.startswith(kept)


def test_without_skipping_there_is_nothing_to_tell(model):
    assert [*kprobe.activations(model, "flat", np.zeros((2, 6, 6, 3), "f4"))] == ["flat"]
