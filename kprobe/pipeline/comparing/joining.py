"""Which rows of two sides are those of the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.joining import join_rows
from kprobe.errors import InputError
from kprobe.pipeline.comparing.sides import DumpSide

if TYPE_CHECKING:
    import numpy.typing as npt

    from kprobe.pipeline.comparing.sides import Side

Places = tuple["npt.NDArray[np.intp]", "npt.NDArray[np.intp]"]


def join_sides(a: Side, b: Side) -> Places:
    """Find the rows of the same samples, by their names.

    Of a dump that isn't finished those are taken that it has.

    Args:
        a: The one side.
        b: The other.

    Returns:
        The rows of both that belong together, in A's order.

    Raises:
        InputError: Samples of one aren't among those of the other, or none is.
    """
    names = [side.names() for side in (a, b)]
    if empty := [side.name for side, own in zip((a, b), names, strict=True) if not len(own)]:
        raise InputError(*(f"{name}: expected samples, received none yet" for name in empty))
    rows: list[npt.NDArray[Any]] = [np.arange(len(own)) for own in names]
    for side, own, other in ((a, 0, 1), (b, 1, 0)):
        if isinstance(side, DumpSide) and not side.dump.complete:
            known = np.isin(names[other], names[own])
            rows[other], names[other] = rows[other][known], names[other][known]
    if not (len(names[0]) and len(names[1])):
        raise InputError(f"{a.name} and {b.name} have no sample in common")
    of_a, of_b = join_rows(names[0], names[1], a.name, b.name)
    return rows[0][of_a], rows[1][of_b]
