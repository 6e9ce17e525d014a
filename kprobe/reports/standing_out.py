"""What stands out of statistics: NaN, dead channels, what is missing; the worst in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.naming import list_names
from kprobe.reports.contents import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.analysis.statistics.summary import TensorSummary
    from kprobe.pipeline.statistics.gathered import Gathered
    from kprobe.pipeline.statistics.report import NonFinite
    from kprobe.reports.contents import Layer, Level

FLAGS = {
    "nan": "with NaN",
    "inf": "with infinity",
    "zero": "zero for every sample",
    "dead": "with dead channels",
    "constant": "one value throughout",
    "saturated": "saturated by half or more",
}
# In the order in which they are told: how bad each is, what one tensor does, what several do, and
# the rest of the sentence.
_TOLD: dict[str, tuple[Level, str, str, str]] = {
    "zero": ("bad", "is", "are", "zero for every sample"),
    "dead": ("warn", "has", "have", "channels that are zero for every sample"),
    "constant": ("warn", "has", "have", "one value throughout"),
    "saturated": ("warn", "has", "have", "half of the values or more at the least or the largest"),
}
_HALF = 0.5
_NAMED = 4


def find_flags(tensor: TensorSummary, *, weight: bool) -> Iterator[str]:
    """Find what stands out of a tensor, as `FLAGS` has it.

    Args:
        tensor: What is known of it.
        weight: Whether it is a weight: a bias of zeros is nothing to tell of.
    """
    if tensor.nan:
        yield "nan"
    if tensor.inf:
        yield "inf"
    if weight or not tensor.count:
        return
    if tensor.zeros == 1:
        yield "zero"
    elif tensor.min is not None and tensor.min == tensor.max and tensor.count > tensor.nan + 1:
        yield "constant"
    elif (tensor.saturated or 0) >= _HALF:
        yield "saturated"
    if tensor.dead_channels and tensor.zeros < 1:
        yield "dead"


def find_standing_out(
    firsts: Sequence[NonFinite | None], layers: Sequence[Layer]
) -> Iterator[Finding]:
    """Find what stands out of all tensors, the worst first.

    Args:
        firsts: Where NaN begins, and where infinity does.
        layers: The tensors.
    """
    for flag, first in zip(("nan", "inf"), firsts, strict=True):
        if first is not None:
            yield Finding(level="bad", text=_tell_first(first, layers, flag), flag=flag)
    for flag, (level, one, several, rest) in _TOLD.items():
        if found := [layer for layer in layers if flag in layer.flags]:
            told = list_names((_name(layer, flag) for layer in found), _NAMED)
            does = one if len(found) == 1 else several
            text = f"{_count(len(found))} {does} {rest}: {told}."
            yield Finding(level=level, text=text, flag=flag)


def find_gaps(gathered: Gathered) -> Iterator[Finding]:
    """Find what isn't in the numbers: samples, or whole tensors."""
    if gathered.left_out:
        text = f"{gathered.left_out:,} of {gathered.rows:,} samples couldn't be read: not counted."
        yield Finding(level="warn", text=text)
    if not gathered.complete:
        of = "" if gathered.total is None else f" of {gathered.total:,}"
        text = f"Not complete: the numbers are those of {gathered.rows:,}{of} samples."
        yield Finding(level="warn", text=text)
    for reason in gathered.uncounted:
        yield Finding(level="note", text=f"{reason}: there is nothing to count.")


def judge(
    gathered: Gathered, firsts: Sequence[NonFinite | None], layers: Sequence[Layer]
) -> tuple[Level, str]:
    """Say the worst in a few words, and how bad it is."""
    first = next((each for each in firsts if each is not None), None)
    if first is not None:
        return "bad", f"{_capitalize(first.kind)} begins at {first.address}"
    samples = f"{gathered.rows:,} sample{'s' if gathered.rows != 1 else ''}"
    for flag, (level, one, several, rest) in _TOLD.items():
        if number := sum(flag in layer.flags for layer in layers):
            does = one if number == 1 else several
            return level, f"{number:,} of {_count(len(layers))} {does} {rest}"
    of = f"{_count(len(layers))} over {samples}"
    return "good" if gathered.complete else "warn", f"No NaN, no infinity, nothing dead in {of}"


def _name(layer: Layer, flag: str) -> str:
    if flag != "dead":
        return layer.name
    told = dict(layer.facts)
    return f"{layer.name} ({told['dead channels']} of {told['channels']})"


def _count(number: int) -> str:
    return f"{number:,} tensor{'s' if number != 1 else ''}"


def _tell_first(first: NonFinite, layers: Sequence[Layer], flag: str) -> str:
    where = "" if first.sample is None else f", with the sample {first.sample} (row {first.row:,})"
    number = sum(flag in layer.flags for layer in layers)
    more = f" {_count(number)} have it." if number > 1 else ""
    return f"{_capitalize(first.kind)} begins at {first.address}{where}.{more}"


def _capitalize(kind: str) -> str:
    return f"{kind[:1].upper()}{kind[1:]}"
