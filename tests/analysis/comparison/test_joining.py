"""Rows are joined by their samples."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.analysis.comparison.joining import join_rows
from kprobe.errors import InputError


def test_rows_are_joined_by_name_in_the_order_of_the_first():
    names = np.array([f"{i:07}.png" for i in range(20_000)])
    shuffled = np.random.default_rng(0).permutation(len(names))
    rows_a, rows_b = join_rows(names, names[shuffled])
    assert np.array_equal(rows_a, np.arange(len(names)))
    assert np.array_equal(names[shuffled][rows_b], names)
    # Of other widths, too.
    rows_a, rows_b = join_rows(names, names[shuffled].astype("U40"))
    assert np.array_equal(names[shuffled][rows_b], names)
    same = join_rows(names, names)
    assert np.array_equal(same[0], same[1])


def test_the_same_name_several_times_belongs_together_in_its_order():
    _, rows = join_rows(np.array(["ä", "y", "ä", "ä"]), np.array(["ä", "ä", "y", "ä"]))
    assert rows.tolist() == [0, 2, 1, 3]
    _, rows = join_rows(np.array(["x", "y", "x", "x"]), np.array(["x", "x", "y", "x"]))
    assert rows.tolist() == [0, 2, 1, 3]


def test_what_does_not_match_is_listed():
    a, b = np.array(["ö", "y", "z", "z"]), np.array(["y", "z", "w", "w"])
    with pytest.raises(InputError) as error:
        join_rows(a, b, "one.h5", "two.h5")
    assert error.value.faults == (
        "expected the same samples on both sides, received 1 that two.h5 hasn't in one.h5: ö",
        "expected the same samples on both sides, received 1 that one.h5 hasn't in two.h5: w",
        "expected samples as often on both sides, received z (2 in one.h5, 1 in two.h5)",
    )
    with pytest.raises(
        InputError, match="20 that B hasn't in A: 00, 01, 02, 03, 04, 05, 06, 07 and"
    ):
        join_rows(np.array([f"{i:02}" for i in range(20)]), np.array([], "U1"))
