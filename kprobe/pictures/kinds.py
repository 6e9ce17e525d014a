"""Which picture fits a tensor, by the names and sizes of its axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from kprobe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["maps", "matrix", "lines", "bars", "histogram", "boxes"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_CHANNELS = ("channel", "unit")
_BOX = 4  # numbers of a box
_AXES = {"maps": 2, "matrix": 2, "lines": 1, "boxes": 1}  # that a kind needs


@dataclass(frozen=True)
class Layout:
    """How the values of one sample are laid out in a picture.

    Attributes:
        kind: What it is drawn as.
        down: The axis that runs downwards; None for none.
        across: The axis that runs to the right; None for none.
        channels: The axes whose places have a panel or a line each; the most active are shown.
        frames: The axes, such as depth, of which a few places are shown.
    """

    kind: Kind
    down: int | None = None
    across: int | None = None
    channels: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()


def choose_layout(
    shape: Sequence[int],
    axes: Sequence[str | None] = (),
    kind: Kind | None = None,
    *,
    weight: bool = False,
) -> Layout:
    """Choose how a tensor is drawn.

    Args:
        shape: The shape of a row, or of a weight.
        axes: What its axes are called, None for what isn't known; () where nothing is.
        kind: What it is to be drawn as; None for what fits.
        weight: Whether it is a weight, whose last axes are the channels that a layer takes and
            gives.

    Raises:
        InputError: It can't be drawn as this kind.
    """
    names = list(axes) or [None] * len(shape)
    chosen = kind or _choose_kind(shape, names)
    _check(shape, chosen)
    rank = len(shape)
    if chosen in ("histogram", "boxes"):
        return Layout(chosen)
    if chosen == "bars":
        return Layout("bars", across=_find_longest(shape))
    if chosen == "lines":
        across = names.index("step") if "step" in names else 0
        return Layout("lines", across=across, channels=_without(rank, across))
    down, across, channels = _choose_plane(rank, names, chosen, weight)
    return Layout(chosen, down, across, channels, _without(rank, down, across, *channels))


def _choose_kind(shape: Sequence[int], names: Sequence[str | None]) -> Kind:
    rank = len(shape)
    if sum(size != 1 for size in shape) <= 1 and "step" not in names:
        return "bars"  # such as what is left of maps of one pixel
    if rank == 1:
        return "lines" if "step" in names else "bars"
    if "height" in names and "width" in names:
        return "maps"
    if "key_step" in names:
        return "matrix"
    if rank == 2:
        is_sequence = "step" in names and any(name in names for name in _CHANNELS)
        return "lines" if is_sequence else "matrix"
    return "maps"


def _choose_plane(
    rank: int, names: Sequence[str | None], kind: Kind, weight: bool
) -> tuple[int, int, tuple[int, ...]]:
    """Give the axes that run down and across, and those of channels."""
    if "height" in names and "width" in names:
        plane = names.index("height"), names.index("width")
        named = [place for place, name in enumerate(names) if name in _CHANNELS]
        others = _without(rank, *plane)
        # What isn't called anything is a channel where nothing else is.
        unknown = [place for place in others if names[place] is None]
        return *plane, tuple(named or unknown[-1:])
    if "key_step" in names or (kind == "matrix" and rank > 2) or rank == 2:
        return rank - 2, rank - 1, _without(rank, rank - 2, rank - 1)
    given = 2 if weight and rank > 3 else 1
    down = rank - given - 2
    return down, down + 1, tuple(range(rank - given, rank))


def _without(rank: int, *places: int) -> tuple[int, ...]:
    return tuple(place for place in range(rank) if place not in places)


def _find_longest(shape: Sequence[int]) -> int | None:
    return max(range(len(shape)), key=lambda place: shape[place], default=None)


def _check(shape: Sequence[int], kind: Kind) -> None:
    """Refuse what can't be drawn as a kind."""
    shown = "x".join(map(str, shape)) or "one number"
    if len(shape) < _AXES.get(kind, 0):
        axes = "two axes" if _AXES[kind] == 2 else "an axis"
        raise InputError(f"{kind}: expected {axes} or more, received {shown}")
    if kind == "bars" and sum(size != 1 for size in shape) > 1:
        raise InputError(f"bars: expected a row of numbers, received {shown}")
    if kind == "boxes" and shape[-1] != _BOX:
        raise InputError(f"boxes: expected {_BOX} numbers each in the last axis, received {shown}")
