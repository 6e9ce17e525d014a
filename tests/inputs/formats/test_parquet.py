"""Columns of Parquet files give their cells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from opened import open_all

from kprobe.errors import InputError, SampleError
from kprobe.inputs import ModelInput

ROWS = np.random.default_rng(0).normal(size=(11, 4, 6)).astype("float32")
PIXELS = np.random.default_rng(1).integers(0, 256, (11, 16, 20, 3), "uint8")
X = ModelInput("x", (None, 4, 6), "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table():
    images = [tf.io.encode_png(pixels).numpy() for pixels in PIXELS]
    columns = {
        "nested": ROWS.tolist(),
        "flat": ROWS.reshape(11, 24).tolist(),
        "number": list(range(11)),
        "flag": [row % 2 == 0 for row in range(11)],
        "text": [f"row {row}" for row in range(11)],
        "png": images,
        "image": [{"bytes": image, "path": None} for image in images],
        "raw": [row.tobytes() for row in ROWS],
        "day": pa.array([0] * 11, pa.date32()),
    }
    schema = {"nested": pa.list_(pa.list_(pa.float32())), "flat": pa.list_(pa.float32(), 24)}
    arrays = {name: pa.array(values, schema.get(name)) for name, values in columns.items()}
    pa.parquet.write_table(pa.table(arrays), "a.parquet", row_group_size=4)


def read(text, shape=(None, 4, 6), dtype="float32", batch_size=4):
    with open_all([text], [ModelInput("x", shape, dtype)]) as samples:
        samples.peek(2)
        batches = [batch["x"] for _, batch in samples.batches(batch_size)]
        return [name.decode() for name in samples.names()[:]], np.concatenate(batches)


@pytest.mark.parametrize("batch_size", [1, 3, 11])
@pytest.mark.parametrize("key", ["nested", "flat", "raw"])
def test_lists_of_numbers_and_bytes_have_the_shape_of_the_input(key, batch_size, table):
    names, rows = read(f"a.parquet:{key}", batch_size=batch_size)
    np.testing.assert_array_equal(rows, ROWS)
    assert rows.dtype == np.float32
    assert names[10] == f"a.parquet:{key}[10]"


def test_numbers_and_texts_are_read(table):
    assert read("x=a.parquet:number", (None,), "int64")[1].tolist() == list(range(11))
    assert read("a.parquet:flag", (None,), "bool")[1].tolist() == [True, False] * 5 + [True]
    texts = read("a.parquet:text", (None,), "string")[1].tolist()
    assert texts == [f"row {row}".encode() for row in range(11)]


@pytest.mark.parametrize("key", ["png", "image"])
def test_images_are_decoded(key, table):
    np.testing.assert_array_equal(read(f"a.parquet:{key}", (None, 16, 20, 3))[1], PIXELS)


def test_empty_cells_are_damaged_rows():
    cells = [[1.0, 2.0], None, [3.0, None], [4.0], [5.0, 6.0]]
    pa.parquet.write_table(pa.table({"x": pa.array(cells, pa.list_(pa.float64()))}), "a.parquet")
    with pytest.raises(SampleError, match=r"^a.parquet:x\[1\]: the cell is empty"):
        read("a.parquet", (None, 2), batch_size=5)
    with open_all(["a.parquet"], [ModelInput("x", (None, 2), "float64")]) as samples:
        samples.keep_going = True
        ((_, batch),) = samples.batches(5)
    assert [*samples.faults] == [1, 3]
    np.testing.assert_array_equal(batch["x"][[0, 2, 4]], [[1, 2], [3, np.nan], [5, 6]])


def test_what_cannot_be_read_is_said(table):
    Path("cut.parquet").write_bytes(Path("a.parquet").read_bytes()[:-30])
    for text, fault in [
        ("a.parquet:nmber", r"no column 'nmber'; it holds nested, flat, number"),
        ("a.parquet:day", r"expected a column of numbers, lists of numbers, texts or bytes"),
        ("cut.parquet:flat", r"cut.parquet: expected a Parquet file, received a damaged one"),
        ("a.parquet:text", r"expected encoded images, serialized tensors, or the bytes of x"),
    ]:
        with pytest.raises(InputError, match=fault):
            open_all([text], [X])


def test_without_pyarrow_it_is_asked_for(table):
    code = """if True:
        import sys
        sys.modules["pyarrow"] = None  # as if it weren't installed
        from kprobe.inputs import ModelInput, SampleSpec, open_samples
        x = ModelInput("x", (None, 2), "float32")
        open_samples(SampleSpec(inputs="a.parquet"), [x])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "a.parquet: Parquet files need pyarrow" in done.stderr
