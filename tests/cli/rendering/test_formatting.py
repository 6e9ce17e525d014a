"""Numbers, sizes, times and shapes, as people read them."""

from __future__ import annotations

import pytest

from kprobe.cli.rendering.formatting import (
    count,
    format_bytes,
    format_seconds,
    format_shapes,
)
from kprobe.tables import format_shape


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (12_840_000, "12.8 MB"),
        (5.25e9, "5.2 GB"),
        (999_960_000_000, "1.0 TB"),
        (12_345e12, "12345.0 TB"),
    ],
)
def test_a_size_is_below_a_thousand_of_its_unit(size, written):
    assert format_bytes(size) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.04, "under 0.1 s"),
        (0.34, "0.3 s"),
        (42.4, "42 s"),
        (119, "119 s"),
        (750, "12.5 min"),
        (12_240, "3.4 h"),
        (181_440, "2.1 days"),
    ],
)
def test_a_time_is_in_the_unit_that_fits(seconds, written):
    assert format_seconds(seconds) == written


def test_shapes_have_a_question_mark_for_what_is_open():
    assert format_shape((None, 8, 8)) == "(?,8,8)"
    assert (format_shape(()), format_shape(None)) == ("()", "")
    assert format_shapes([(1,), (2,), (3,)]) == "(1) (2) (3)"
    assert format_shapes([(1,), (2,), (3,), (4,)]) == "(1) (2) (3) …"


def test_one_is_no_plural():
    assert [count(n, "sample") for n in (0, 1, 1016)] == ["0 samples", "1 sample", "1,016 samples"]
