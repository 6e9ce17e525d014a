"""Numbers as colours that people who are colour-blind can tell apart; without matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = np.ndarray[Any, Any]
Colours = npt.NDArray[np.uint8]
Palette = Literal["viridis", "red-blue"]

# Colours at equal distances, from the least value to the largest. viridis is matplotlib's, by
# Stéfan van der Walt, Nathaniel Smith and Eric Firing (CC0); red and blue are ColorBrewer's RdBu,
# by Cynthia Brewer (Apache 2.0), whose middle is 0.
_ANCHORS: dict[Palette, str] = {
    "viridis": (
        "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e"
        " 2c728e 297a8e 26828e 23898e 21918c 1f978b 1f9f88 21a685 27ad81 31b57b 3dbc74 4cc26c"
        " 5cc863 6ece58 81d34d 95d840 aadc32 c0df25 d5e21a eae51a fde725"
    ),
    "red-blue": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
}
# What neither palette has: NaN, and infinity.
NAN = (255, 0, 255)
INFINITY: dict[Palette, tuple[int, int, int]] = {
    "viridis": (255, 255, 255),
    "red-blue": (0, 0, 0),
}
# For classes and lines: Okabe and Ito (2008), "Color Universal Design", black last.
CLASSES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#000000")
# Where the smaller side of 0 is less than this part of the other, it isn't given half the colours.
_SIGNED = 0.05


@dataclass(frozen=True)
class Scale:
    """Which values have which colours.

    Attributes:
        low: The value of the first colour.
        high: That of the last one, above `low`.
        palette: The name of the colours.
    """

    low: float
    high: float
    palette: Palette = "viridis"


def choose_scale(*parts: Array) -> Scale:
    """Choose colours for values that are shown together.

    Args:
        *parts: Arrays of real numbers of any shape and dtype.

    Returns:
        From the least finite value to the largest; or, where there are values on both sides of 0,
        red and blue, as far above it as below.
    """
    finite = [part[np.isfinite(part)] for part in parts]
    known = [part for part in finite if part.size]
    if not known:
        return Scale(0.0, 1.0)
    low = min(float(part.min()) for part in known)
    high = max(float(part.max()) for part in known)
    if low < 0 < high and min(-low, high) >= _SIGNED * max(-low, high):
        most = max(-low, high)
        return Scale(-most, most, "red-blue")
    if low == high:
        # Of a constant, which is in the middle.
        apart = max(abs(low) / 2, 0.5)
        most = float(np.finfo(np.float64).max)
        return Scale(max(low - apart, -most), min(high + apart, most))
    return Scale(low, high)


def paint(values: Array, scale: Scale) -> Colours:
    """Turn numbers into colours.

    Args:
        values: Real numbers of any shape and dtype.
        scale: Which values have which colours; what lies beyond has the first or the last one.

    Returns:
        RGB: uint8 of shape (*shape, 3). NaN and infinity have colours of their own.
    """
    numbers = np.asarray(values, np.float64)
    finite = np.isfinite(numbers)
    # By halves: the distance may be more than float64 holds.
    low, high = scale.low / 2, scale.high / 2
    with np.errstate(over="ignore", invalid="ignore"):
        parts = (np.where(finite, numbers, scale.low) / 2 - low) / (high - low)
    places = np.rint(np.clip(parts, 0, 1) * 255).astype(np.uint8)
    painted = list_colours(scale.palette)[places]
    if not finite.all():
        painted[np.isnan(numbers)] = NAN
        painted[np.isinf(numbers)] = INFINITY[scale.palette]
    return painted


@cache
def list_colours(palette: Palette) -> Colours:
    """Give the 256 colours of a palette: uint8 of shape (256, 3)."""
    anchors = np.array([[*bytes.fromhex(text)] for text in _ANCHORS[palette].split()], float)
    places = np.linspace(0, len(anchors) - 1, 256)
    mixed = [np.interp(places, range(len(anchors)), part) for part in anchors.T]
    colours: Colours = np.rint(np.stack(mixed, 1)).astype(np.uint8)
    colours.flags.writeable = False
    return colours
