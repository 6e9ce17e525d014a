"""Columns of CSV files give their cells, as numbers or as texts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from opened import open_all

from kprobe.errors import InputError, SampleError
from kprobe.inputs import ModelInput, SampleSpec, open_samples

AGES = [31, 7, -4, 55, 0]
SIZES = [1.5, -2e-3, 3.0, 4.25, 1e10]
TEXTS = ["plain", 'with "quotes", and commas', "two\nlines", "", "é ; |\ttab"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name="a.csv", encoding="utf-8", **options):
    with Path(name).open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, **options)
        writer.writerow(["age", "size, in m", "text"])
        writer.writerows(zip(AGES, SIZES, TEXTS, strict=True))


def read(given, shape=(None,), dtype="string", batch_size=2, **options):
    with open_all(given, [ModelInput("x", shape, dtype)], **options) as samples:
        samples.peek(1)
        rows = np.concatenate([batch["x"] for _, batch in samples.batches(batch_size)])
        return [name.decode() for name in samples.names()[:]], rows


FORMS = {
    "plain": {},
    "of Windows with a mark": {"encoding": "utf-8-sig", "lineterminator": "\r\n"},
    "semicolons": {"delimiter": ";"},
    "tabs": {"name": "a.tsv", "delimiter": "\t", "lineterminator": "\n"},
    "all quoted": {"quoting": csv.QUOTE_ALL},
}


@pytest.mark.parametrize("batch_size", [1, 2, 9])
@pytest.mark.parametrize("form", FORMS)
def test_columns_are_numbers_or_texts_as_the_input_takes_them(form, batch_size):
    write(**FORMS[form])
    name = FORMS[form].get("name", "a.csv")
    names, texts = read(f"x={name}:text", batch_size=batch_size)
    assert texts.tolist() == [text.encode() for text in TEXTS]
    assert names == [f"{name}:text[{row}]" for row in range(5)]
    ages = read(f"{name}:age", dtype="int32", batch_size=batch_size)[1]
    np.testing.assert_array_equal(ages, AGES)
    sizes = read(f"{name}:size, in m", dtype="float32", batch_size=batch_size)[1]
    np.testing.assert_array_equal(sizes, SIZES)
    assert read(f"{name}:age")[1].tolist() == [str(age).encode() for age in AGES]


@pytest.mark.parametrize(
    ("key", "dtype"), [("age", "int64"), ("age", "float32"), ("text", "string")]
)
def test_cells_get_the_axis_that_the_input_has(key, dtype):
    write()
    rows = read(f"a.csv:{key}", (None, 1), dtype)[1]
    assert rows.shape == (5, 1)
    expected = AGES if key == "age" else [text.encode() for text in TEXTS]
    assert rows[:, 0].tolist() == expected


def test_columns_that_are_named_like_inputs_need_no_key():
    write()
    inputs = [ModelInput("age", (None,), "int64"), ModelInput("text", (None,), "string")]
    with open_all("a.csv", inputs) as samples:
        ((_, batch),) = samples.batches(9)
    assert batch["age"].tolist() == AGES
    assert batch["text"].tolist() == [text.encode() for text in TEXTS]


def test_a_model_that_does_not_say_what_it_takes_is_given_what_they_look_like():
    write()
    for key, values in (("age", AGES), ("size, in m", SIZES)):
        with open_samples(SampleSpec(inputs=f"x=a.csv:{key}"), None) as samples:
            assert samples.peek(9)["x"].tolist() == values
    with open_samples(SampleSpec(inputs="x=a.csv:text"), None) as samples:
        assert samples.peek(2)["x"].tolist() == [text.encode() for text in TEXTS[:2]]


def test_files_follow_one_another_and_blank_lines_are_none():
    write()
    Path("b.csv").write_text("age,text\n\n1,a\n\n\n2,b\n\n")
    assert read("[ab].csv:age", dtype="int64")[1].tolist() == [*AGES, 1, 2]


def test_names_of_columns_are_read_as_other_cells_are():
    Path("a.csv").write_text('"the\nage","a;b;c"\n1,2\n')
    assert read("a.csv:the\nage", dtype="int64")[1].tolist() == [1]
    assert read("a.csv:a;b;c", dtype="int64")[1].tolist() == [2]


def test_cells_that_are_no_numbers_are_rows_that_cannot_be_read():
    Path("a.csv").write_text('x\n1\n""\nabc\n4.5\nnan\n')
    with pytest.raises(SampleError, match=r"^a.csv:x\[1\]: the cell is empty"):
        read("a.csv", dtype="float32", batch_size=9)
    with open_all("a.csv", [ModelInput("x", (None,), "float32")], on_error="skip") as samples:
        ((_, batch),) = samples.batches(9)
    assert [*samples.faults] == [1, 2]
    assert samples.faults[2] == "a.csv:x[2]: expected a number, received 'abc'"
    np.testing.assert_array_equal(batch["x"][[0, 3, 4]], [1, 4.5, np.nan])
    with open_all("a.csv", [ModelInput("x", (None,), "int64")], on_error="skip") as samples:
        list(samples.batches(9))
    assert samples.faults[3] == "a.csv:x[3]: expected a whole number, received '4.5'"


def test_cells_may_be_longer_than_pythons_limit_which_stays():
    limit = csv.field_size_limit()
    text = "long, " * 50_000
    Path("a.csv").write_text(f'text,age\nshort,1\n"{text}",2\n')
    assert read("a.csv:text")[1].tolist() == [b"short", text.encode()]
    assert read("a.csv:age", dtype="int64")[1].tolist() == [1, 2]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(("dtype", "kind"), [("int64", "whole number"), ("float32", "number")])
def test_what_only_python_takes_for_a_number_is_none(dtype, kind):
    Path("a.csv").write_text("x\n1_000\n")
    with pytest.raises(InputError, match=f"expected a {kind}, received '1_000'"):
        read("a.csv:x", dtype=dtype)
    with open_samples(SampleSpec(inputs="x=a.csv:x"), None) as samples:
        assert samples.peek(1)["x"].tolist() == [b"1_000"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"age,text\n1,a\n", "no column 'txt'; it holds age, text; did you mean a.csv:text?"),
        (b"1,2\n3,4\n", "expected the names of its columns in the first line, received '1,2'"),
        (b"", "expected the names of its columns in the first line, received ''"),
        (b"txt,txt\n3,4\n", "expected columns of different names"),
        (b"txt,b\n3,4\n5\n", "expected 2 cells in a line, received 1 in line 3"),
        (b"txt,b\n3,\xff\n", "expected text in UTF-8"),
        (b'txt,b\n3,"4\n', "expected CSV, and line 2 isn't"),
        (b"txt,b\r3,4\r", "expected CSV, and line 1 isn't: new-line character"),
        (b'"txt,b\n3,4\n', "expected CSV, and line 2 isn't: unexpected end"),
        ("txt,b\n3,4\n".encode("utf-16"), "expected text in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_said(content, fault):
    Path("a.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"^a.csv") as caught:
        read("a.csv:txt")
    assert fault in str(caught.value)
