"""Which values of a target gradients are taken of. Knows no TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from kprobe.errors import AddressError

_INDEX = re.compile(r"-?[0-9]{1,18}( *, *-?[0-9]{1,18})*")
_EXPECTED = "expected the number of a unit such as 281, an index such as 0,3,1, max or sum"


@dataclass(frozen=True)
class Unit:
    """Which of the values that a sample has in a target gradients are taken of.

    Attributes:
        kind: "max": the largest, of equal ones the first; "sum": all, added up; "index": one.
        index: Where that one lies, without the axis of samples; negative numbers count from the
            end, as in Python.
    """

    kind: Literal["max", "sum", "index"] = "max"
    index: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Write it as it can be given."""
        return ",".join(str(number) for number in self.index) or self.kind


def parse_unit(value: Any) -> Unit:
    """Read a unit: a number, several with commas or in a sequence, "max" or "sum"; None for "max".

    Raises:
        AddressError: It is none of these.
    """
    if value is None:
        return Unit()
    if isinstance(value, Unit):
        return value
    if isinstance(value, str):
        text = value.strip()
        if text == "max":
            return Unit("max")
        if text == "sum":
            return Unit("sum")
        if _INDEX.fullmatch(text):
            return Unit("index", tuple(int(number) for number in text.split(",")))
        raise AddressError(f"unit: {_EXPECTED}, received {value!r}")
    numbers = value if isinstance(value, Sequence) else [value]
    if numbers and all(isinstance(n, Integral) and not isinstance(n, bool) for n in numbers):
        return Unit("index", tuple(int(number) for number in numbers))
    raise AddressError(f"unit: {_EXPECTED}, received {value!r}")
