"""What is asked for of a model is read once, and checked where it is said."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.errors import KprobeError
from kprobe.subgraph.selection import Selection, list_addresses


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("a,b/c", ("a", "b/c")),
        (["a,b", "c"], ("a,b", "c")),
        (("a",), ("a",)),
        (iter(["a"]), ("a",)),
        (np.array(["a", "b"]), ("a", "b")),
        (5, (5,)),
    ],
)
def test_addresses_come_from_whatever_holds_them(value, addresses):
    assert list_addresses(value) == addresses


@pytest.mark.parametrize(
    ("settings", "faults"),
    [
        ({"layers": ""}, ("no layers are asked for",)),
        ({"layers": "a", "ragged": 5}, ("ragged: expected addresses, received 5",)),
        (
            {"layers": "a", "feeds": 5},
            ("feeds: expected texts, or sources by address, received int",),
        ),
        (
            {"layers": [], "feeds": ["b", "=x.npy", "c=1.npy", "c=2.npy"]},
            (
                "no layers are asked for",
                "a feed: expected ADDRESS=SRC, received b",
                "a feed: expected ADDRESS=SRC, received =x.npy",
                "the feed c is given twice",
            ),
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_all_at_once(settings, faults):
    with pytest.raises(KprobeError) as caught:
        Selection(**settings)
    assert caught.value.faults == faults


def test_what_is_fed_and_what_is_replaced_are_told_apart():
    made = Selection(layers="a:kernel,b:bias", feeds={"c": "c.npy", "d": "zero"})
    assert (dict(made.sources), [*made.replaced]) == ({"c": "c.npy"}, ["d"])
    assert made.only_weights
    assert not Selection(layers="a:kernel,b").only_weights
