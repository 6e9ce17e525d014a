"""For a model that doesn't say what it takes, the sources say it, whatever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pytest
import tensorflow as tf
from pyarrow import parquet

from kprobe.errors import InputError
from kprobe.image_options import ImageOptions
from kprobe.inputs import ModelInput, SampleSpec, open_samples

ROWS = np.arange(22.0, dtype="float32").reshape(11, 2)
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def draw(path, *shape):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, shape, np.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return pixels


def read(given, **options):
    with open_samples(SampleSpec(inputs=given, **options), None) as samples:
        samples.restrict(samples.given)
        assert samples.peek(1).keys() == samples.sources.keys()
        ((_, batch),) = samples.batches(64)
        return batch, [name.decode() for name in samples.names()[:]]


def find_fault(given, **options):
    with pytest.raises(InputError) as caught:
        read(given, **options)
    return caught.value.faults[0]


def test_inputs_are_called_as_they_are_named():
    np.save("a.npy", ROWS)
    np.savez("two.npz", left=ROWS, right=-ROWS)
    assert list(read("a.npy")[0]) == ["inputs"]
    assert list(read("x=a.npy")[0]) == ["x"]
    assert list(read(["y=a.npy", "x=a.npy"])[0]) == ["y", "x"]
    assert list(read("two.npz")[0]) == ["left", "right"]
    assert list(read("two.npz:right")[0]) == ["inputs"]
    assert list(read({"z": "two.npz:right", "a": ROWS})[0]) == ["z", "a"]
    assert list(read(lambda: iter([{"b": ROWS, "a": ROWS}]), limit=11)[0]) == ["b", "a"]
    assert list(read(lambda: iter([[ROWS]]), limit=11)[0]) == ["inputs"]


def test_several_sources_of_one_input_are_read_in_a_row():
    np.save("a.npy", ROWS)
    np.save("b.npy", -ROWS)
    batch, names = read(["x=a.npy", "x=b.npy"])
    np.testing.assert_array_equal(batch["x"], np.concatenate([ROWS, -ROWS]))
    assert names[11:13] == ["b.npy[0]", "b.npy[1]"]
    np.testing.assert_array_equal(read("*.npy")[0]["inputs"], batch["x"])


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(5, 4, 3), (5, 4, 3)], (2, 5, 4, 3)),
        ([(5, 4), (5, 4)], (2, 5, 4, 1)),
        ([(5, 4, 4), (5, 4, 4)], (2, 5, 4, 4)),
        ([(5, 4), (5, 4, 3)], (2, 5, 4, 3)),
        ([(5, 4, 3), (5, 4, 4)], (2, 5, 4, 3)),
    ],
)
def test_images_have_their_own_size_and_channels(shapes, expected):
    drawn = [draw(f"tree/{n}.png", *shape) for n, shape in enumerate(shapes)]
    for given in ("tree", "tree/*.png", "x=tree"):
        batch, names = read(given)
        (images,) = batch.values()
        assert images.shape == expected
        assert images.dtype == np.uint8
        for image, pixels in zip(images, drawn, strict=True):
            if pixels.shape == image.shape:
                np.testing.assert_array_equal(image, pixels)
        assert names == ["0.png", "1.png"]


def test_images_may_differ_in_size():
    drawn = [draw(f"tree/{n}.png", 5 + n, 4, 3) for n in range(3)]
    batch, _ = read("tree")
    for image, pixels in zip(batch["inputs"], drawn, strict=True):
        np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("name", ["", "x"])
def test_images_are_resized_as_asked(name):
    draw("tree/0.png", 5, 4, 3)
    draw("tree/1.png", 9, 4, 3)
    images = {name: ImageOptions(resize=(6, 7), channels=1)}
    assert read("x=tree", images=images)[0]["x"].shape == (2, 6, 7, 1)
    assert read("x=tree/0.png", images={"": ImageOptions(channels=4)})[0]["x"].shape == (1, 5, 4, 4)


def test_what_cannot_be_resized_is_said():
    draw("tree/0.png", 5, 4, 3)
    np.save("a.npy", ROWS)
    images = {"": ImageOptions(resize="model")}
    assert find_fault("tree", images=images) == (
        "resize to the model's size: the model doesn't say what it takes"
    )
    images = {"": ImageOptions(resize=(9, 9))}
    assert find_fault("a.npy", images=images) == "resizing is for images, received a.npy"
    images = {"y": ImageOptions(resize=(9, 9))}
    assert find_fault("x=tree", images=images).startswith("how images are resized: no input 'y'")


def test_images_that_cannot_be_read_are_passed_over_when_asked():
    draw("tree/a.png", 5, 4, 3)
    Path("tree/b.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert find_fault("tree").startswith("b.png: ")
    with open_samples(SampleSpec(inputs="tree", on_error="skip"), None) as samples:
        ((_, batch),) = samples.batches(4)
        assert not batch["inputs"][1].any()
        assert list(samples.faults) == [1]


def test_labels_are_the_folders():
    draw("tree/cat/a.png", 5, 4, 3)
    draw("tree/ant/b.png", 5, 4, 3)
    with open_samples(SampleSpec(inputs="tree", labels_from_folders=True), None) as samples:
        assert samples.labels.classes == ["ant", "cat"]
        assert samples.labels.indices.tolist() == [0, 1]


def write_records(**features):
    with tf.io.TFRecordWriter("a.tfrecord") as writer:
        for row in range(3):
            made = {name: make(row) for name, make in features.items()}
            example = tf.train.Example(features=tf.train.Features(feature=made))
            writer.write(example.SerializeToString())


def as_bytes(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def test_records_hold_numbers_images_tensors_or_texts():
    pixels = draw("a.png", 5, 4, 3)
    encoded = Path("a.png").read_bytes()
    write_records(
        numbers=lambda row: tf.train.Feature(float_list=tf.train.FloatList(value=[row, 2, 3])),
        image=lambda _: as_bytes(encoded),
        tensor=lambda row: as_bytes(tf.io.serialize_tensor(ROWS[row]).numpy()),
        text=lambda row: as_bytes(
            b"BMW, or the like: a text that begins as a picture does %d" % row
        ),
    )
    batch, names = read("a.tfrecord:numbers")
    np.testing.assert_array_equal(batch["inputs"], [[row, 2, 3] for row in range(3)])
    assert names[2] == "a.tfrecord:numbers[2]"
    np.testing.assert_array_equal(read("a.tfrecord:image")[0]["inputs"], [pixels] * 3)
    np.testing.assert_array_equal(read("a.tfrecord:tensor")[0]["inputs"], ROWS[:3])
    assert read("x=a.tfrecord:text")[0]["x"][1].endswith(b"does 1")
    assert list(read("a.tfrecord")[0]) == ["image", "numbers", "tensor", "text"]
    images = {"image": ImageOptions(resize=(2, 2))}
    assert read("a.tfrecord", images=images)[0]["image"].shape == (3, 2, 2, 3)


def test_columns_hold_numbers_images_or_texts():
    pixels = draw("a.png", 5, 4, 3)
    encoded = Path("a.png").read_bytes()
    columns = {"numbers": ROWS[:3].tolist(), "text": ["BM", "b", "c"], "image": [encoded] * 3}
    parquet.write_table(pa.table(columns), "a.parquet")
    batch, _ = read("a.parquet")
    np.testing.assert_array_equal(batch["numbers"], ROWS[:3])
    assert batch["text"].tolist() == [b"BM", b"b", b"c"]
    np.testing.assert_array_equal(batch["image"], [pixels] * 3)


def test_a_dataset_holds_batches_unless_its_targets_are_single_values():
    pairs = tf.data.Dataset.from_tensor_slices((ROWS, ROWS[:, 0]))
    for dataset in (pairs, pairs.batch(4), tf.data.Dataset.from_tensors(ROWS)):
        np.testing.assert_array_equal(read(dataset, limit=11)[0]["inputs"], ROWS)


def test_what_no_model_could_take_is_said():
    np.save("none.npy", ROWS[:0])
    np.save("a.npy", ROWS)
    np.save("b.npy", ROWS[:5])
    assert (
        find_fault("x=none.npy") == "input 'x' expects samples, received none: none.npy has 0 rows"
    )
    assert find_fault(["x=a.npy", "y=b.npy"]) == (
        "expected as many rows for every input, received 11 from a.npy, 5 from b.npy"
    )
    assert find_fault(()) == "expected samples, received none"
    np.savez("two.npz", left=ROWS, right=-ROWS)
    assert find_fault("x=two.npz") == "x=two.npz: expected one array, received left, right"


def test_the_files_are_the_same_whether_the_model_says_what_it_takes_or_not():
    draw("tree/0.png", 5, 4, 3)
    np.save("a.npy", ROWS)
    for given, name, shape, dtype in (
        ("tree", "inputs", (None, None, None, 3), "float32"),
        ("x=a.npy", "x", (None, 2), "float32"),
    ):
        told = ModelInput(name, shape, dtype)
        with (
            open_samples(SampleSpec(inputs=given), None) as unnamed,
            open_samples(SampleSpec(inputs=given), [told]) as named,
        ):
            assert unnamed.identity() == named.identity()
            assert unnamed.names()[:].tolist() == named.names()[:].tolist()
