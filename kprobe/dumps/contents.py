"""What a dump is to hold: its columns, the names of its samples, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.dumps.attributes import Attribute

# What the places and shapes of ragged rows are stored as.
INDEX = np.dtype(np.int64)


class EncodedNames(Protocol):
    """The names of samples in UTF-8 of a fixed width: an array of shape (rows,), dtype `S`.

    Of the array's interface only this is used, so that names can be made when they are written.
    """

    @property
    def dtype(self) -> np.dtype[Any]:
        """`S` and the width in bytes."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray[Any, Any]:
        """Give some rows, as an array of shape (rows,)."""


SampleNames: TypeAlias = "Sequence[str] | EncodedNames"


@dataclass(frozen=True)
class Column:
    """One dataset of a dump: with a row for every sample, or the same for all samples.

    Attributes:
        name: Name of the dataset.
        shape: Shape of one sample, without the axis of samples; () for a number per sample.
            Of a column that is the same for all samples, its whole shape. A size of -1 differs
            from row to row: such a column is ragged, a group of several datasets.
        dtype: The dtype as stored: integers, floats, complex numbers, or `S` for UTF-8 text of
            a fixed number of bytes.
        attrs: What is known about the column. A column with the attribute `addresses`, a list
            of str, holds a tensor and is found by the reader under each of them.
        value: What it holds, if it is the same for all samples, such as a weight: C-contiguous,
            of `shape` and `dtype`. It is written when the file is laid out.
        by_sample: Whether `value` has a row for every sample all the same, such as their labels,
            so that the first axis of `shape` is that of samples.
        axes: What the axes of `shape` are called, such as "height", as far as that is known:
            a name or None for each; () where nothing is.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    value: np.ndarray[Any, Any] | None = field(default=None, compare=False)
    by_sample: bool = False
    axes: Sequence[str | None] = ()

    @property
    def ragged(self) -> bool:
        """Whether the rows differ in shape."""
        return -1 in self.shape

    @property
    def row_bytes(self) -> int:
        """The bytes of one row; 0 if that isn't known, or all samples have the same."""
        has_one_size = self.value is None and not self.ragged
        return prod(self.shape) * self.dtype.itemsize if has_one_size else 0

    def count_bytes(self, rows: int) -> int:
        """The bytes of the dataset for a number of samples, ragged values not among them."""
        if self.ragged:
            return (rows * (1 + len(self.shape)) + 1) * INDEX.itemsize
        return rows * self.row_bytes if self.value is None else self.value.nbytes


# Where samples that can't be read may be left out: whether each was read, and why it wasn't.
VALID = Column("valid", (), np.dtype(np.uint8), {"layout": "valid"})
REASON = Column("reason", (), np.dtype("S96"), {"layout": "reason"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What a dump is to hold.

    Attributes:
        columns: The datasets, in the order in which they will be listed; those with a `value` are
            there from the start, the others wait for their rows.
        samples: The identity of every row: str, or UTF-8 in an array of shape (rows,), dtype `S`,
            or what makes slices of such an array when asked. There are as many rows.
        attrs: Attributes of the file; `format` and `format_version` are added. Characters that
            UTF-8 doesn't have, as file names may, are written as escapes.
        open_ended: Whether there may be fewer rows than `samples` has in the end. Then the file
            is made of holes, and no row has a name yet.
    """

    columns: Sequence[Column]
    samples: SampleNames
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    open_ended: bool = False

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.samples)

    @cached_property
    def even(self) -> dict[str, Column]:
        """The columns that wait for rows of one shape, by name."""
        return {c.name: c for c in self.columns if c.value is None and not c.ragged}

    @cached_property
    def ragged(self) -> dict[str, Column]:
        """The columns that wait for rows that differ in shape, by name."""
        return {c.name: c for c in self.columns if c.value is None and c.ragged}
