"""Texts in pictures: whatever a layer is called."""

from __future__ import annotations

import pytest

from kprobe.pictures.texts import (
    count_unfinite,
    describe_shape,
    make_drawable,
    name_places,
    shorten,
)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("conv1/relu:0", "conv1/relu:0"),
        ("a\nb\tc\0", r"a\nb\tc\x00"),
        ("left\u202eright", r"left\u202eright"),
        ("日本 é", r"\u65e5\u672c é"),
        ("$x_1^2$ <b>", "$x_1^2$ <b>"),
        ("\U0001f600", r"\U0001f600"),
        ("\udc80", r"\udc80"),
    ],
)
def test_what_the_font_lacks_is_written_as_python_does(text, right):
    assert make_drawable(text, lambda number: number < 0x250) == right


def test_long_texts_are_cut_in_their_middle():
    text = "block_1/layer_2/conv_3"
    assert shorten(text, lambda part: len(part) <= 22) == text
    assert shorten(text, lambda part: len(part) <= 11) == "block…onv_3"
    assert len(shorten(text, lambda part: len(part) <= 11)) == 11
    assert shorten("ab", lambda _: False) == "a…"


def test_shapes_and_places_have_the_names_of_axes():
    assert describe_shape((8, 4), ("height", "width")) == "height 8, width 4"
    assert describe_shape((8, 4), ("step", None)) == "step 8, axis 4"
    assert describe_shape((8, 4), (None, None)) == "8x4"
    assert describe_shape((), ()) == "a number"
    assert name_places(["height", "width", "channel"], (2,), (5,)) == "channel 5"
    assert name_places(["step", "head", "unit"], (1, 2), (3, 4)) == "head 3, unit 4"
    assert name_places([None] * 4, (2, 3), (0, 7)) == "[:, :, 0, 7]"
    assert name_places([None], (), ()) == ""


def test_what_is_not_finite_is_counted():
    assert count_unfinite(0, 0) == []
    assert count_unfinite(1200, 3) == ["1,200 NaN", "3 infinite"]
