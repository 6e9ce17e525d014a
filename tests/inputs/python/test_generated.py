"""Code that gives batches for training gives samples."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from opened import open_all

from kprobe.errors import InputError
from kprobe.importing import import_source
from kprobe.inputs import ModelInput

ROWS = np.arange(44.0, dtype="float32").reshape(11, 4)
X = ModelInput("x", (None, 4), "float32")
LEFT = ModelInput("left", (None, 4), "float32")
RIGHT = ModelInput("right", (None, 4), "float32")

CODE = """
import keras
import numpy as np
import tensorflow as tf
from opened import open_all

from beside import ROWS

calls = []

def batches():
    for start in range(0, 11, 3):
        yield ROWS[start:start + 3]

def pairs():
    for start in range(0, 11, 3):
        yield ROWS[start:start + 3], np.zeros(3)

def named():
    calls.append(1)
    for start in range(0, 11, 3):
        yield {"left": ROWS[start:start + 3], "right": -ROWS[start:start + 3]}, np.zeros(3)

def endless():
    while True:
        yield from batches()

class Indexed(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, number):
        return ROWS[3 * number:3 * number + 3], np.zeros(3)

def as_dataset():
    return tf.data.Dataset.from_tensor_slices((ROWS, ROWS[:, 0])).batch(3)

def nothing():
    return []

def number():
    return 5

def failing():
    yield ROWS[:3]
    raise KeyError("no more")

def uneven():
    yield ROWS[:3]
    yield ROWS[:3, :2]

def unpaired():
    yield {"left": ROWS[:3], "right": ROWS[:2]}

constant = 5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *sys.path])
    np.save("rows.npy", ROWS)
    Path("beside.py").write_text(
        "import pathlib, numpy as np\nROWS = np.load(pathlib.Path(__file__).parent / 'rows.npy')\n"
    )
    Path("given.py").write_text(CODE)


def read(text, batch_size=4, limit=None):
    with open_all([text], [X], limit=limit) as samples:
        np.testing.assert_array_equal(samples.peek(5)["x"], ROWS[:5])
        np.testing.assert_array_equal(samples.peek(1)["x"], ROWS[:1])
        batches = [batch["x"] for _, batch in samples.batches(batch_size)]
        return [name.decode() for name in samples.names()[:]], np.concatenate(batches)


@pytest.mark.parametrize("batch_size", [1, 4, 11])
def test_what_has_a_length_needs_no_limit(batch_size):
    names, rows = read("given.py:Indexed", batch_size)
    np.testing.assert_array_equal(rows, ROWS)
    assert names[-1] == "given.py:Indexed[10]"


@pytest.mark.parametrize("batch_size", [1, 4, 10])
@pytest.mark.parametrize("name", ["batches", "pairs", "endless", "as_dataset", "Indexed"])
def test_the_first_samples_are_taken(name, batch_size):
    _, rows = read(f"x=given.py:{name}", batch_size, limit=10)
    np.testing.assert_array_equal(rows, ROWS[:10])


def test_a_module_is_looked_for_beside_the_command(monkeypatch):
    Path("package").mkdir()
    Path("package/given_too.py").write_text(CODE)
    np.testing.assert_array_equal(read("package.given_too:pairs", limit=7)[1], ROWS[:7])


@pytest.mark.parametrize("batch_size", [1, 4, 11])
def test_several_inputs_are_taken_from_the_same_batches(batch_size):
    with open_all(["given.py:named"], [LEFT, RIGHT], limit=11) as samples:
        samples.peek(2)
        for first, batch in samples.batches(batch_size):
            np.testing.assert_array_equal(batch["left"], ROWS[first : first + batch_size])
            np.testing.assert_array_equal(batch["right"], -batch["left"])
    assert len(import_source("given.py").calls) == 1


def test_what_has_gone_by_is_made_again():
    with open_all(["given.py:batches"], [X], limit=11) as samples:
        rows = [batch["x"] for _, batch in samples.batches(2, 5)]
        np.testing.assert_array_equal(np.concatenate(rows), ROWS[5:])
        rows = [batch["x"] for _, batch in samples.batches(2, 1, 4)]
        np.testing.assert_array_equal(np.concatenate(rows), ROWS[1:4])


def test_memory_holds_a_few_batches_only():
    with open_all(["given.py:endless"], [X], limit=3000) as samples:
        source = samples.sources["x"]
        for _ in samples.batches(4):
            assert sum(len(batch[""]) for batch in source._batches._kept) < 4 + 2 * 3


@pytest.mark.parametrize("batch_size", [1, 4, 11])
@pytest.mark.parametrize("form", ["rows", "pairs", "named"])
def test_a_saved_dataset_is_read_element_by_element(form, batch_size):
    inputs = {"rows": ROWS, "pairs": (ROWS, ROWS[:, 0]), "named": ({"x": ROWS, "y": ROWS}, ROWS)}
    tf.data.Dataset.from_tensor_slices(inputs[form]).save("saved")
    names, rows = read("saved", batch_size)
    np.testing.assert_array_equal(rows, ROWS)
    assert names[10] == ("saved:x[10]" if form == "named" else "saved[10]")
    if form == "named":
        np.testing.assert_array_equal(read("x=saved:y", batch_size)[1], ROWS)


def test_a_dataset_without_elements_is_refused():
    tf.data.Dataset.from_tensor_slices(ROWS).take(0).save("saved")
    with pytest.raises(InputError, match="saved: expected samples, received a dataset without"):
        read("saved")


def test_code_that_ends_the_program_is_refused():
    Path("leaving.py").write_text(
        "import sys\nimport numpy as np\n"
        "def at_once(): sys.exit(3)\n"
        "def later():\n    yield np.zeros((3, 4), 'float32')\n    sys.exit(3)\n"
    )
    for name in ("at_once", "later"):
        with pytest.raises(InputError, match=f"leaving.py:{name} failed: SystemExit: 3"):
            read(f"leaving.py:{name}")


def test_a_damaged_dataset_is_refused():
    tf.data.Dataset.from_tensor_slices(ROWS).save("saved")
    for path in Path("saved").rglob("*.snapshot"):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"^saved"):
        read("saved")


@pytest.mark.parametrize(
    ("text", "limit", "fault"),
    [
        ("given.py:failing", 5, "given.py:failing failed: KeyError: 'no more'"),
        ("given.py:uneven", 5, "expected batches of one kind"),
        ("given.py:unpaired", 5, "expected as many rows of each input"),
        ("given.py:nothing", 5, "expected batches of samples, received none"),
        ("given.py:number", 5, "expected batches, received int"),
        ("given.py:constant", 5, "expected a function or class 'constant', received int"),
        ("given.py:missing", 5, "expected a function or class 'missing', received nothing"),
        ("given.py", 5, "given.py: expected the name of a function that gives batches"),
        ("gone.py:batches", 5, "gone.py:batches: there is no file gone.py"),
        ("not_there:batches", 5, "not_there:batches: can't be imported: ModuleNotFoundError"),
    ],
)
def test_what_gives_no_batches_is_said(text, limit, fault):
    with pytest.raises(InputError) as caught, open_all([text], [X], limit=limit) as samples:
        list(samples.batches(4))
    assert fault in str(caught.value)
