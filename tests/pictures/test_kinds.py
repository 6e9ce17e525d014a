"""Which picture fits: a table of shapes and names of axes."""

from __future__ import annotations

import pytest

from kprobe.errors import InputError
from kprobe.pictures.kinds import Layout, choose_layout

IMAGE = ("height", "width", "channel")


@pytest.mark.parametrize(
    ("shape", "axes", "right"),
    [
        ((), (), Layout("bars")),
        ((10,), ("unit",), Layout("bars", across=0)),
        ((10,), (), Layout("bars", across=0)),
        ((1,), ("unit",), Layout("bars", across=0)),
        ((24,), ("step",), Layout("lines", across=0)),
        ((1, 1, 512), IMAGE, Layout("bars", across=2)),
        ((512, 1, 1), ("channel", "height", "width"), Layout("bars", across=0)),
        ((1, 1, 1), IMAGE, Layout("bars", across=0)),
        ((8, 8), ("height", "width"), Layout("maps", 0, 1)),
        ((8, 8, 16), IMAGE, Layout("maps", 0, 1, (2,))),
        ((8, 8, 1), IMAGE, Layout("maps", 0, 1, (2,))),
        ((1, 8, 16), IMAGE, Layout("maps", 0, 1, (2,))),
        ((16, 8, 8), ("channel", "height", "width"), Layout("maps", 1, 2, (0,))),
        ((8, 8, 16), ("height", "width", "unit"), Layout("maps", 0, 1, (2,))),
        ((8, 8, 16), ("height", "width", None), Layout("maps", 0, 1, (2,))),
        ((8, 8, 16), (), Layout("maps", 0, 1, (2,))),
        ((4, 8, 8, 16), ("depth", *IMAGE), Layout("maps", 1, 2, (3,), (0,))),
        ((4, 8, 8, 16), ("step", *IMAGE), Layout("maps", 1, 2, (3,), (0,))),
        ((16, 4, 8, 8), ("channel", "depth", "height", "width"), Layout("maps", 2, 3, (0,), (1,))),
        ((4, 8, 8, 16), (), Layout("maps", 1, 2, (3,), (0,))),
        ((2, 4, 8, 8, 16), (), Layout("maps", 2, 3, (4,), (0, 1))),
        ((2, 4, 8, 8, 16), ("step", "depth", *IMAGE), Layout("maps", 2, 3, (4,), (0, 1))),
        ((12, 32), ("step", "unit"), Layout("lines", across=0, channels=(1,))),
        ((12, 32), ("step", "channel"), Layout("lines", across=0, channels=(1,))),
        ((32, 12), ("channel", "step"), Layout("lines", across=1, channels=(0,))),
        ((12, 1), ("step", "unit"), Layout("lines", across=0, channels=(1,))),
        ((12, 32), (), Layout("matrix", 0, 1)),
        ((12, 12), ("step", "key_step"), Layout("matrix", 0, 1)),
        ((4, 12, 12), ("head", "step", "key_step"), Layout("matrix", 1, 2, (0,))),
        ((4, 12, 32), ("step", None, "unit"), Layout("maps", 0, 1, (2,))),
    ],
)
def test_the_picture_fits_the_axes(shape, axes, right):
    assert choose_layout(shape, axes) == right


@pytest.mark.parametrize(
    ("shape", "right"),
    [
        ((32, 10), Layout("matrix", 0, 1)),
        ((3, 32, 64), Layout("maps", 0, 1, (2,))),
        ((3, 3, 16, 32), Layout("maps", 0, 1, (2, 3))),
        ((3, 3, 3, 16, 32), Layout("maps", 1, 2, (3, 4), (0,))),
        ((32,), Layout("bars", across=0)),
    ],
)
def test_the_last_two_axes_of_a_kernel_are_its_channels(shape, right):
    assert choose_layout(shape, weight=True) == right


@pytest.mark.parametrize(
    ("shape", "axes", "kind", "right"),
    [
        ((12, 32), ("step", "unit"), "matrix", Layout("matrix", 0, 1)),
        ((12, 32), ("step", "unit"), "histogram", Layout("histogram")),
        ((2, 5, 4), (), "boxes", Layout("boxes")),
        ((8, 8, 16), IMAGE, "lines", Layout("lines", across=0, channels=(1, 2))),
        ((4, 12, 32), (), "matrix", Layout("matrix", 1, 2, (0,))),
        ((8, 8, 16), IMAGE, "matrix", Layout("matrix", 0, 1, (2,))),
        ((12, 32), (), "maps", Layout("maps", 0, 1)),
        ((10,), ("unit",), "lines", Layout("lines", across=0)),
    ],
)
def test_another_kind_may_be_asked_for(shape, axes, kind, right):
    assert choose_layout(shape, axes, kind) == right


@pytest.mark.parametrize(
    ("shape", "kind", "line"),
    [
        ((10,), "maps", "maps: expected two axes or more, received 10"),
        ((), "lines", "lines: expected an axis or more, received one number"),
        ((3, 5), "boxes", "boxes: expected 4 numbers each in the last axis, received 3x5"),
        ((), "boxes", "boxes: expected an axis or more, received one number"),
        ((3, 5), "bars", "bars: expected a row of numbers, received 3x5"),
    ],
)
def test_a_kind_that_does_not_fit_is_refused(shape, kind, line):
    with pytest.raises(InputError) as refused:
        choose_layout(shape, (), kind)
    assert str(refused.value) == line
