"""Write numbers, sizes, times and shapes for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.tables import format_shape

if TYPE_CHECKING:
    from collections.abc import Sequence


def count(number: int, thing: str) -> str:
    """Write a number of things: 1 sample, 1,016 samples."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def count_samples(number: int, left_out: int | None) -> str:
    """Write a number of samples, and how many of them couldn't be read, if any."""
    without = f" ({left_out:,} left out)" if left_out else ""
    return count(number, "sample") + without


def format_bytes(size: float) -> str:
    """Write a number of bytes for people, in powers of ten: 12.8 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        text = f"{size:.0f}" if unit == "B" else f"{size:.1f}"
        if float(text) < 1000:
            return f"{text} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_seconds(seconds: float) -> str:
    """Write a time for people: 0.3 s, 42 s, 12.5 min, 3.4 h, 2.1 days."""
    if seconds < 0.1:
        return "under 0.1 s"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def format_shapes(shapes: Any) -> str:
    """Write the shape of a tensor, or the shapes of several."""
    if isinstance(shapes, list):
        return shorten([format_shape(shape) for shape in shapes])
    return format_shape(shapes)


def shorten(texts: Sequence[str]) -> str:
    """Join texts for a cell of a table: the first three of them."""
    return " ".join([*texts[:3], "…"] if len(texts) > 3 else texts)
