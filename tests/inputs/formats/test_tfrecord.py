"""TFRecord files of examples give what TensorFlow reads from them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from opened import open_all

from kprobe.errors import InputError, SampleError
from kprobe.image_options import ImageOptions
from kprobe.inputs import ModelInput

ROWS = np.random.default_rng(0).normal(size=(11, 4, 6)).astype("float32")
PIXELS = np.random.default_rng(1).integers(0, 256, (11, 16, 20, 3), "uint8")
X = ModelInput("x", (None, 4, 6), "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if value.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=value.ravel()))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value.ravel()))


def write(name, examples, compression=None):
    with tf.io.TFRecordWriter(name, compression) as writer:
        for example in examples:
            features = {key: feature(value) for key, value in example.items()}
            record = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(record.SerializeToString())


def make_examples():
    for row, (values, pixels) in enumerate(zip(ROWS, PIXELS, strict=True)):
        yield {
            "floats": values,
            "label": np.array([row]),
            "png": tf.io.encode_png(pixels).numpy(),
            "tensor": tf.io.serialize_tensor(values).numpy(),
            "bytes": values.tobytes(),
            "text": f"row {row}".encode(),
        }


def read(text, model_input=X, batch_size=4, **options):
    with open_all([text], [model_input], **options) as samples:
        samples.peek(2)
        batches = [batch[model_input.name] for _, batch in samples.batches(batch_size)]
        return [name.decode() for name in samples.names()[:]], np.concatenate(batches)


@pytest.mark.parametrize("compression", [None, "GZIP"])
@pytest.mark.parametrize("batch_size", [1, 4, 11])
@pytest.mark.parametrize("key", ["floats", "tensor", "bytes"])
def test_features_have_the_shape_of_the_input(key, batch_size, compression):
    write("a.tfrecord", make_examples(), compression)
    names, rows = read(f"x=a.tfrecord:{key}", batch_size=batch_size)
    np.testing.assert_array_equal(rows, ROWS)
    assert rows.dtype == np.float32
    assert names == [f"a.tfrecord:{key}[{row:}]" for row in range(11)]


@pytest.mark.parametrize("compression", [None, "GZIP"])
def test_integers_and_texts_are_read(compression):
    write("a.tfrecord", make_examples(), compression)
    labels = read("a.tfrecord:label", ModelInput("y", (None,), "int64"))[1]
    assert labels.tolist() == list(range(11))
    texts = read("a.tfrecord:text", ModelInput("y", (None,), "string"))[1]
    assert texts.tolist() == [f"row {row}".encode() for row in range(11)]


@pytest.mark.parametrize("shape", [(None, 16, 20, 3), (None, None, None, 3)])
def test_encoded_images_are_decoded(shape):
    write("a.tfrecord", make_examples())
    image = ModelInput("image", shape, "float32")
    np.testing.assert_array_equal(read("a.tfrecord:png", image)[1], PIXELS)
    smaller = {"": ImageOptions(resize=(8, 10), interpolation="nearest")}
    rows = read("a.tfrecord:png", ModelInput("image", (None, 8, 10, 3), "float32"), images=smaller)
    np.testing.assert_array_equal(rows[1], PIXELS[:, 1::2, 1::2])


def test_shards_follow_one_another_with_names_of_their_own():
    examples = [*make_examples()]
    write("train.tfrecord-00000-of-00002", examples[:7])
    write("train.tfrecord-00001-of-00002", examples[7:])
    names, rows = read("x=train.tfrecord-*:floats")
    np.testing.assert_array_equal(rows, ROWS)
    assert names[6:8] == [
        "train.tfrecord-00000-of-00002:floats[6]",
        "train.tfrecord-00001-of-00002:floats[0]",
    ]


def test_a_feature_with_the_name_of_the_input_needs_no_key():
    write("a.tfrecord", ({"x": row, "other": row} for row in ROWS))
    np.testing.assert_array_equal(read("a.tfrecord")[1], ROWS)


def test_records_that_differ_are_damaged_rows():
    write(
        "a.tfrecord",
        [{"x": ROWS[0]}, {"x": ROWS[1][:2]}, {"y": ROWS[2]}, {"x": b"text"}, {"x": ROWS[4]}],
    )
    with pytest.raises(SampleError, match=r"^a.tfrecord:x\[1\]: expected 24 values of float32"):
        read("a.tfrecord", batch_size=5)
    with open_all(["a.tfrecord"], [X]) as samples:
        samples.keep_going = True
        ((_, batch),) = samples.batches(5)
    np.testing.assert_array_equal(batch["x"][[0, 4]], ROWS[[0, 4]])
    assert samples.faults == {
        1: "a.tfrecord:x[1]: expected 24 values of float32, received 12 of float32",
        2: "a.tfrecord:x[2]: the record has no feature 'x'",
        3: "a.tfrecord:x[3]: expected numbers, received bytes_list",
    }


def test_a_damaged_image_in_a_record_is_a_damaged_row():
    examples = [*make_examples()]
    examples[3]["png"] = examples[3]["png"][:60]
    write("a.tfrecord", examples)
    image = ModelInput("image", (None, 16, 20, 3), "float32")
    with pytest.raises(SampleError, match=r"png\[3\]: the PNG image is damaged or cut short$"):
        read("a.tfrecord:png", image)


def test_what_cannot_be_read_is_said():
    write("a.tfrecord", make_examples())
    content = Path("a.tfrecord").read_bytes()
    Path("cut.tfrecord").write_bytes(content[:-9])
    Path("cut.gz").write_bytes(gzip.compress(content)[:-900])
    Path("not.gz").write_bytes(gzip.compress(b"something else"))
    with tf.io.TFRecordWriter("other.tfrecord") as writer:
        writer.write(b"\xff no example")
    for text, fault in [
        ("a.tfrecord:flaots", r"no feature 'flaots' in the first record; it holds bytes, floats"),
        ("a.tfrecord", r"expected one array, or one named x, received bytes, floats, label"),
        (
            "cut.tfrecord:floats",
            r"expected a TFRecord file, and record 10 is damaged or cut",
        ),
        ("cut.gz:floats", r"cut.gz: can't be read: Compressed file ended"),
        ("not.gz", r"received a gzip file"),
        ("other.tfrecord", r"expected records of tf.train.Example, received others"),
        ("a.tfrecord:text", r"expected encoded images, serialized tensors, or the bytes of x"),
    ]:
        with pytest.raises(InputError, match=fault):
            open_all([text], [X])
