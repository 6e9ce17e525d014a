"""Suggest by values which of several tensors belong together, where names don't tell."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.difference import Difference
from kprobe.pipeline.comparing.joining import join_sides
from kprobe.pipeline.comparing.sides import DumpSide

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from kprobe.analysis.comparison.records import Described
    from kprobe.pipeline.comparing.sides import Side

_ROWS = 4


class Suggesting:
    """Tells how far tensors of two sides are apart on their first samples, when it is asked.

    Args:
        a: The one side.
        b: The other.
    """

    def __init__(self, a: Side, b: Side) -> None:
        self._a = a
        self._b = b

    def __call__(self, a: Described, b: Described) -> float:
        """Give the root mean square difference, relative to A's standard deviation."""
        one, other = self._values[0][a.address], self._values[1][b.address]
        if one.shape != other.shape:
            return math.inf
        difference = Difference(one.shape[1:])
        difference.add(one, other, 0)
        return difference.summarize().relative

    @cached_property
    def _values(self) -> tuple[Mapping[str, npt.NDArray[Any]], Mapping[str, npt.NDArray[Any]]]:
        if not isinstance(self._a, DumpSide) and not isinstance(self._b, DumpSide):
            rows = np.arange(_ROWS)
            return self._a.read_first(rows), self._b.read_first(rows)
        of_a, of_b = join_sides(self._a, self._b)
        return self._a.read_first(of_a[:_ROWS]), self._b.read_first(of_b[:_ROWS])
