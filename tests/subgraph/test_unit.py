"""Which values of a target gradients are taken of is read from whatever says it."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.errors import AddressError
from kprobe.subgraph.unit import Unit, parse_unit


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, Unit("max"), "max"),
        ("max", Unit("max"), "max"),
        (" sum ", Unit("sum"), "sum"),
        (281, Unit("index", (281,)), "281"),
        (np.int64(7), Unit("index", (7,)), "7"),
        ("-1", Unit("index", (-1,)), "-1"),
        ("0, 3,1", Unit("index", (0, 3, 1)), "0,3,1"),
        ((0, -3), Unit("index", (0, -3)), "0,-3"),
    ],
)
def test_a_unit_is_read_and_written(value, unit, text):
    assert parse_unit(value) == unit
    assert str(unit) == text
    assert parse_unit(str(unit)) == unit


@pytest.mark.parametrize("value", ["", "first", "1.5", "1,", 1.5, True, [], [1, "2"], {}])
def test_what_is_no_unit_is_refused(value):
    with pytest.raises(AddressError, match="unit: expected the number of a unit such as 281"):
        parse_unit(value)
