"""Whether two shapes can be those of one tensor, in the same or in another layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kprobe.analysis.comparison.records import Described

_NAMES = {3: ("NHWC", "NCHW"), 4: ("NDHWC", "NCDHW")}


class Fit(NamedTuple):
    """How A's rows become B's: `transpose` and `layout` as in `Pair`."""

    transpose: tuple[int, ...] | None
    layout: str | None


SAME = Fit(None, None)


def fit(a: Described, b: Described) -> Fit | None:
    """Tell how the values of one tensor become those of another; None where they can't."""
    if a.weight != b.weight or a.is_text != b.is_text:
        return None
    if a.weight or a.shape is None or b.shape is None:
        return SAME if a.shape == b.shape else None
    if len(a.shape) != len(b.shape):
        return None
    named = _fit_names(a, b)
    if named is not None:
        return named
    if _agree(a.shape, b.shape):
        return SAME
    for layout in _NAMES.get(len(a.shape), ()):
        transpose, words = _move_channels(len(a.shape), layout)
        if _agree([a.shape[axis] for axis in transpose], b.shape):
            return Fit(transpose, words)
    return None


def is_cube(a: Described, b: Described) -> bool:
    """Tell whether a pair has one shape in both layouts, and nothing says which layout it is."""
    shape = a.shape
    if a.weight or all(tensor.axes and "channel" in tensor.axes for tensor in (a, b)):
        return False
    return shape is not None and len(shape) in _NAMES and len(set(shape)) == 1 and shape[0] != 1


def _fit_names(a: Described, b: Described) -> Fit | None:
    """Tell the same by the names of axes, where both are known to have channels."""
    places = [t.axes.index("channel") if t.axes and "channel" in t.axes else None for t in (a, b)]
    rank = len(a.shape or ())
    if None in places or rank not in _NAMES or places[0] == places[1]:
        return None
    if set(places) != {0, rank - 1}:
        return None
    transpose, words = _move_channels(rank, _NAMES[rank][places[0] == 0])
    moved = [(a.shape or ())[axis] for axis in transpose]
    return Fit(transpose, words) if _agree(moved, b.shape or ()) else None


def _move_channels(rank: int, layout: str) -> tuple[tuple[int, ...], str]:
    """Give what becomes of a layout, channels first or last, to be the other one."""
    last, first = _NAMES[rank]
    if layout == last:
        return (rank - 1, *range(rank - 1)), f"{last}/{first}"
    return (*range(1, rank), 0), f"{first}/{last}"


def _agree(a: tuple[int | None, ...] | list[int | None], b: tuple[int | None, ...]) -> bool:
    return all(x == y or x is None or y is None for x, y in zip(a, b, strict=True))
