"""What a model expects at one of its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ModelInput:
    """One input of a model, as samples are matched and checked against it.

    Attributes:
        name: The name that `NAME=SRC` and the keys of an .npz file refer to.
        shape: The shape with the batch axis first, e.g. (None, 64, 64, 3); None where any
            length goes.
        dtype: The name of what the model computes with, e.g. "float32" or "string".
        optional: Whether the model can be called without it.
        usual: The shape of a sample that a model was first called with which doesn't say what it
            takes: `shape` then leaves all sizes open. None for other models.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    optional: bool = False
    usual: tuple[int | None, ...] | None = None

    @property
    def numpy_dtype(self) -> np.dtype[Any] | None:
        """The dtype in numpy; None for bfloat16 and others that numpy itself doesn't know."""
        try:
            dtype = np.dtype(self.dtype)
        except TypeError:
            return None
        # TensorFlow's import registers bfloat16, as a kind that numpy computes nothing with.
        return None if dtype.kind == "V" else dtype

    def __str__(self) -> str:
        """The input on one line, e.g. "image (None, 64, 64, 3) float32"."""
        return f"{self.name} {self.example} {self.dtype}"

    @property
    def example(self) -> tuple[int | None, ...]:
        """A shape that it takes: `shape`, or the one that the model was first called with."""
        return self.shape if self.usual is None else (None, *self.usual)
