"""Seeded random samples, for when the user has none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import Hint, InputError, Setting
from kprobe.inputs.sources.source import Source

if TYPE_CHECKING:
    from kprobe.inputs.sources.model_input import ModelInput

DEFAULT_ROWS = 8
# Axes of any length get the first of these that the model takes, all of them the same. Few models
# take so short ones only: those whose positions are embedded.
_LENGTHS = (64, 256, 1024, 4096, 16384, 16, 4)
_MOST_VALUES = 1 << 26  # in a sample
# Beyond it, a run takes long: attention is as large as the square.
_LONGEST_RUN, _MOST_RUN = 1024, 1 << 20


class RandomRows(Source):
    """Random samples that fit an input, the same for the same seed.

    Floats are uniform from 0 to 1 and uint8 from 0 to 255, as images are. All other integers are
    0 or 1: an index that every Embedding has. Axes of any length get 64, and others where
    `change_length` is told that the model takes no such sample.
    Row r is the same whatever is read before it and whatever the batch size.

    Args:
        model_input: What the rows are to fit.
        index: The input's place among the model's inputs, so that no two get the same rows.
        rows: How many.
        seed: Not negative.
        shape: That of a sample, where the user said it.

    Raises:
        InputError: If the input takes what can't be made up, such as strings.
    """

    def __init__(
        self,
        model_input: ModelInput,
        index: int,
        rows: int,
        seed: int,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        self.label = "random"
        self.rows: int = rows
        self._open = model_input.example[1:] if shape is None else shape
        self._lengths = list(_LENGTHS)
        self._first = self.shape = self._fill(self._lengths.pop(0))
        self._input = model_input.name
        self.dtype = _choose_dtype(model_input)
        self._index = index
        self._seed = seed

    def identity(self) -> dict[str, Any]:
        """Tell the seed, and which values are drawn."""
        return {"source": "random", "seed": self._seed, "values": self._describe_values()}

    @property
    def is_open(self) -> bool:
        """Whether it has axes of which nobody says how long they are."""
        return None in self._open

    def change_length(self, *, to_run: bool = False) -> bool:
        """Give such axes the next length, and tell whether there was one.

        Args:
            to_run: Whether the model is run to find out if it takes it. That takes long where
                samples are.
        """
        while self.is_open and self._lengths:
            length = self._lengths.pop(0)
            shape = self._fill(length)
            most = _MOST_RUN if to_run else _MOST_VALUES
            if math.prod(shape) <= most and not (to_run and length > _LONGEST_RUN):
                self.reshape(shape)
                return True
        return False

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Give the samples another shape, and say so if it isn't the first that was tried."""
        self.shape = shape
        self.notes = []
        if shape != self._first:
            unfit = "smaller ones" if shape > self._first else f"{self._first}"
            self.notes = [
                f"input '{self._input}': random samples have shape {shape}, as the model takes no "
                f"{unfit}"
            ]

    def _fill(self, length: int) -> tuple[int, ...]:
        return tuple(length if axis is None else axis for axis in self._open)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Make rows start to stop.

        Raises:
            InputError: They are larger than memory.
        """
        try:
            rows = np.empty((stop - start, *self.shape), self.dtype)
            for place, row in enumerate(range(start, stop)):
                rows[place] = self._draw(np.random.default_rng([self._seed, self._index, row]))
        except (MemoryError, ValueError):
            raise InputError(
                f"expected random samples that memory can hold, received {stop - start} of shape "
                f"{self.shape} in a batch",
                hint=Hint("give a smaller shape with ", Setting("random_shape")),
            ) from None
        return rows

    def _draw(self, generator: np.random.Generator) -> npt.NDArray[Any]:
        if self.dtype.kind == "f":
            precision = np.float64 if self.dtype.itemsize == 8 else np.float32
            return generator.random(self.shape, precision)
        if self.dtype.kind == "c":
            return generator.random(self.shape) + 1j * generator.random(self.shape)
        high = 256 if self.dtype == np.uint8 else 2
        return generator.integers(0, high, self.shape, np.uint8)

    def _describe_values(self) -> str:
        if self.dtype.kind in "fc":
            return "uniform from 0 to 1"
        return "uniform from 0 to 255" if self.dtype == np.uint8 else "0 or 1"


def _choose_dtype(model_input: ModelInput) -> np.dtype[Any]:
    """Take the input's dtype; float32 for the floats that numpy doesn't know."""
    unknown = np.float32 if "float" in model_input.dtype else np.void
    dtype = model_input.numpy_dtype or np.dtype(unknown)
    if dtype.kind not in "biufc":
        raise InputError(
            f"input '{model_input.name}' expects {model_input.dtype}, and random values can be "
            "numbers only",
            hint=Hint("give samples with ", Setting("inputs")),
        )
    return dtype
