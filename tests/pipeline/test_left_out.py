"""Samples that can't be read keep their rows, and tensors that aren't finite are found."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import kprobe
from kprobe.cli.main import cli

ROWS = 10
BAD = {3: "damaged", 8: "empty"}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 3), name="x")
    h = keras.layers.Conv2D(2, 3, name="conv")(x)
    count = keras.layers.Lambda(lambda t: tf.cast(t > 0, tf.int32), name="count")(h)
    kept = keras.layers.Lambda(lambda t: tf.boolean_mask(t, t > 100), name="kept")(x)
    return keras.Model(x, [count, kept])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, two of which can't be decoded."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for row in range(ROWS):
        content = tf.io.encode_png(rng.integers(0, 256, (6, 6, 3), "uint8")).numpy()
        content = {"damaged": content[:60], "empty": b""}.get(BAD.get(row, ""), content)
        (folder / f"{row}.png").write_bytes(content)
    return folder


def read_good(folder):
    good = [row for row in range(ROWS) if row not in BAD]
    images = [tf.io.decode_png((folder / f"{row}.png").read_bytes()).numpy() for row in good]
    return good, np.array(images)


def test_what_can_not_be_read_is_not_in_the_statistics_of_a_batch(folder, tmp_path):
    x = keras.Input((6, 6, 3), name="x")
    model = keras.Model(x, keras.layers.BatchNormalization(name="norm")(x))
    options = {"inputs": str(folder), "output": tmp_path / "a.h5", "batch_size": ROWS}
    kprobe.dump(model, "norm", on_error="skip", training=True, **options)
    good, images = read_good(folder)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        expected = (images - images.mean((0, 1, 2))) / np.sqrt(images.var((0, 1, 2)) + 1e-3)
        np.testing.assert_allclose(dump["norm"][:][good], expected, rtol=1e-4, atol=1e-4)
        assert np.isnan(dump["norm"][:][list(BAD)]).all()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_sample_that_can_not_be_read_keeps_its_row(model, folder, tmp_path, batch_size):
    receipt = kprobe.dump(
        model,
        "conv,count",
        inputs=str(folder),
        output=tmp_path / "a.h5",
        on_error="skip",
        batch_size=batch_size,
    )
    assert (receipt.rows, receipt.left_out) == (ROWS, len(BAD))
    good, images = read_good(folder)
    expected = keras.Model(model.input, model.get_layer("conv").output)(images).numpy()
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        assert np.flatnonzero(~dump.valid).tolist() == list(BAD)
        assert dump.reason[3] == "3.png: the PNG image is damaged or cut short"
        assert dump.reason[8] == "8.png: is empty (0 bytes)"
        assert not dump.reason[good].any()
        assert dump.sample[3] == "3.png"
        np.testing.assert_allclose(dump["conv"][:][good], expected, rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(dump["count"][:][good], expected > 0)
        assert np.isnan(dump["conv"][:][list(BAD)]).all()
        assert not dump["count"][:][list(BAD)].any()


def test_of_rows_of_different_shapes_it_keeps_an_empty_one(model, folder, tmp_path):
    path = tmp_path / "a.h5"
    kprobe.dump(model, "kept", inputs=str(folder), output=path, on_error="skip")
    good, images = read_good(folder)
    with kprobe.open_dump(path) as dump:
        for row, image in zip(good, images, strict=True):
            np.testing.assert_array_equal(dump["kept"][row], image[image > 100])
        assert [dump["kept"][row].size for row in BAD] == [0, 0]


def test_by_default_the_run_ends_there(model, folder, tmp_path):
    with pytest.raises(kprobe.KprobeError, match=r"3\.png: the PNG image is damaged"):
        kprobe.dump(model, "conv", inputs=str(folder), output=tmp_path / "a.h5", batch_size=2)
    with kprobe.open_dump(tmp_path / "a.h5.partial") as dump:
        assert dump.committed == 2


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
def test_the_exit_code_tells_of_samples_left_out(model, folder, tmp_path, monkeypatch):
    model_path = tmp_path / "m.keras"
    keras.Model(model.input, model.get_layer("conv").output).save(model_path)
    command = ["dump", str(model_path), "-l", "conv", "-i", str(folder), "-v"]
    command += ["-o", str(tmp_path / "a.h5"), "--on-error", "skip"]
    for extra in ([], ["--resume"]):
        # An earlier command in this process has taken stdout.
        monkeypatch.setattr("kprobe.cli.stdio._own_stdout", None)
        done = CliRunner().invoke(cli, [*command, *extra])
        assert done.exit_code == 3, done.output
    assert "10 samples" in done.output
    assert "are there already" in done.output


class Divide(keras.layers.Layer):
    def call(self, x):
        return tf.math.log(x, name="log") / x


@pytest.fixture
def dividing():
    x = keras.Input((4,), name="x")
    h = Divide(name="divide")(keras.layers.Dense(4, "relu", name="first")(x))
    return keras.Model(x, keras.layers.Dense(2, name="last")(h))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.nan, r"^first holds NaN in sample 5 \(array\[5\]\)"),
        (-1e30, r"^divide//log\S* holds infinity in sample 5 \(array\[5\]\)"),
    ],
)
def test_the_first_tensor_that_is_not_finite_is_named(dividing, tmp_path, bad, message):
    dividing.get_layer("first").set_weights([np.eye(4, dtype="float32"), np.zeros(4, "float32")])
    data = np.ones((9, 4), "float32")
    data[5, 1] = bad
    options = {"inputs": data, "output": tmp_path / "a.h5", "batch_size": 3}
    with pytest.raises(kprobe.KprobeError, match=message) as caught:
        # The order they are asked for in isn't the model's.
        kprobe.dump(dividing, "last,divide,divide//log*:0,first", fail_on="nan", **options)
    assert caught.value.exit_code == 1
    with kprobe.open_dump(tmp_path / "a.h5.partial") as dump:
        assert dump.committed == 3
    data[5, 1] = 1.0
    options["inputs"] = data
    kprobe.dump(dividing, "last,divide", fail_on="nan", overwrite=True, **options)


def test_several_batches_at_a_time_give_the_same(model, tmp_path):
    data = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 3)).astype("uint8")
    dumps = []
    for streams in (1, 3):
        path = tmp_path / f"{streams}.h5"
        kprobe.dump(model, "conv", inputs=data, output=path, streams=streams, batch_size=4)
        with kprobe.open_dump(path) as dump:
            dumps.append(dump["conv"][:])
    np.testing.assert_array_equal(*dumps)


def test_what_is_set_before_each_batch_runs_one_at_a_time(tmp_path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dropout(0.5, name="drop")(x))
    with pytest.raises(kprobe.KprobeError, match="2 streams: with state or seeds"):
        kprobe.dump(model, "drop", output=tmp_path / "a.h5", training=True, streams=2)
