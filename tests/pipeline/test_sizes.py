"""Samples of different sizes, for models without a size of their own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe

SIZES = [(6, 9), (12, 7), (6, 9), (5, 5), (12, 7), (6, 9), (8, 8)]


def make_images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3)).astype("uint8") for size in SIZES]


@pytest.fixture(params=[keras, tf_keras], ids=["keras", "tf_keras"])
def model(request):
    k = request.param
    k.utils.set_random_seed(0)
    x = k.Input((None, None, 3), name="x")
    h = k.layers.Conv2D(4, 3, name="conv")(x)
    pooled = k.layers.GlobalAveragePooling2D(name="pool")(h)
    return k.Model(x, k.layers.Dense(2, name="out")(pooled))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for row, image in enumerate(make_images()):
        (folder / f"{row}.png").write_bytes(tf.io.encode_png(image).numpy())
    return folder


def check(path, model, rows=(0, 1, 2, 3, 4, 5, 6)):
    function = tf_keras.backend.function if isinstance(model, tf_keras.Model) else keras.Function
    layers = [model.get_layer(name) for name in ("conv", "pool", "out")]
    reference = function(model.inputs, [layer.output for layer in layers])
    images = make_images()
    with kprobe.open_dump(path) as dump:
        assert isinstance(dump["pool"][:], np.ndarray)
        for row in rows:
            conv, pool, out = (
                np.asarray(r) for r in reference([images[row][None].astype("float32")])
            )
            assert dump["conv"][row].shape == (SIZES[row][0] - 2, SIZES[row][1] - 2, 4)
            np.testing.assert_allclose(dump["conv"][row], conv[0], rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(dump["pool"][row], pool[0], rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(dump["out"][row], out[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 5, None])
def test_images_of_different_sizes_keep_their_sizes_and_their_order(
    model, folder, tmp_path, batch_size
):
    path = tmp_path / "a.h5"
    kprobe.dump(model, "conv,pool,out", inputs=str(folder), output=path, batch_size=batch_size)
    check(path, model)
    with kprobe.open_dump(path) as dump:
        assert dump.sample.tolist() == [f"{row}.png" for row in range(len(SIZES))]


def test_arrays_of_different_sizes_are_samples(model, tmp_path):
    path = tmp_path / "a.h5"
    kprobe.dump(model, "conv,pool,out", inputs=make_images(), output=path, streams=2, batch_size=3)
    check(path, model)


def write_records(path):
    with tf.io.TFRecordWriter(path) as writer:
        for image in make_images():
            tensor = tf.io.serialize_tensor(image).numpy()
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[tensor]))
            example = tf.train.Example(features=tf.train.Features(feature={"x": feature}))
            writer.write(example.SerializeToString())
    return path


def give_batches():
    images = make_images()
    yield {"x": images[:2]}
    yield {"x": images[2:3]}
    yield {"x": images[3:]}


GIVEN = {
    "records": lambda folder: write_records(f"{folder}/a.tfrecord"),
    "batches of a function": lambda _: give_batches,
    "batches that come once": lambda _: give_batches(),
    "one by one": lambda _: lambda: (image[None] for image in make_images()),
    "a dataset": lambda _: tf.data.Dataset.from_generator(
        lambda: iter(make_images()), output_signature=tf.TensorSpec((None, None, 3), tf.uint8)
    ),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_whatever_gives_samples_of_different_sizes(kind, model, tmp_path):
    path = tmp_path / "a.h5"
    given = GIVEN[kind](tmp_path)
    kprobe.dump(model, "conv,pool,out", inputs=given, output=path, batch_size=3)
    check(path, model)


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_a_ragged_column_of_a_dump_is_fed_and_read(model, tmp_path, batch_size):
    path, fed, read = (tmp_path / f"{name}.h5" for name in ("a", "fed", "read"))
    kprobe.dump(model, "conv,pool,out", inputs=make_images(), output=path)
    options = {"batch_size": batch_size}
    kprobe.dump(model, "conv,pool,out", feeds=[f"conv={path}:conv"], output=fed, **options)
    check(fed, model)
    # The samples themselves, as another model has them.
    k = tf_keras if isinstance(model, tf_keras.Model) else keras
    x = k.Input((None, None, 4), name="conv")
    other = k.Model(x, k.layers.GlobalMaxPooling2D(name="most")(x))
    kprobe.dump(other, "most", inputs=str(path), output=read, **options)
    with kprobe.open_dump(path) as dump, kprobe.open_dump(read) as most:
        expected = [dump["conv"][row].max((0, 1)) for row in range(len(SIZES))]
        np.testing.assert_array_equal(most["most"][:], expected)
        assert most.sample.tolist() == [f"a.h5:conv[{row}]" for row in range(len(SIZES))]


def test_an_image_that_can_not_be_read_has_a_row(model, folder, tmp_path):
    (folder / "2.png").write_bytes(b"")
    path = tmp_path / "a.h5"
    options = {"inputs": str(folder), "output": path, "on_error": "skip"}
    kprobe.dump(model, "conv,pool,out", **options)
    check(path, model, [0, 1, 3, 4, 5, 6])
    with kprobe.open_dump(path) as dump:
        assert dump["conv"][2].shape == (0, 0, 4)
        assert np.isnan(dump["pool"][2]).all()


def test_a_model_with_a_size_takes_one_size_only(tmp_path):
    x = keras.Input((8, 8, 3), name="x")
    model = keras.Model(x, keras.layers.Flatten(name="f")(x))
    message = r"input 'x' expects shape \(None, 8, 8, 3\), received \(7, None, None, 3\) from array"
    with pytest.raises(kprobe.KprobeError, match=message):
        kprobe.dump(model, "f", inputs=make_images(), output=tmp_path / "a.h5")


def test_arrays_of_several_kinds_are_refused(model, tmp_path):
    arrays = [np.zeros((4, 4, 3), "uint8"), np.zeros((5, 4, 3), "float32")]
    with pytest.raises(kprobe.KprobeError, match="arrays of one dtype and rank, received float32"):
        kprobe.dump(model, "conv", inputs=arrays, output=tmp_path / "a.h5")
