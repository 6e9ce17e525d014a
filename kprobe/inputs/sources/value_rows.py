"""Rows that come one by one, each with its values or the reason why there are none."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.sources.fallible import FallibleSource
from kprobe.inputs.sources.source import Unfitted
from kprobe.inputs.sources.uneven import as_rows, find_common_shape, fits_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput

_AT_ONCE = 1024  # rows


class Values(Unfitted):
    """Rows that each have values, or a reason why there are none."""

    rows: int

    @abstractmethod
    def values(self, start: int, stop: int) -> Sequence[npt.NDArray[Any] | str]:
        """Give for each of some rows its values, or the reason why there are none."""

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> ValueRows:  # noqa: ARG002
        """Take dtype and shape from the first row; flat values get the shape of the input.

        Where the input has axes of any length, all rows are looked at: they may differ in these.

        Raises:
            InputError: The first row has no values.
        """
        if not self.rows:
            return ValueRows(self, (), np.dtype(np.float32), _find_wanted((), model_input))
        first = self.values(0, 1)[0]
        if isinstance(first, str):
            raise InputError(f"{self.names(0, 1)[0].decode()}: {first}")
        wanted = _find_wanted(first.shape, model_input)
        shape = shape_like(first.shape, wanted)
        if shape and (wanted is None or None in wanted):
            shape = self._find_shape(shape, wanted)
        return ValueRows(self, shape, first.dtype, wanted)

    def _find_shape(
        self, first: tuple[int, ...], wanted: tuple[int | None, ...] | None
    ) -> tuple[int, ...]:
        """Give the sizes that all rows have, and -1 where they differ and may."""
        shapes = {first}
        for start in range(0, self.rows, _AT_ONCE):
            rows = self.values(start, min(start + _AT_ONCE, self.rows))
            shapes |= {shape_like(row.shape, wanted) for row in rows if not isinstance(row, str)}
        free = wanted if wanted is not None and len(wanted) == len(first) else (None,) * len(first)
        fixed = [size if free[axis] is not None else -1 for axis, size in enumerate(first)]
        return find_common_shape([shape for shape in shapes if fits_sizes(shape, fixed)])


class ValueRows(FallibleSource):
    """Rows of one dtype.

    Args:
        values: Gives the values of each row.
        shape: The shape that they are given, -1 for sizes that differ.
        dtype: Their dtype.
        wanted: As for `shape_like`.
    """

    def __init__(
        self,
        values: Values,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        wanted: tuple[int | None, ...] | None,
    ) -> None:
        self._values = values
        self._wanted = wanted
        self.label = values.label
        self.rows = values.rows
        self.shape = shape
        self.dtype = dtype

    def identity(self) -> dict[str, Any]:
        """Tell what the values are read from."""
        return self._values.identity()

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give the names that the values have."""
        return self._values.names(start, stop)

    def salvage(self, start: int, stop: int) -> tuple[npt.NDArray[Any], dict[int, str]]:
        """Put rows start to stop together."""
        uneven = -1 in self.shape
        blank = np.zeros([abs(size) for size in self.shape], self.dtype)
        rows = [blank] * (stop - start)
        faults: dict[int, str] = {}
        for row, values in enumerate(self._values.values(start, stop), start):
            if isinstance(values, str):
                faults[row] = values
                continue
            shape = shape_like(values.shape, self._wanted) if uneven else self.shape
            fits = fits_sizes(shape, self.shape) if uneven else values.size == blank.size
            if values.dtype == self.dtype and fits:
                rows[row - start] = values.reshape(shape)
                continue
            expected = f"{blank.size} values of {self.dtype}"
            received = f"{values.size} of {values.dtype}"
            if uneven:
                sizes = tuple(None if size == -1 else size for size in self.shape)
                expected = f"values of {self.dtype} in shape {sizes}"
                received = f"{values.dtype} in shape {values.shape}"
            faults[row] = f"expected {expected}, received {received}"
        if uneven:
            return as_rows(rows), faults
        return np.stack(rows) if rows else np.empty((0, *self.shape), self.dtype), faults

    def close(self) -> None:
        """Close what the values are read from."""
        self._values.close()


def _find_wanted(
    shape: tuple[int, ...], model_input: ModelInput | None
) -> tuple[int | None, ...] | None:
    """Give what an input takes: for values that just fill it, as it usually is."""
    if model_input is None:
        return None
    usual = model_input.usual
    fills = usual is not None and shape_like(shape, usual) != shape
    return usual if fills else model_input.shape[1:]


def shape_like(shape: tuple[int, ...], wanted: tuple[int | None, ...] | None) -> tuple[int, ...]:
    """Give the shape that values get for an input, which flat ones take from it.

    Args:
        shape: That of the values.
        wanted: That of the input without the axis of samples, None for any length; None for a model
            that doesn't say what it takes.
    """
    if wanted is None or len(shape) > 1:
        return shape
    known = math.prod(axis for axis in wanted if axis is not None)
    size = math.prod(shape)
    missing = wanted.count(None)
    if (missing == 0 and known == size) or (missing == 1 and shape and known and not size % known):
        return tuple(size // known if axis is None else axis for axis in wanted)
    return shape
