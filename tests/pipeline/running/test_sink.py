"""A dump of samples that nobody counted stays within the bytes that are allowed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import kprobe

ROWS = 60
DATA = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")


class Positive(keras.layers.Layer):
    """The values above zero of the only sample: as many as there are."""

    def call(self, x):
        return tf.boolean_mask(x[0], x[0] > 0)

    def compute_output_shape(self, shape):
        return (None,)


def dense():
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.ReLU(name="layer")(x))


def ragged():
    x = keras.Input((4,), name="x")
    return keras.Model(x, Positive(name="layer")(x))


def both():
    x = keras.Input((4,), name="x")
    return keras.Model(x, [keras.layers.ReLU(name="whole")(x), Positive(name="layer")(x)])


def batches():
    yield from np.split(DATA, range(7, ROWS, 7))


# The bytes of a ragged row: of its values, and of the place and the length, int64 each.
RAGGED = 4 * (DATA > 0).sum(1) + 8 + 8
# By kind the model, the bytes of each row, and those of the place at which all end.
KINDS = {
    "dense": (dense, np.full(ROWS, 16), 0),
    "ragged": (ragged, RAGGED, 8),
    "both": (both, RAGGED + 16, 8),
}


def read_committed(path):
    with kprobe.open_dump(path) as dump:
        return dump.committed


@pytest.mark.parametrize("most", [150, 500, 777])
@pytest.mark.parametrize("kind", KINDS)
def test_it_stops_before_it_has_more_however_often_it_is_continued(kind, most, tmp_path):
    make, sizes, end = KINDS[kind]
    layers = "whole,layer" if kind == "both" else "layer"
    options = {"inputs": batches, "output": tmp_path / "a.h5"}
    options["batch_size"] = 4 if kind == "dense" else 1
    partial = tmp_path / "a.h5.partial"
    model, committed = make(), []
    for run in range(3):
        with pytest.raises(kprobe.KprobeError) as caught:
            kprobe.dump(model, layers, max_bytes=most, resume=run > 0, **options)
        committed.append(read_committed(partial))
        assert caught.value.exit_code == 75
        assert str(caught.value) == (
            f"{most} bytes are allowed, and the next {options['batch_size']} samples would be "
            f"more: {committed[-1]} samples are in {partial}; allow more with max_bytes, and "
            "continue with the same command and resume=True"
        )
    rows = committed[0]
    assert committed == [rows] * 3
    # All that there is room for, and no more.
    size = options["batch_size"]
    assert sizes[:rows].sum() + end <= most < sizes[: rows + size].sum() + end
    receipt = kprobe.dump(model, layers, max_bytes=int(sizes.sum()) + end, resume=True, **options)
    assert (receipt.rows, receipt.resumed) == (ROWS, rows)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        for row in range(ROWS):
            expected = np.maximum(DATA[row], 0) if kind == "dense" else DATA[row][DATA[row] > 0]
            np.testing.assert_array_equal(dump["layer"][row], expected)


def test_weights_count_too(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="layer")])
    options = {"inputs": batches, "batch_size": 4}
    most = 4 * 3 * 4 + 40 * 3 * 4
    for layers, rows in (("layer", 44), ("layer,layer:kernel", 40)):
        output = tmp_path / f"{rows}.h5"
        with pytest.raises(kprobe.KprobeError, match=f"{rows} samples are in"):
            kprobe.dump(model, layers, output=output, max_bytes=most, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_batch_that_is_too_large_leaves_nothing_and_says_why(kind, tmp_path):
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(
            KINDS[kind][0](), "layer", inputs=batches, output=tmp_path / "a.h5", max_bytes=9
        )
    assert str(caught.value).startswith("9 bytes are allowed, and the next ")
    assert str(caught.value).endswith(
        "would be more: stopped before anything was written; allow more with max_bytes"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_can_not_be_continued_is_not_told_to_be(tmp_path):
    x = keras.Input((4,), name="x")
    layer = keras.layers.Lambda(lambda t: t + tf.random.poisson((), t), name="layer")
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.dump(
            keras.Model(x, layer(x)),
            "layer",
            inputs=batches,
            output=tmp_path / "a.h5",
            batch_size=4,
            max_bytes=100,
        )
    assert str(caught.value).endswith(
        "; allow more with max_bytes; it can't be continued: "
        "layers draw random numbers that no seed reaches"
    )
