"""Rows of several shapes are read from whatever can hold them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from opened import open_all

import kprobe
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ragged_rows import encode_texts
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import InputError
from kprobe.inputs import ModelInput

RNG = np.random.default_rng(0)
LENGTHS = [3, 5, 3, 1, 7, 5, 2, 4, 6]
STEPS = [RNG.normal(size=(length, 4)).astype("f4") for length in LENGTHS]
TOKENS = [RNG.integers(0, 99, length) for length in LENGTHS]
X = ModelInput("x", (None, None, 4), "float32")
IDS = ModelInput("x", (None, None), "int64")
ROWS = {X: STEPS, IDS: TOKENS}
EACH = pytest.mark.parametrize("model_input", ROWS, ids=["steps", "tokens"])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def check(given, model_input, rows=None, *, batch_size=4, **options):
    """Read a source with peeks before, in batches, and from the middle on."""
    rows = ROWS[model_input] if rows is None else rows
    with open_all(given, [model_input], **options) as samples:
        assert -1 in samples.specs()["x"][0]
        first = samples.peek(3)["x"]
        alike = [row for row in rows[:3] if row.shape == rows[0].shape]
        np.testing.assert_array_equal(first, alike)
        read = [row for _, batch in samples.batches(batch_size) for row in batch["x"]]
        assert len(read) == len(rows)
        for row, expected in zip(read, rows, strict=True):
            np.testing.assert_array_equal(row, expected)
        if samples.replayable:
            ((_, batch),) = samples.batches(3, 5, 8)
            for row, expected in zip(batch["x"], rows[5:8], strict=True):
                np.testing.assert_array_equal(row, expected)


def write_records(name, rows):
    with tf.io.TFRecordWriter(name) as writer:
        for row in rows:
            tensor = tf.train.BytesList(value=[tf.io.serialize_tensor(row).numpy()])
            features = {"tensor": tf.train.Feature(bytes_list=tensor)}
            if row.dtype.kind == "f":
                values = tf.train.Feature(float_list=tf.train.FloatList(value=row.ravel()))
            else:
                values = tf.train.Feature(int64_list=tf.train.Int64List(value=row.ravel()))
            features["flat"] = values
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


@EACH
@pytest.mark.parametrize("key", ["flat", "tensor"])
def test_records(key, model_input):
    write_records("a.tfrecord", ROWS[model_input])
    check(f"a.tfrecord:{key}", model_input)


@EACH
@pytest.mark.parametrize("key", ["flat", "nested"])
def test_lists_in_tables(key, model_input):
    rows = ROWS[model_input]
    flat = [row.ravel().tolist() for row in rows]
    value = pa.float32() if model_input is X else pa.int64()
    nested = pa.list_(value) if model_input is IDS else pa.list_(pa.list_(value, 4))
    columns = {
        "flat": pa.array(flat, pa.list_(value)),
        "nested": pa.array([row.tolist() for row in rows], nested),
    }
    pa.parquet.write_table(pa.table(columns), "a.parquet", row_group_size=2)
    check(f"a.parquet:{key}", model_input)


CODE = """
import numpy as np
import tensorflow as tf
rows = list(np.load("rows.npz").values())

def padded():  # batches that differ, whose rows don't
    for row in rows:
        yield {"x": row[None]}

def lists():
    yield ({"x": rows[:5]},)
    yield ({"x": rows[5:]},)

def ragged():
    yield tf.ragged.stack(rows[:2])
    yield tf.ragged.stack(rows[2:])

def dataset():
    shape = (None, *rows[0].shape[1:])
    spec = tf.TensorSpec(shape, rows[0].dtype)
    return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=spec)

def batched():
    return dataset().ragged_batch(2)

class Indexed:
    def __len__(self):
        return len(rows)

    def __getitem__(self, number):
        return rows[number][None], 0
"""


@pytest.fixture(params=ROWS, ids=["steps", "tokens"])
def code(request):
    np.savez("rows.npz", *ROWS[request.param])
    Path("given.py").write_text(CODE)
    return request.param


@pytest.mark.parametrize("name", ["padded", "lists", "ragged", "batched", "Indexed"])
def test_batches_that_code_gives(name, code):
    check(f"given.py:{name}", code)


def test_what_code_gives_once(code):
    check((row[None] for row in ROWS[code]), code)


@pytest.mark.parametrize("batched", [False, True])
def test_datasets_in_memory_and_saved(batched, code):
    made = kprobe.importing.import_source("given.py").dataset()
    check(made.ragged_batch(2) if batched else made, code)
    if not batched:
        made.save("saved")
        check("saved", code)


def test_what_a_dataset_says_may_differ_needs_no_early_show():
    rows = [STEPS[0]] * 40 + STEPS
    spec = tf.TensorSpec((None, 4), tf.float32)
    made = tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=spec)
    check(made.padded_batch(1), X, rows)
    check(made, X, rows)


def test_rows_that_are_alike_make_arrays_all_the_same():
    rows = np.stack([STEPS[0]] * 5)
    write_records("a.tfrecord", rows)
    for given in ("a.tfrecord:flat", "a.tfrecord:tensor", lambda: iter([rows[:2], rows[2:]])):
        with open_all(given, [X]) as samples:
            assert samples.specs()["x"][0] == (3, 4)
            ((_, batch),) = samples.batches(9)
            np.testing.assert_array_equal(batch["x"], rows)


def test_batches_that_differ_late_are_told_with_what_to_do():
    batches = [STEPS[0][None]] * 20 + [STEPS[1][None]]
    told = pytest.raises(InputError, match=r"and then .* in row 20; let the first batches show")
    with open_all(lambda: iter(batches), [X]) as samples, told:
        list(samples.batches(4))


def test_code_that_fails_later_fails_when_it_is_its_turn():
    def give():
        yield STEPS[0][None]
        raise OSError("no disk")

    with open_all(give, [X], limit=1) as samples:
        ((_, batch),) = samples.batches(4)
        np.testing.assert_array_equal(batch["x"][0], STEPS[0])
    with open_all(give, [X]) as samples, pytest.raises(InputError, match="OSError: no disk"):
        list(samples.batches(4))


@EACH
def test_arrays_of_several_sizes_follow_one_another(model_input):
    rows = ROWS[model_input]
    for number, row in enumerate(rows[:4]):
        np.save(f"{number}.npy", np.stack([row, row]))
    check("?.npy", model_input, [row for row in rows[:4] for _ in range(2)])


def test_where_the_input_has_a_size_rows_must_have_it():
    fixed = ModelInput("x", (None, 3, 4), "float32")
    write_records("a.tfrecord", STEPS)
    with open_all("a.tfrecord:flat", [fixed], on_error="skip") as samples:
        list(samples.batches(9))
        assert samples.faults[1] == (
            "a.tfrecord:flat[1]: expected 12 values of float32, received 20 of float32"
        )
    for given in (STEPS, lambda: iter([({"x": STEPS},)])):
        with pytest.raises(InputError, match=r"expects shape \(None, 3, 4\), received \("):
            open_all(given, [fixed])


def test_a_row_that_does_not_fit_is_one_that_cannot_be_read():
    write_records("a.tfrecord", [*STEPS, np.ones(7, "f4"), np.ones((2, 4), "f8")])
    with open_all("a.tfrecord:flat", [X], on_error="skip") as samples:
        ((_, batch),) = samples.batches(99)
    assert samples.faults == {
        9: "a.tfrecord:flat[9]: expected values of float32 in shape (None, 4), received float32 "
        "in shape (7,)",
    }
    np.testing.assert_array_equal(batch["x"][8], STEPS[8])
    assert batch["x"][10].shape == (2, 4)


# --- dumps -------------------------------------------------------------------------------------


def write_dump(columns, data, rows=9):
    contents = Contents(columns=columns, samples=[f"s{row}" for row in range(rows)])
    with Writer(OutputSpec(path=Path("a.h5")), contents) as writer:
        writer.write(0, data)
        writer.commit(rows)
        writer.finish()


def make_column(name, shape, dtype, meant=""):
    return Column(name, shape, np.dtype(dtype), {"addresses": [name], "dtype": meant})


@EACH
def test_ragged_groups_of_dumps(model_input):
    rows = ROWS[model_input]
    shape = (-1, *rows[0].shape[1:])
    columns = [make_column("x", shape, rows[0].dtype), make_column("both", (-1, -1), "f8")]
    both = [np.ones((n, n + 1)) * n for n in LENGTHS]
    write_dump(columns, {"x": rows, "both": both})
    check("a.h5:x", model_input)
    check("a.h5:/x", model_input, batch_size=1)
    check("a.h5", model_input)  # by the name of the input
    check("x=a.h5:both", ModelInput("x", (None, None, None), "float32"), both)


def test_a_ragged_group_of_equal_rows_fits_an_input_with_a_size():
    rows = [STEPS[0], STEPS[2]]
    write_dump([make_column("x", (-1, 4), "f4")], {"x": rows}, 2)
    with open_all("a.h5:x", [ModelInput("x", (None, 3, 4), "float32")]) as samples:
        ((_, batch),) = samples.batches(2)
    np.testing.assert_array_equal(batch["x"], rows)


def test_texts_of_dumps():
    texts = [f"row {'x' * row} é" for row in range(9)]
    encoded = [encode_texts(text.encode()) for text in texts]
    words = [np.array([b"a", b"bcd"] * row, object) for row in range(9)]
    columns = [make_column("x", (-1,), "u1", "string"), make_column("w", (-1, -1), "u1", "string")]
    write_dump(columns, {"x": encoded, "w": [encode_texts(row) for row in words]})
    with open_all("a.h5:x", [ModelInput("x", (None,), "string")]) as samples:
        read = [row for _, batch in samples.batches(4) for row in batch["x"]]
    assert read == [text.encode() for text in texts]
    check("a.h5:w", ModelInput("x", (None, None), "string"), words)


def test_a_ragged_group_that_is_damaged_is_said():
    write_dump([make_column("x", (-1, 4), "f4")], {"x": STEPS})
    with h5py.File("a.h5", "r+") as file:
        file["x/shapes"][4] = (9, 4)
    told = pytest.raises(InputError, match=r"^a.h5:x: row 4 is damaged, or hasn't been written")
    with open_all("a.h5:x", [X]) as samples, told:
        list(samples.batches(4))
    with h5py.File("a.h5", "r+") as file:
        del file["x/shapes"]
    with pytest.raises(InputError, match="a group that lacks some of values, offsets and shapes"):
        open_all("a.h5:x", [X])
