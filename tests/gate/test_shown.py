"""What a stranger's file holds is shown in short, at little cost, whatever it is."""

from __future__ import annotations

import pytest

from kprobe.gate.shown import show, show_name, show_value

TAG = "\U000e0041"  # of no width; ten characters, written out


class Counted:
    shown = 0

    def __repr__(self):
        Counted.shown += 1
        return "x"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("conv5_3", "conv5_3"),
        ("it's", "it's"),
        ("a\nb", "a\\nb"),
        (None, "None"),
        (2.5, "2.5"),
        (["os"], "['os']"),
        ({"a": TAG}, "{'a': '\\U000e0041'}"),
    ],
)
def test_a_name_is_shown_as_it_is_and_other_values_as_python_writes_them(name, shown):
    assert show_name(name) == shown


@pytest.mark.parametrize("value", ["x" * 500, TAG * 500, "'\"" * 500, [["\x1b"] * 99] * 99])
def test_nothing_is_longer_than_a_name(value):
    assert len(show_name(value)) <= 60
    assert len(show_value(value)) <= 60
    assert show_name(value).isprintable()
    if isinstance(value, str):
        assert len(show(value)) == 62


def test_of_a_large_value_little_is_looked_at():
    """At every level of a config, all that is inside of it would be gone through again."""
    Counted.shown = 0
    value = [Counted()] * 1000
    for _ in range(150):
        value = [{"vocabulary": value}] * 2
    assert show_value(value).startswith("[{'vocabulary': [{")
    assert show_value([Counted()] * 1000).startswith("[x, x, ")
    assert Counted.shown < 20
