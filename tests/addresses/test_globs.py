"""Globs: what they fit, and what means nothing in them."""

from __future__ import annotations

import pytest

from kprobe.addresses.globs import compile_glob


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("conv*", "conv1", True),
        ("conv*", "conv", True),
        ("conv*", "a_conv1", False),
        ("conv?", "conv1", True),
        ("conv?", "conv", False),
        ("conv?", "conv12", False),
        ("*/kernel", "a/b/kernel", True),
        ("a*", "a\nb", True),
        ("a.c", "abc", False),
        ("a.c", "a.c", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a+(b)|c", "a+(b)|c", True),
        ("Conv*", "conv1", False),
    ],
)
def test_stars_and_question_marks_mean_something_and_nothing_else_does(glob, text, fits):
    assert (compile_glob(glob).fullmatch(text) is not None) == fits
