"""What Python users have gives samples: arrays, tensors, datasets, generators, functions."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

ROWS = np.arange(44.0, dtype="float32").reshape(11, 4)
TARGETS = np.zeros(11, "float32")
X = ModelInput("x", (None, 4), "float32")
LEFT = ModelInput("left", (None, 4), "float32")
RIGHT = ModelInput("right", (None, 4), "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Indexed(keras.utils.PyDataset):
    def __init__(self, faulty=None, **options):
        super().__init__(**options)
        self.faulty = faulty

    def __len__(self):
        if self.faulty == "len":
            raise OSError("no disk")
        return 4

    def __getitem__(self, number):
        if self.faulty == number:
            raise OSError("no disk")
        return ROWS[3 * number : 3 * number + 3], TARGETS[3 * number : 3 * number + 3]


class Loader:
    """As those of other libraries: with a length, and iterated over."""

    def __len__(self):
        return 4

    def __iter__(self):
        return batches()


def batches():
    for start in range(0, 11, 3):
        yield ROWS[start : start + 3]


def pairs():
    return ((rows, TARGETS[: len(rows)]) for rows in batches())


def sliced(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0])


def read(given, inputs=(X,), batch_size=4):
    with open_all(given, inputs) as samples:
        batches = [batch for _, batch in samples.batches(batch_size)]
        names = [name.decode() for name in samples.names(0, 11)[:]]
        rows = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        return rows, names, samples.identity()


def find_fault(given, inputs=(X,)):
    with pytest.raises(InputError) as caught:
        read(given, inputs)
    (fault,) = caught.value.faults
    return fault


GIVEN = {
    "array": lambda: ROWS,
    "tensor": lambda: tf.constant(ROWS),
    "lists": lambda: ROWS.tolist(),
    "a list of arrays": lambda: list(ROWS),
    "a tuple of tensors": lambda: tuple(tf.unstack(tf.constant(ROWS))),
    "sparse": lambda: tf.sparse.from_dense(ROWS),
    "ragged": lambda: tf.RaggedTensor.from_tensor(ROWS),
    "batched": lambda: sliced(ROWS).batch(3),
    "batched pairs": lambda: sliced(ROWS, TARGETS).batch(3),
    "batched alike": lambda: (
        sliced(ROWS[:10]).batch(2, drop_remainder=True).concatenate(sliced(ROWS[10:]).batch(1))
    ),
    "unbatched": lambda: sliced(ROWS),
    "unbatched pairs": lambda: sliced(ROWS, TARGETS),
    "named unbatched": lambda: sliced({"x": ROWS, "y": TARGETS}),
    "ragged in batches": lambda: sliced(ROWS).batch(3).map(tf.RaggedTensor.from_tensor),
    "lists in batches": lambda: lambda: ({"x": list(rows)} for rows in batches()),
    "sparse in batches": lambda: sliced(ROWS).batch(3).map(tf.sparse.from_dense),
    "iterator": lambda: iter(list(batches())),
    "generator": batches,
    "generator of pairs": pairs,
    "function": lambda: batches,
    "partial": lambda: partial(batches),
    "function that gives a dataset": lambda: lambda: sliced(ROWS).batch(3),
    "PyDataset": Indexed,
    "class": lambda: Indexed,
    "loader": Loader,
}


@pytest.mark.parametrize("batch_size", [1, 4, 11])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("kind", GIVEN)
def test_every_row_comes_once_and_in_order(kind, named, batch_size):
    made = GIVEN[kind]()
    rows, _, _ = read({"x": made} if named else made, batch_size=batch_size)
    np.testing.assert_array_equal(rows["x"], ROWS)


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("array", "array"),
        ("lists", "array"),
        ("tensor", "array"),
        ("unbatched", "dataset"),
        ("generator", "generator"),
        ("function", "batches"),
        ("partial", "batches"),
        ("PyDataset", "Indexed"),
        ("class", "Indexed"),
        ("loader", "Loader"),
        ("function that gives a dataset", "function"),
    ],
)
def test_rows_are_named_after_what_gives_them(kind, label):
    assert read(GIVEN[kind]())[1][10] == f"{label}[10]"
    assert read({"x": GIVEN[kind]()})[1][10] == f"{label}:x[10]"


@pytest.mark.parametrize(
    ("kind", "rows", "replayable"),
    [
        ("array", 11, True),
        ("unbatched", 11, True),
        ("batched", None, True),
        ("PyDataset", 11, True),
        ("loader", None, True),
        ("function", None, True),
        ("generator", None, False),
        ("iterator", None, False),
    ],
)
def test_what_is_known_of_them_is_told(kind, rows, replayable):
    with open_all(GIVEN[kind](), [X]) as samples:
        assert (samples.rows, samples.replayable) == (rows, replayable)
        assert samples.identity()[0]["rows"] == rows


def test_batches_of_one_size_are_counted():
    with open_all(sliced(ROWS).batch(2, drop_remainder=True), [X]) as samples:
        assert samples.rows == 10
    with open_all(sliced(ROWS).repeat(), [X], limit=30) as samples:
        assert samples.rows is None
        assert samples.most == 30
        assert sum(len(batch["x"]) for _, batch in samples.batches(4)) == 30


def test_identities_tell_the_code():
    file = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    for kind in ("function", "PyDataset", "class", "generator", "partial"):
        told = read(GIVEN[kind]())[2][0]
        assert told["sha256"] == file
        assert told["type"].rpartition(".")[2] in ("batches", "Indexed")
    assert read(GIVEN["unbatched"]())[2][0]["type"] == "tf.data.Dataset"
    digest = hashlib.sha256(ROWS.tobytes()).hexdigest()
    for kind in ("array", "tensor", "sparse"):
        assert read(GIVEN[kind]())[2][0]["sha256"] == digest


def test_peeking_keeps_what_a_generator_gave():
    with open_all(batches(), [X]) as samples:
        for count in (1, 7, 2):
            np.testing.assert_array_equal(samples.peek(count)["x"], ROWS[:count])
        rows = np.concatenate([batch["x"] for _, batch in samples.batches(4)])
    np.testing.assert_array_equal(rows, ROWS)


def make_exhausted():
    iterator = batches()
    return lambda: iterator


def make_shared():
    iterator = (ROWS[:3] for _ in range(100))
    return lambda: iterator


@pytest.mark.parametrize(
    "make", [batches, make_exhausted, make_shared, lambda: iter(list(pairs()))]
)
def test_what_has_gone_by_for_good_is_said(make):
    with open_all(make(), [X]) as samples:
        list(samples.batches(4, 0, 11))
        with pytest.raises(InputError, match=r"a second time, and they have been read already"):
            list(samples.batches(4))


@pytest.mark.parametrize("kind", ["function", "batched", "unbatched", "PyDataset", "loader"])
def test_what_is_replayable_is_read_again(kind):
    with open_all(GIVEN[kind](), [X]) as samples:
        for _ in range(2):
            rows = np.concatenate([batch["x"] for _, batch in samples.batches(4)])
            np.testing.assert_array_equal(rows, ROWS)


@pytest.mark.parametrize("faulty", ["len", 0, 2, 3])
def test_code_that_raises_is_named(faulty):
    assert find_fault(Indexed(faulty)) == "Indexed failed: OSError: no disk"
    fault = find_fault(lambda: Indexed(faulty))
    assert fault == "function failed: OSError: no disk"


def test_code_that_raises_without_a_word_is_named():
    def fail():
        raise AssertionError

    def fail_late():
        yield ROWS
        raise ValueError("two\nlines")

    assert find_fault(fail) == "fail failed: AssertionError"
    assert find_fault(fail_late) == "fail_late failed: ValueError: two lines"
    assert find_fault({"x": fail_late()}) == "generator:x failed: ValueError: two lines"


def test_several_inputs_are_named_by_the_batches():
    named = {"right": -ROWS, "left": ROWS}
    for given in (sliced(named), sliced(named, TARGETS).batch(3), lambda: iter([named])):
        rows, _, _ = read(given, (LEFT, RIGHT))
        np.testing.assert_array_equal(rows["left"], ROWS)
        np.testing.assert_array_equal(rows["right"], -ROWS)


def test_inputs_of_batches_without_names_are_in_the_order_of_the_model_s():
    dataset = sliced((ROWS, -ROWS), TARGETS)
    for given in (dataset, dataset.batch(3), lambda: iter([([ROWS, -ROWS], TARGETS)])):
        rows, _, _ = read(given, (LEFT, RIGHT))
        np.testing.assert_array_equal(rows["left"], ROWS)
        np.testing.assert_array_equal(rows["right"], -ROWS)


@pytest.mark.parametrize(
    "rows",
    [
        [np.ones((2, 3), "f4"), np.ones((5, 3), "f4")],
        [[[1, 2, 3]], [[1, 2, 3.5], [4, 5, 6]]],
        tf.ragged.stack([tf.ones((2, 3)), tf.ones((4, 3))]),
        (tf.ones((2, 3)), tf.ones((1, 3))),
    ],
)
def test_samples_that_differ_in_shape_may_be_given_one_by_one(rows):
    free = ModelInput("x", (None, None, 3), "float32")
    with open_all(rows, [free]) as samples:
        assert samples.specs()["x"][0] == (-1, 3)
        ((_, batch),) = samples.batches(4)
    for row, expected in zip(batch["x"], rows, strict=True):
        expected = expected.to_tensor() if isinstance(expected, tf.RaggedTensor) else expected
        np.testing.assert_array_equal(row, np.asarray(expected))


WORDS = ["one two", "", "é"]
TEXTS = {
    "list": lambda: {"x": WORDS},
    "tuple": lambda: {"x": tuple(WORDS)},
    "characters": lambda: np.array(WORDS),
    "objects": lambda: np.array(WORDS, object),
    "bytes": lambda: np.array([word.encode() for word in WORDS], object),
    "any width": lambda: np.array(WORDS, np.dtypes.StringDType()),
    "tensor": lambda: tf.constant(WORDS),
    "batches": lambda: lambda: iter([np.array(WORDS[:2], object), np.array(WORDS[2:], object)]),
    "batches of any width": lambda: lambda: iter([np.array(WORDS, np.dtypes.StringDType())]),
    "dataset": lambda: sliced(WORDS).batch(2),
}


# Of a dataset those elements are samples that have an axis less than the input's batches.
@pytest.mark.parametrize(
    ("kind", "shape"),
    [(k, s) for k in TEXTS for s in ((None,), (None, 1)) if (k, s) != ("dataset", (None, 1))],
)
def test_texts_are_samples_with_the_axis_that_the_input_has(kind, shape):
    with open_all(TEXTS[kind](), [ModelInput("x", shape, "string")]) as samples:
        samples.peek(2)
        rows = np.concatenate([batch["x"] for _, batch in samples.batches(2)])
    assert rows.shape == (3, *shape[1:])
    told = tf.constant(rows.ravel()).numpy()  # as the model is given them
    assert told.tolist() == [word.encode() for word in WORDS]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([[1, 2], [3, [4]]], "array: expected rows of samples, received a list with rows of"),
        ([np.ones(3), np.ones((3, 3))], "array: expected arrays of one dtype and rank, received"),
        ([object(), object()], "array: expected numbers or strings, received objects"),
        (3.5, "array: expected rows of samples, received a single value"),
        (lambda: iter([([[1, 2], [3]],)]), "function: expected as many rows of each input"),
        (lambda: iter([{"x": [[1, [2]], [3]]}]), "function:x: expected rows of samples, received"),
        (lambda: iter([{"x": [[1, 2], [3]]}]), "input 'x' expects shape (None, 4), received (None"),
        (
            lambda: iter([{"x": [np.ones(3), np.ones((3, 3))]}]),
            "function:x: expected rows of one dtype and rank, received several",
        ),
        (
            tf.ragged.constant([[[1.0], [2.0, 3.0]], [[4.0]]]),
            "array: expected rows that are arrays, which may differ in shape, received a tensor",
        ),
        (sliced(ROWS).take(0), "dataset: expected batches of samples, received none"),
        (iter([]), "list_iterator: expected batches of samples, received none"),
        (lambda: None, "function: expected batches, received NoneType"),
    ],
)
def test_what_holds_no_samples_is_said(given, fault):
    assert fault in find_fault(given)


def test_without_tensorflow_nothing_imports_it(tmp_path):
    program = """
import sys
import numpy as np
from kprobe.inputs import ModelInput, SampleSpec, open_samples
x = ModelInput("x", (None, 2), "float32")
rows = np.ones((3, 2), "f4")
for given in (rows, rows.tolist(), iter([rows]), lambda: iter([rows]), {"x": rows}):
    with open_samples(SampleSpec(inputs=given), [x]) as samples:
        assert samples.peek(3)["x"].shape == (3, 2)
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
