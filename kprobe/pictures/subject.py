"""What a picture is of: a tensor's values, their distribution, or points; and how it is to look."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.pictures.kinds import choose_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.pictures.boxes import BoxFormat
    from kprobe.pictures.colour import Colours
    from kprobe.pictures.kinds import Kind, Layout

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was asked for of the looks of pictures.

    Attributes:
        kind: What tensors are drawn as; None for what fits each.
        channels: Which channels are shown: numbers and slices; None for the most active.
        boxes: How the numbers of a box are meant, for the kind "boxes".
    """

    kind: Kind | None = None
    channels: Sequence[int | slice] | None = None
    boxes: BoxFormat | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A tensor as it is drawn: for one sample, or a row of numbers for each of several.

    Attributes:
        address: The tensor.
        rows: Its values for each sample; of a weight one array. Numbers of any dtype.
        axes: What the axes of a row are called, None for what isn't known; () where nothing is.
        samples: The number and the name of each sample; () of a weight.
        about: What else is told of it, such as the class of the layer.
        stacked: Whether the rows are drawn together, also where there is only one.
        image: What the sample was made from, uint8 of shape (height, width, 1, 3 or 4); or None.
    """

    address: str
    rows: Sequence[Array]
    axes: Sequence[str | None] = ()
    samples: Sequence[tuple[int, str]] = ()
    about: str = ""
    stacked: bool = False
    image: Colours | None = None

    @property
    def together(self) -> bool:
        """Whether the first axis of what is drawn is that of samples."""
        return self.stacked or len(self.rows) > 1

    @cached_property
    def values(self) -> Array:
        """What is drawn: real numbers, of complex ones their magnitudes; several rows stacked."""
        rows = [np.asarray(row) for row in self.rows]
        values = np.stack(rows) if self.together else rows[0]
        if values.dtype.kind == "c":
            return np.asarray(np.abs(values))
        return values.astype(np.uint8) if values.dtype.kind == "b" else values

    @property
    def names(self) -> list[str | None]:
        """What the axes of `values` are called."""
        names = list(self.axes) or [None] * self.rows[0].ndim
        return ["sample", *names] if self.together else names

    def lay_out(self, kind: Kind | None) -> Layout:
        """Choose how it is drawn.

        Raises:
            InputError: It can't be drawn as this kind.
        """
        weight = not self.samples
        if self.together and kind in (None, "bars") and self.rows[0].ndim:
            kind = "matrix"
        return choose_layout(self.values.shape, self.names, kind, weight=weight)


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """How many values lie between edges.

    Attributes:
        address: The tensor.
        edges: float64 of shape (bars + 1,), ascending; () where no value is finite.
        counts: int64 of shape (bars,).
        marks: Values that are marked, by what they are called, such as "mean".
        about: What else is told of it.
        notes: What is told of the values that aren't counted, such as NaN.
    """

    address: str
    edges: Array
    counts: Array
    marks: Mapping[str, float] = field(default_factory=dict)
    about: str = ""
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Samples in a plane.

    Attributes:
        address: The tensor.
        places: float64 of shape (samples, 2).
        axes: What the axes are called.
        labels: The class of each sample, str of shape (samples,); None without labels.
        about: What else is told.
        notes: What was left out.
    """

    address: str
    places: Array
    axes: Sequence[str] = ("", "")
    labels: Array | None = None
    about: str = ""
    notes: Sequence[str] = field(default_factory=list)
