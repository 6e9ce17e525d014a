"""The two directions in which the samples of a column differ most: principal components.

The covariances are summed block by block, around the mean of the first block (the shifted data of
Chan, Golub and LeVeque, 1983), so that a large mean takes nothing from a small variance. Where
there are more values than samples, the inner products of the samples have the same eigenvalues.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.dumps.reader import Dump

Array = np.ndarray[Any, np.dtype[np.float64]]

_MOST = 2048  # of a side of the matrix that is decomposed: 34 MB, and 3 s
_BLOCK = 1 << 23  # values that are read at a time: 64 MB


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """Samples in the plane of the first two principal components.

    Attributes:
        places: float64 of shape (samples, 2). Of each component, the direction is such that the
            sample farthest from 0 is above it.
        parts: Which part of all variance the two have, from 0 to 1.
        rows: The rows of the samples.
        total: How many rows there are to choose from.
        unfinite: How many were left out, since they hold NaN or infinity.
    """

    places: Array
    parts: Sequence[float]
    rows: Sequence[int]
    total: int
    unfinite: int


def project(dump: Dump, address: str) -> Projection:
    """Find the principal components of a column's rows, each taken as one row of numbers.

    Memory doesn't grow with the number of samples but by 24 bytes each: it is 0.3 GB, or what seven
    rows are as float64. Where a row has more than 2,048 values, so many samples are taken at most,
    at equal distances.

    Args:
        dump: An open dump.
        address: Which column, as in `dump[address]`.

    Raises:
        DumpError: There is no such column, or the dump is closed.
        InputError: Its rows differ in shape, aren't real numbers, or fewer than two can be used.
    """
    column = dump[address]
    name = str(column.attrs["addresses"][0])
    if isinstance(column, RaggedRows) or column.attrs.get("layout") == "weight":
        received = (
            "a weight" if column.attrs.get("layout") == "weight" else "rows of several shapes"
        )
        raise InputError(f"{name}: expected rows of one shape for components, received {received}")
    if column.dtype.kind not in "biuf":
        raise InputError(f"{name}: expected real numbers, received {column.dtype}")
    size = prod(column.shape[1:])
    valid = dump.read_valid()
    rows = np.arange(dump.committed) if valid is None else np.flatnonzero(valid)
    total = len(rows)
    if size > _MOST < total:
        rows = rows[np.linspace(0, total - 1, _MOST).round().astype(int)]
    reader = _Rows(column, rows, size)
    kept = reader.look()
    if not size:
        raise InputError(f"{name}: expected real numbers, received rows without any")
    if np.count_nonzero(kept) < 2:
        raise InputError(
            f"{name}: expected two samples or more without NaN, received {np.count_nonzero(kept)}"
        )
    find = _project_by_values if size <= _MOST else _project_by_samples
    places, parts = find(reader, size)
    farthest = places[np.abs(places).argmax(0), range(places.shape[1])]
    places = places * np.where(farthest < 0, -1, 1) * reader.largest
    if places.shape[1] < 2:
        places, parts = np.pad(places, ((0, 0), (0, 1))), [*parts, 0.0]
    return Projection(
        places=places,
        parts=parts,
        rows=rows[kept].tolist(),
        total=total,
        unfinite=len(rows) - int(np.count_nonzero(kept)),
    )


class _Rows:
    """The rows of a column that are used, read in blocks.

    Attributes:
        largest: What all values are divided by: the largest magnitude, so that no square is too
            large for float64.
    """

    def __init__(self, column: Any, rows: Any, size: int) -> None:
        self._column, self._rows, self._size = column, rows, size
        self.largest = 1.0

    def look(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Go through all values once; give which rows are finite."""
        kept, largest = [np.zeros(0, bool)], 0.0
        for good, values in self.read():
            kept.append(good)
            largest = max(largest, float(np.abs(values).max(initial=0)))
        self.largest = largest or 1.0
        return np.concatenate(kept)

    def read(self) -> Iterator[tuple[np.ndarray[Any, np.dtype[np.bool_]], Array]]:
        """Yield which rows of a block are finite, and these, of shape (rows, values)."""
        step = max(1, _BLOCK // max(1, self._size))
        for begin in range(0, len(self._rows), step):
            rows = self._rows[begin : begin + step]
            if rows[-1] - rows[0] == len(rows) - 1:
                block = self._column[rows[0] : rows[-1] + 1]
            else:
                block = np.stack([self._column[row] for row in rows])
            values = block.reshape(len(rows), -1).astype(np.float64)
            good = np.isfinite(values).all(1)
            yield good, values[good] / self.largest


def _project_by_values(reader: _Rows, size: int) -> tuple[Array, list[float]]:
    shift, sums, products, count = np.zeros(size), np.zeros(size), np.zeros((size, size)), 0
    for _, values in reader.read():
        if len(values) and not count:
            shift = values.mean(0)
        values -= shift
        sums += values.sum(0)
        products += values.T @ values
        count += len(values)
    mean = sums / count
    covariances = products / count - np.outer(mean, mean)
    eigenvalues, vectors = np.linalg.eigh(covariances)
    directions = vectors[:, ::-1][:, :2]
    places = np.concatenate([(values - shift - mean) @ directions for _, values in reader.read()])
    return places, _find_parts(eigenvalues)


def _project_by_samples(reader: _Rows, size: int) -> tuple[Array, list[float]]:
    blocks = [len(values) for _, values in reader.read()]
    count = sum(blocks)
    mean = np.zeros(size)
    for _, values in reader.read():
        mean += values.sum(0) / count
    gram = np.zeros((count, count))
    ends = np.cumsum([0, *blocks])
    for number, (_, values) in enumerate(reader.read()):
        values -= mean
        for other, (_, others) in enumerate(reader.read()):
            if other <= number:
                others -= mean
                block = values @ others.T
                gram[ends[number] : ends[number + 1], ends[other] : ends[other + 1]] = block
                gram[ends[other] : ends[other + 1], ends[number] : ends[number + 1]] = block.T
    eigenvalues, vectors = np.linalg.eigh(gram)
    scales = np.sqrt(np.maximum(eigenvalues[::-1][:2], 0))
    return vectors[:, ::-1][:, :2] * scales, _find_parts(eigenvalues)


def _find_parts(eigenvalues: Array) -> list[float]:
    positive = np.maximum(eigenvalues, 0)
    whole = positive.sum()
    return (positive[::-1][:2] / whole if whole else np.zeros(len(positive[:2]))).tolist()
