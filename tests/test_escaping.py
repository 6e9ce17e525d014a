"""What is shown of a foreign text: nothing hidden, and both its ends."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe.escaping import cut_middle, escape_hidden


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv5_3", "conv5_3"),
        ("größe/層", "größe/層"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\r\nlines\t", "two\\r\\nlines\\t"),
        ("\u202eturned\u2066\u061c", "\\u202eturned\\u2066\\u061c"),
        ("\x9b2J\x7f\0", "\\x9b2J\\x7f\\x00"),
        ("half \ud800", "half \\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_cant_be_seen_is_written_out(text, shown):
    assert escape_hidden(text) == shown


# As Unicode has it: control, format, half a character, unassigned, private, between lines.
HIDDEN = ["Cc", "Cf", "Cs", "Zl", "Zp"]


@given(st.text(st.characters(categories=[*HIDDEN, "L", "Zs", "Po"])))
def test_nothing_hidden_is_left(text):
    shown = escape_hidden(text)
    assert not {unicodedata.category(each) for each in shown} & {*HIDDEN}
    assert escape_hidden(shown) == shown


@given(st.text("abc ", max_size=40), st.integers(8, 50))
def test_a_long_text_keeps_both_ends(text, most):
    shown = cut_middle(text, most)
    assert len(shown) == min(len(text), most)
    if len(text) > most:
        head, tail = shown.split(" … ")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(head) - len(tail) in (0, 1)
