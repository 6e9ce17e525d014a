"""Rows that come one by one, each with its values or the reason why there are none."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.fallible import FallibleSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.inputs.image_options import ImageOptions
    from kprobe.inputs.model_input import ModelInput


class ValueRows(FallibleSource):
    """Rows of one shape and dtype, which the first row decides.

    Before it can be read, `fit_to` must have been called.
    """

    @abstractmethod
    def values(self, start: int, stop: int) -> Sequence[npt.NDArray[Any] | str]:
        """Give for each of some rows its values, or the reason why there are none."""

    def fit_to(self, model_input: ModelInput, options: ImageOptions) -> ValueRows:  # noqa: ARG002
        """Give flat values the shape of the input, where there are as many.

        Raises:
            InputError: The first row has no values.
        """
        self.dtype, self.shape = np.dtype(np.float32), ()
        if not self.rows:
            return self
        first = self.values(0, 1)[0]
        if isinstance(first, str):
            raise InputError(f"{self.names(0, 1)[0].decode()}: {first}")
        self.dtype, self.shape = first.dtype, first.shape
        wanted = [axis for axis in model_input.shape[1:] if axis is not None]
        flat = first.ndim == 1 and len(wanted) == len(model_input.shape) - 1
        if flat and math.prod(wanted) == first.size:
            self.shape = tuple(wanted)
        return self

    def salvage(self, start: int, stop: int) -> tuple[npt.NDArray[Any], dict[int, str]]:
        """Put rows start to stop together."""
        rows = np.zeros((stop - start, *self.shape), self.dtype)
        faults: dict[int, str] = {}
        size = math.prod(self.shape)
        for row, values in enumerate(self.values(start, stop), start):
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
