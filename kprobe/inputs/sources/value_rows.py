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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput


class Values(Unfitted):
    """Rows that each have values, or a reason why there are none."""

    rows: int

    @abstractmethod
    def values(self, start: int, stop: int) -> Sequence[npt.NDArray[Any] | str]:
        """Give for each of some rows its values, or the reason why there are none."""

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> ValueRows:  # noqa: ARG002
        """Take shape and dtype from the first row; flat values get the shape of the input.

        Raises:
            InputError: The first row has no values.
        """
        if not self.rows:
            return ValueRows(self, (), np.dtype(np.float32))
        first = self.values(0, 1)[0]
        if isinstance(first, str):
            raise InputError(f"{self.names(0, 1)[0].decode()}: {first}")
        if model_input is not None and first.ndim == 1:
            wanted = [axis for axis in model_input.shape[1:] if axis is not None]
            if len(wanted) == len(model_input.shape) - 1 and math.prod(wanted) == first.size:
                return ValueRows(self, tuple(wanted), first.dtype)
        return ValueRows(self, first.shape, first.dtype)


class ValueRows(FallibleSource):
    """Rows of one shape and dtype.

    Args:
        values: Gives the values of each row.
        shape: The shape that they are given.
        dtype: Their dtype.
    """

    def __init__(self, values: Values, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._values = values
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
        rows = np.zeros((stop - start, *self.shape), self.dtype)
        faults: dict[int, str] = {}
        size = math.prod(self.shape)
        for row, values in enumerate(self._values.values(start, stop), start):
            if isinstance(values, str):
                faults[row] = values
            elif values.dtype != self.dtype or values.size != size:
                faults[row] = (
                    f"expected {size} values of {self.dtype}, received {values.size} of "
                    f"{values.dtype}"
                )
            else:
                rows[row - start] = values.reshape(self.shape)
        return rows, faults

    def close(self) -> None:
        """Close what the values are read from."""
        self._values.close()
