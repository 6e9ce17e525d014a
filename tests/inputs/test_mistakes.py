"""Every mistake about samples gets its own words: expected, received, and what to do."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from opened import open_all, refuse, save

from kprobe.errors import InputError
from kprobe.inputs import ModelInput

IMAGE = ModelInput("image", (None, 8, 8, 3), "float32")
GRAY = ModelInput("image", (None, 8, 8, 1), "float32")
FLAT = ModelInput("x", (None, 8, 8), "float32")
ANY = ModelInput("x", (None, None), "float32")
IDS = ModelInput("ids", (None, 5), "int32")
TEXT = ModelInput("text", (None,), "string")
LEFT = ModelInput("left", (None, 2), "float32")
RIGHT = ModelInput("right", (None, 2), "float32")
MISSING = "expected a file of arrays, records or images, received a path where there is no file"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("model_input", "shape", "hint"),
    [
        (IMAGE, (8, 8, 3), "a.npy looks like one sample without the batch axis: give array[None]"),
        (IMAGE, (9, 3, 8, 8), "a.npy has its channels first: give np.moveaxis(array, 1, -1)"),
        (
            ModelInput("image", (None, 3, 8, 8), "float32"),
            (9, 8, 8, 3),
            "a.npy has its channels last: give np.moveaxis(array, -1, 1)",
        ),
        (GRAY, (9, 8, 8), "a.npy lacks the last axis: give array[..., None]"),
        (FLAT, (9, 8, 8, 1), "a.npy has a last axis too many: give array[..., 0]"),
        (
            FLAT,
            (9, 64),
            "a.npy has as many values a sample: array.reshape(-1, 8, 8) if it is in order",
        ),
        (IMAGE, (9, 7, 8, 3), None),
        (ANY, (9,), None),
        (ANY, (9, 2, 2), None),
    ],
)
def test_a_wrong_shape_is_shown_beside_the_right_one(model_input, shape, hint):
    save("a.npy", shape)
    assert refuse(["a.npy"], model_input) == (
        [
            f"input '{model_input.name}' expects shape {model_input.shape}, "
            f"received {shape} from a.npy"
        ],
        hint,
    )


def test_axes_of_any_length_take_any_length():
    save("a.npy", (3, 7))
    open_all(["a.npy"], [ANY]).close()


@pytest.mark.parametrize(
    ("expected", "received", "shown"),
    [
        ("int32", "float32", "float32"),
        ("uint8", "float64", "float64"),
        ("bool", "float32", "float32"),
        ("float32", "complex64", "complex64"),
        ("float32", "U3", "strings"),
        ("int64", "S3", "strings"),
        ("string", "float32", "float32"),
        ("bfloat16", "U3", "strings"),
    ],
)
def test_a_dtype_that_cannot_be_meant_is_refused(expected, received, shown):
    save("a.npy", (2, 5), received)
    faults, hint = refuse(["a.npy"], ModelInput("x", (None, 5), expected))
    assert faults == [f"input 'x' expects {expected}, received {shown} from a.npy"]
    if shown != "strings" and expected != "string" and received != "complex64":
        assert hint == f"convert a.npy: array.astype('{expected}')"
    else:
        assert hint is None


@pytest.mark.parametrize("received", ["uint8", "int64", "float16", "float64", "bool", "uint32"])
@pytest.mark.parametrize("expected", ["float32", "float16", "bfloat16", "complex64"])
def test_numbers_of_any_kind_feed_a_float_input(received, expected):
    save("a.npy", (2, 5), received)
    open_all(["a.npy"], [ModelInput("x", (None, 5), expected)]).close()


@pytest.mark.parametrize("received", ["uint8", "int64", "bool"])
@pytest.mark.parametrize("expected", ["int32", "uint8", "bool", "int64"])
def test_integers_feed_an_integer_input(received, expected):
    save("a.npy", (2, 5), received)
    open_all(["a.npy"], [ModelInput("x", (None, 5), expected)]).close()


def test_an_integer_that_casting_would_wrap_round_is_refused_with_its_row():
    values = np.zeros((9, 5), "int64")
    values[6, 2] = 3_000_000_000
    np.save("ids.npy", values)
    with open_all(["ids.npy"], [IDS]) as samples:
        with pytest.raises(InputError) as caught:
            list(samples.batches(4))
        assert caught.value.faults == (
            "input 'ids' expects int32 (-2147483648 to 2147483647), received 3000000000 in "
            "ids.npy[6]",
        )
        assert len(list(samples.batches(2, stop=6))) == 3
    np.save("ids.npy", -values)
    byte = ModelInput("ids", (None, 5), "uint8")
    with open_all(["ids.npy"], [byte]) as samples, pytest.raises(InputError) as caught:
        samples.peek(9)
    assert "(0 to 255), received -3000000000 in ids.npy[6]" in str(caught.value)


def test_an_unknown_input_lists_the_inputs_and_the_nearest():
    save("a.npy", (2, 2))
    assert refuse(["lfet=a.npy", "right=a.npy"], LEFT, RIGHT) == (
        [
            "lfet=a.npy: no input 'lfet'; the model's inputs: left (None, 2) float32, "
            "right (None, 2) float32"
        ],
        "did you mean left=...?",
    )


def test_missing_inputs_are_listed():
    save("a.npy", (2, 2))
    assert refuse(["right=a.npy"], LEFT, RIGHT) == (
        [
            "expected a source for every input that these layers need, received none for "
            "left (None, 2) float32"
        ],
        'add inputs={"left": ...}',
    )


def test_several_inputs_are_never_matched_by_position():
    save("a.npy", (2, 2))
    assert refuse(["a.npy"], LEFT, RIGHT) == (
        [
            "a.npy: expected the name of an input with it, as the model has 2: "
            "left (None, 2) float32, right (None, 2) float32"
        ],
        'say which, for example inputs={"left": ...}',
    )


def test_sources_in_a_row_have_samples_of_one_shape():
    save("a.npy", (2, 2))
    save("b.npy", (2, 3))
    assert refuse(["a.npy", "left=b.npy"], LEFT) == (
        [
            "a.npy, b.npy: expected samples of one shape and dtype, received (2,) float32 from "
            "a.npy and (3,) float32 from b.npy"
        ],
        None,
    )


def test_what_has_no_known_end_is_in_no_row():
    save("a.npy", (2, 2))
    Path("given.py").write_text("import numpy as np\ndef ones(): yield np.ones((3, 2), 'f4')\n")
    assert refuse(["given.py:ones", "a.npy"], LEFT)[0] == [
        "given.py:ones has no known end, and can't be put in a row with other sources"
    ]


def test_the_length_of_what_has_no_known_end_is_not_made_up():
    Path("given.py").write_text("import numpy as np\ndef ones(): yield np.ones((3, 5), 'f4')\n")
    assert refuse(["given.py:ones"], LEFT)[0] == [
        "input 'left' expects shape (None, 2), received (None, 5) from given.py:ones"
    ]


def test_sources_of_different_length_are_refused_even_under_a_limit():
    save("a.npy", (100, 2))
    save("b.npy", (99, 2))
    assert refuse(["left=a.npy", "right=b.npy"], LEFT, RIGHT, limit=5) == (
        ["expected as many rows for every input, received 100 from a.npy, 99 from b.npy"],
        None,
    )


def test_an_empty_input_is_refused():
    save("a.npy", (0, 2))
    assert refuse(["a.npy"], LEFT) == (
        ["input 'left' expects samples, received none: a.npy has 0 rows"],
        None,
    )


def test_a_single_value_is_refused():
    np.save("a.npy", np.float32(3))
    assert refuse(["a.npy"], LEFT)[0] == [
        "a.npy: expected rows of samples, received a single value"
    ]


def test_all_faults_come_at_once():
    save("a.npy", (3, 7), "complex64")
    faults, hint = refuse(["left=a.npy", "right=missing.npy", "up=a.npy"], LEFT, RIGHT)
    assert faults == [
        f"missing.npy: {MISSING}",
        "up=a.npy: no input 'up'; the model's inputs: left (None, 2) float32, "
        "right (None, 2) float32",
        "input 'left' expects shape (None, 2), received (3, 7) from a.npy",
        "input 'left' expects float32, received complex64 from a.npy",
    ]
    assert hint is None


class Stdin:
    def __init__(self, content, terminal=False):
        self.buffer = io.BytesIO(content)
        self._terminal = terminal

    def isatty(self):
        return self._terminal


def test_stdin_must_bring_a_npy_array(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(b"PK\x03\x04 and so on"))
    assert refuse(["-"], LEFT)[0][0].startswith(
        "stdin: expected a .npy array, received something else ("
    )
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    assert refuse(["-"], LEFT)[0] == ["stdin: expected a .npy array, received nothing"]
    monkeypatch.setattr(sys, "stdin", Stdin(b"", terminal=True))
    assert refuse(["-"], LEFT) == (
        ["stdin: expected a .npy array, received a terminal"],
        "pipe it in: make_samples | kprobe dump ... inputs='-'",
    )


def test_stdin_in_column_major_order_is_refused(monkeypatch):
    file = io.BytesIO()
    np.save(file, np.asfortranarray(np.zeros((3, 2))))
    monkeypatch.setattr(sys, "stdin", Stdin(file.getvalue()))
    assert refuse(["-"], LEFT) == (
        [
            "stdin: expected rows one after another, received an array in column-major (Fortran) "
            "order"
        ],
        "save np.ascontiguousarray(array)",
    )


def test_stdin_feeds_one_input_only(monkeypatch):
    file = io.BytesIO()
    np.save(file, np.zeros((3, 2)))
    monkeypatch.setattr(sys, "stdin", Stdin(file.getvalue()))
    assert refuse(["left=-", "right=-"], LEFT, RIGHT)[0] == [
        "right=-: standard input feeds one input only"
    ]
