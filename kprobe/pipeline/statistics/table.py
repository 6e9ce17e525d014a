"""Statistics as text: a table with small histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.tables import format_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.analysis.statistics.summary import Histogram, Summary, TensorSummary

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 16  # bars of a histogram


def tabulate(
    tensors: Sequence[TensorSummary],
) -> tuple[Sequence[str], Sequence[Sequence[str]], set[str]]:
    """Give the titles of a table, a line for each tensor, and which titles are those of numbers."""
    rare = [
        (title, name)
        for title, name in (("dead", "dead"), ("saturated", "saturated"))
        if any(getattr(tensor, name) for tensor in tensors)
    ]
    odd = [name for name in ("nan", "inf") if any(getattr(tensor, name) for tensor in tensors)]
    numbers = ("mean", "std", "min", "median", "max", "zeros")
    header = ("address", "shape", *numbers, *(title for title, _ in rare), *odd, "histogram")
    rows = [
        (
            tensor.address,
            format_shape([None if size < 0 else size for size in tensor.shape]),
            *_list_moments(tensor),
            write_number(tensor.quantiles.get("0.5")),
            write_number(tensor.max),
            write_part(tensor.zeros),
            *(write_part(getattr(tensor, name)) for _, name in rare),
            *(f"{getattr(tensor, name):,}" for name in odd),
            draw(tensor.histogram),
        )
        for tensor in tensors
    ]
    return header, rows, set(header[2:-1])


def _list_moments(summary: Summary) -> list[str]:
    return [write_number(summary.mean), write_number(summary.std), write_number(summary.min)]


def write_number(number: float | None) -> str:
    """Write a number in a few digits."""
    if number is None:
        return "-"
    return f"{number:.4g}"


def write_part(part: float | None) -> str:
    """Write a fraction of all; only what is nothing or all is written so."""
    if part is None:
        return "-"
    if part in (0, 1):
        return "0 %" if part == 0 else "100 %"
    return f"{min(max(part, 0.001), 0.999):.1%}".replace("%", " %")


def draw(histogram: Histogram | None) -> str:
    """Draw a histogram in a line; the highest bar is the fullest, and only nothing is blank."""
    if histogram is None:
        return ""
    each = max(1, len(histogram.counts) // _WIDTH)
    counts = histogram.counts
    sums = [sum(counts[place : place + each]) for place in range(0, len(counts), each)]
    most = max(sums, default=0)
    return "".join(
        " " if not number else _BARS[-(-number * len(_BARS) // most) - 1] for number in sums
    )
