"""Lines of text files are texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from opened import open_all

from kprobe.errors import InputError
from kprobe.inputs import ModelInput, SampleSpec, open_samples

TEXT = ModelInput("text", (None,), "string")
COLUMN = ModelInput("text", (None, 1), "string")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(given, model_input=TEXT, batch_size=2, **options):
    with open_all(given, [model_input], **options) as samples:
        samples.peek(1)
        rows = [row for _, batch in samples.batches(batch_size) for row in batch["text"].tolist()]
        return [name.decode() for name in samples.names()[:]], rows


CONTENTS = {
    "with an end": b"one two\n\n\xc3\xa9\x0bx  \n",
    "without an end": b"one two\n\n\xc3\xa9\x0bx  ",
    "of Windows": b"one two\r\n\r\n\xc3\xa9\x0bx  \r\n",
    "with a mark": b"\xef\xbb\xbfone two\n\n\xc3\xa9\x0bx  \n",
}


@pytest.mark.parametrize("batch_size", [1, 2, 9])
@pytest.mark.parametrize("kind", CONTENTS)
def test_each_line_is_a_text(kind, batch_size):
    Path("a.txt").write_bytes(CONTENTS[kind])
    names, rows = read("a.txt:text", batch_size=batch_size)
    assert rows == [b"one two", b"", "é\x0bx  ".encode()]
    assert names == ["a.txt:text[0]", "a.txt:text[1]", "a.txt:text[2]"]
    assert read("a.txt:text", COLUMN)[1] == [[row] for row in rows]


def test_many_lines_are_found_across_blocks():
    lines = [b"x" * (row * 7919 % 3000) for row in range(2000)]
    Path("a.txt").write_bytes(b"\n".join(lines))
    assert read("a.txt:text", batch_size=300)[1] == lines


def test_files_follow_one_another():
    for name in "abc":
        Path(f"{name}.txt").write_text(f"first {name}\nsecond {name}\n")
    expected = [f"{row} {name}".encode() for name in "abc" for row in ("first", "second")]
    assert read("?.txt:text")[1] == expected
    assert read(["a.txt:text", "text=b.txt:text", "c.txt:text"])[1] == expected


def test_a_model_that_does_not_say_what_it_takes_is_given_them():
    Path("a.txt").write_text("a\nb\n")
    with open_samples(SampleSpec(inputs="a.txt:text"), None) as samples:
        (texts,) = samples.peek(2).values()
    assert texts.tolist() == [b"a", b"b"]


def test_what_is_no_text_is_said():
    Path("a.txt").write_text("a\nb\n")
    Path("wide.txt").write_bytes("a\nb\n".encode("utf-16"))
    Path("empty.txt").write_bytes(b"")
    Path("latin.txt").write_bytes("one\ntwo\ngröße\nfour\n".encode("latin-1"))
    Path("cut.txt").write_bytes("one\ngröße".encode()[:-2])
    Path("late.txt").write_bytes(b"a\n" * 600_000 + b"\xe4\n")  # beyond the first block
    number = ModelInput("text", (None,), "float32")
    for given, model_input, fault in [
        ("a.txt:txet", TEXT, "a.txt: no 'txet'; it holds text; did you mean a.txt:text?"),
        ("wide.txt:text", TEXT, "wide.txt:text: expected text in UTF-8, received UTF-16"),
        ("latin.txt:text", TEXT, "latin.txt:text: expected text in UTF-8, and line 3 isn't; `"),
        ("cut.txt:text", TEXT, "cut.txt:text: expected text in UTF-8, and line 2 isn't"),
        ("late.txt:text", TEXT, "late.txt:text: expected text in UTF-8, and line 600,001 isn't"),
        ("empty.txt:text", TEXT, "input 'text' expects samples, received none: empty.txt:text has"),
        ("gone.txt:text", TEXT, "gone.txt: expected a file of arrays, records or images, received"),
        ("a.txt:text", number, "input 'text' expects float32, received lines of text from a.txt"),
        ("a.txt", TEXT, "expects strings, received images from a.txt; a.txt:text gives the lines"),
    ]:
        with pytest.raises(InputError) as caught:
            open_all(given, [model_input])
        assert fault in str(caught.value)
