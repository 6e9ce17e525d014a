"""What is given for which input is told apart: texts, paths, or what a Python user has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput, SampleSpec, open_samples

ROWS = np.arange(44.0, dtype="float32").reshape(11, 4)
X = ModelInput("x", (None, 4), "float32")
LEFT = ModelInput("left", (None, 4), "float32")
RIGHT = ModelInput("right", (None, 4), "float32")
TEXT = ModelInput("text", (None,), "string")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def batches():
    for start in range(0, 11, 3):
        yield ROWS[start : start + 3]


def read(given, inputs=(X,)):
    with open_all(given, inputs) as samples:
        batches = [batch for _, batch in samples.batches(4)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_each_input_may_have_something_else():
    np.save("rows.npy", ROWS)
    for left in ("rows.npy", Path("rows.npy"), ["rows.npy"], batches, ROWS.tolist()):
        right = tf.data.Dataset.from_tensor_slices(-ROWS)
        rows = read({"right": right, "left": left}, (LEFT, RIGHT))
        np.testing.assert_array_equal(rows["left"], ROWS)
        np.testing.assert_array_equal(rows["right"], -ROWS)


def test_a_list_of_texts_is_sources_or_samples_as_the_input_takes_them():
    np.save("rows.npy", ROWS)
    np.save("more.npy", -ROWS)
    rows = read({"x": ["rows.npy", "more.npy"]})
    np.testing.assert_array_equal(rows["x"], np.concatenate([ROWS, -ROWS]))
    texts = ["a good film", "rows.npy"]
    with open_all({"text": texts}, [TEXT]) as samples:
        assert samples.peek(2)["text"].tolist() == texts
    with open_all({"x": [Path("rows.npy")]}, [X]) as samples:
        assert samples.rows == 11


LONG = "a very good film " * 30  # longer than a file's name can be


@pytest.mark.parametrize("given", [["a good film", "no"], ("a good film", LONG), "a good film"])
@pytest.mark.parametrize("others", [(), (X,)])
def test_texts_that_name_no_file_are_told_how_texts_are_given(given, others):
    with pytest.raises(InputError) as caught:
        open_all(given, [TEXT, *others])
    assert caught.value.faults[0] == (
        "a good film: expected a file of arrays, records or images, received a path where there "
        "is no file"
    )
    assert caught.value.hint == 'texts have the name of their input: inputs={"text": [...]}'
    spelt = caught.value.remedy.spell(lambda setting: f"--input {setting.value}")
    assert spelt == "texts have the name of their input: --input text=LINES.txt:text"


def test_a_misspelt_file_is_told_the_nearest_one_where_an_input_takes_texts():
    np.save("rows.npy", ROWS)
    with pytest.raises(InputError) as caught:
        open_all("row.npy", [TEXT])
    assert str(caught.value).endswith("; did you mean rows.npy?")


@pytest.mark.parametrize("inputs", [None, [X]])
def test_what_gives_its_samples_once_may_be_opened_twice(inputs):
    spec = SampleSpec(inputs={"x": batches()})
    with open_samples(spec, inputs) as samples:
        samples.peek(1)
    with open_samples(spec, [X]) as samples:
        rows = np.concatenate([batch["x"] for _, batch in samples.batches(4)])
    np.testing.assert_array_equal(rows, ROWS)
