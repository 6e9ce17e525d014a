"""The texts in pictures: safe to draw whatever a layer is called, and short enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def make_drawable(text: str, has_glyph: Callable[[int], bool]) -> str:
    r"""Write what can't be drawn as Python does, such as `\n` and `\u65e5`.

    Args:
        text: Any text.
        has_glyph: Tells whether the font has a character, by its number.
    """
    return "".join(
        each if each.isprintable() and has_glyph(ord(each)) else ascii(each)[1:-1] for each in text
    )


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """Cut a text in its middle until it fits: of addresses, both ends tell most."""
    if fits(text):
        return text
    low, high = 1, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(_cut(text, middle)) else (low, middle)
    return _cut(text, low)


def _cut(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    return f"{text[:head]}…{text[len(text) - kept + head :]}"


def describe_shape(shape: Sequence[int], names: Sequence[str | None]) -> str:
    """Give a shape with the names of its axes: "height 8, width 8, channel 16"; else "8x8x16"."""
    if not any(names):
        return "x".join(map(str, shape)) or "a number"
    return ", ".join(f"{name or 'axis'} {size}" for size, name in zip(shape, names, strict=True))


def name_places(names: Sequence[str | None], axes: Sequence[int], places: Sequence[int]) -> str:
    """Name places along some axes: "channel 5"; of axes without a name as an index, "[:, 5]".

    Args:
        names: What all axes are called.
        axes: Some of them.
        places: The place along each of these.
    """
    known = dict(zip(axes, places, strict=True))
    if not known or all(names[axis] for axis in axes):
        return ", ".join(f"{names[axis]} {place}" for axis, place in known.items())
    return f"[{', '.join(str(known.get(axis, ':')) for axis in range(len(names)))}]"


def count_unfinite(nan: int, infinite: int) -> list[str]:
    """Say how many values aren't finite; nothing of none."""
    told = [f"{nan:,} NaN"] if nan else []
    return told + ([f"{infinite:,} infinite"] if infinite else [])
