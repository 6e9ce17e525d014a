"""Names in messages: listed, and the nearest to a misspelt one."""

from __future__ import annotations

import pytest

from kprobe.naming import find_meant, find_nearest, list_names, name_nearest, suggest_name

NAMES = ["conv1", "conv2", "dense"]


def test_a_long_list_names_the_first_and_counts_the_rest():
    assert list_names(iter("abc")) == "a, b, c"
    assert list_names("abc", 3) == "a, b, c"
    assert list_names("abcd", 2) == "a, b and 2 more"
    assert list_names([]) == "none"
    names = [str(number) for number in range(14)]
    assert list_names(names).endswith("10, 11 and 2 more")


def test_the_likeliest_names_come_first_and_no_more_than_asked_for():
    assert find_nearest("cnov1", NAMES) == ["conv1"]
    assert find_nearest("conv", NAMES, 5) == ["conv2", "conv1"]
    assert find_nearest("pool", NAMES) == []


def test_a_hint_names_the_nearest_or_there_is_none():
    assert name_nearest("conv", NAMES, 2) == "nearest: conv1, conv2"
    assert name_nearest("dens", iter(NAMES)) == "nearest: dense"
    assert name_nearest("pool", NAMES) is None
    assert suggest_name("dens", NAMES, "x.npz:{}") == "did you mean x.npz:dense?"
    assert suggest_name("dens", NAMES, "{!r}") == "did you mean 'dense'?"
    assert suggest_name("pool", NAMES) is None


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("layer", ["layers"]),
        ("batchsize", ["batch-size"]),
        ("batch_sizes", ["batch-size"]),
        ("BATCH", ["batch-size"]),
        ("seed-of-all", ["seed"]),
        ("sede", ["seed"]),
        ("sed", ["seed"]),
        ("sxxd", []),
        ("fede", ["feed"]),
        ("ouptut", ["output"]),
        ("otuptu", ["output"]),
        ("puttuo", []),
        ("", []),
    ],
)
def test_what_is_meant_is_a_slip_or_two_away(wrong, meant):
    names = ["layers", "batch-size", "seed", "feed", "output", "exact", "all"]
    assert find_meant(wrong, names) == meant
