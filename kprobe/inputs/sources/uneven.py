"""Rows of different shapes, for inputs of a model that have no size of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.sources.source import Source, hash_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UnevenArrays(Source):
    """Arrays in memory, one a row, of one dtype and rank and of several shapes.

    Raises:
        InputError: They have several dtypes or ranks.
    """

    def __init__(self, arrays: Sequence[npt.NDArray[Any]], label: str) -> None:
        if {array.dtype.kind for array in arrays} in ({"U"}, {"S"}):
            widest = np.result_type(*arrays)  # of texts
            arrays = [array.astype(widest) for array in arrays]
        kinds = {(array.dtype, array.ndim) for array in arrays}
        if len(kinds) != 1:
            found = ", ".join(sorted(f"{dtype} with {rank} axes" for dtype, rank in kinds))
            raise InputError(f"{label}: expected arrays of one dtype and rank, received {found}")
        self._arrays = arrays
        self.label = label
        self.rows = len(arrays)
        self.shape = find_common_shape([array.shape for array in arrays])
        self.dtype = arrays[0].dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell what was given."""
        return {"source": self.label, "sha256": hash_rows(self._arrays)}

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Give the arrays themselves."""
        return as_rows([np.array(row, self.dtype) for row in self._arrays[start:stop]])


def find_common_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Give the sizes that all shapes have in common, and -1 where they differ."""
    axes = (set(sizes) for sizes in zip(*shapes, strict=True))
    return tuple(sizes.pop() if len(sizes) == 1 else -1 for sizes in axes)


def fits_sizes(shape: Sequence[int], sizes: Sequence[int]) -> bool:
    """Tell whether a shape has the sizes that are asked for, of which -1 are any."""
    pairs = zip(shape, sizes, strict=False)
    return len(shape) == len(sizes) and all(size in (-1, own) for own, size in pairs)


def as_rows(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Put arrays of any shapes into one of objects, shape (rows,)."""
    rows = np.empty(len(arrays), object)
    rows[:] = arrays
    return rows


def is_uneven(rows: npt.NDArray[Any]) -> bool:
    """Tell whether rows have shapes of their own; text is of objects, too."""
    return rows.dtype == object and len(rows) > 0 and isinstance(rows[0], np.ndarray)


def stack_alike(batch: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Put the samples that have the shapes of the first into arrays of one shape.

    Args:
        batch: By input name the samples, batch axis first, or an array of arrays.
    """
    if not any(is_uneven(rows) for rows in batch.values()):
        return dict(batch)
    count = len(next(iter(batch.values())))
    shapes = [[np.shape(rows[row]) for rows in batch.values()] for row in range(count)]
    alike = [row for row, own in enumerate(shapes) if own == shapes[0]]
    return {
        name: np.stack([rows[row] for row in alike]) if is_uneven(rows) else rows[alike]
        for name, rows in batch.items()
    }
