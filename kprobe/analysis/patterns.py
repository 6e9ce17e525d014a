"""How the layers of dumps are read for their patterns: batch by batch, in parts of their rows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.pieces import work_in_order
from kprobe.analysis.representations import Pattern
from kprobe.analysis.statistics.blocks import as_numbers, take_many
from kprobe.analysis.statistics.items import open_values

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from kprobe.analysis.pieces import Check
    from kprobe.dumps.reader import Dump

Array = np.ndarray[Any, np.dtype[Any]]

# Values of a batch: those of a piece at least, and of a block, which are read and multiplied
# before the next ones.
_PIECE = 1 << 24
_BLOCK = 1 << 20


class LayerRows:
    """The rows of a layer, of which parts can be read.

    Args:
        dump: An open dump.
        name: The column: of numbers, and with rows of one shape.

    Attributes:
        size: The values of a row.
    """

    def __init__(self, dump: Dump, name: str) -> None:
        self._column = dump[name]
        self._shape = self._column.shape[1:]
        self._items = open_values(dump, name)
        self.size = prod(self._shape)
        self.bytes_of_row = self.size * self._column.dtype.itemsize

    def cut(self, rows: int, most: int) -> list[Any]:
        """Cut rows into parts of so many values at most, as far as that can be done.

        Args:
            rows: How many rows are read together.
            most: The values of a part of them all.

        Returns:
            What `read` takes, in order.
        """
        step = max(1, most // rows)
        if self._items is None:
            return list(_cut_axes(self._shape, step))
        return [slice(begin, min(begin + step, self.size)) for begin in range(0, self.size, step)]

    def read(self, rows: Array, part: Any) -> Array:
        """Read a part of some rows.

        Args:
            rows: Their numbers, in any order.
            part: Which part, as `cut` gives it.

        Returns:
            float64 of shape (rows, any).

        Raises:
            DumpError: The file ends before them.
            OSError: The file can't be read.
        """
        if self._items is None:
            order, back = np.unique(rows, return_inverse=True)
            is_run = int(order[-1] - order[0]) + 1 == len(order)
            chosen = slice(int(order[0]), int(order[-1]) + 1) if is_run else order
            values: Array = np.asarray(self._column[(chosen, *part)][back])
        else:
            length, size = part.stop - part.start, self._items.item_bytes
            memory = np.empty((len(rows), length * size), np.uint8)
            for place, row in enumerate(rows.tolist()):
                begin = row * self.size + part.start
                self._items.read(begin, begin + length, memory[place])
            values = memory.view(self._column.dtype)
        return as_numbers(values.reshape(len(rows), -1)).astype(np.float64)


@dataclass(frozen=True)
class _Piece:
    """Some parts of a layer's rows of a batch."""

    batch: int
    layer: int
    parts: Sequence[Any]


def read_patterns(
    layers: Sequence[tuple[LayerRows, Array]], batches: Sequence[Array], threads: int | None = None
) -> Generator[list[Pattern], None, None]:
    """Read what the samples of each batch are in each layer.

    Args:
        layers: The layers, each with the rows of all samples, int64 of shape (samples,).
        batches: The samples of each batch, int64.
        threads: How many threads read; by default as many as there are cores for the process. The
            results are the same for any number.

    Yields:
        For each batch the patterns of all layers.
    """
    samples = sum(len(batch) for batch in batches)
    fast = take_many(sum(rows.bytes_of_row for rows, _ in layers) * samples)
    work = work_in_order(_cut(layers, batches), partial(_Reading, layers, batches, fast), threads)
    patterns: list[Pattern] = []
    current = 0
    with contextlib.closing(work):
        for piece, found in work:
            if piece.batch != current:
                yield patterns
                patterns, current = [], piece.batch
            if piece.layer < len(patterns):
                patterns[piece.layer].merge(found)
            else:
                patterns.append(found)
    yield patterns


def _cut(layers: Sequence[tuple[LayerRows, Array]], batches: Sequence[Array]) -> Iterator[_Piece]:
    for number, batch in enumerate(batches):
        for layer, (rows, _) in enumerate(layers):
            parts = rows.cut(len(batch), _BLOCK)
            step = max(1, _PIECE // _BLOCK)
            for begin in range(0, max(1, len(parts)), step):
                yield _Piece(number, layer, parts[begin : begin + step])


class _Reading:
    """Reads pieces, one after another, in one thread."""

    def __init__(
        self,
        layers: Sequence[tuple[LayerRows, Array]],
        batches: Sequence[Array],
        fast: bool,
        check: Check,
    ) -> None:
        self._layers, self._batches, self._fast, self._check = layers, batches, fast, check

    def __call__(self, piece: _Piece) -> Pattern:
        layer, rows = self._layers[piece.layer]
        chosen = rows[self._batches[piece.batch]]
        pattern = Pattern(len(chosen))
        for part in piece.parts:
            self._check()
            pattern.add(layer.read(chosen, part), fast=self._fast)
        return pattern


def _cut_axes(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    """Cut a shape into parts of so many values at most, along as few axes as do."""
    inner = prod(shape[1:])
    if not shape or prod(shape) <= most:
        yield ()
        return
    step = max(1, most // max(1, inner))
    for begin in range(0, shape[0], step):
        some = slice(begin, min(begin + step, shape[0]))
        if inner <= most:
            yield (some,)
        else:
            for rest in _cut_axes(shape[1:], most):
                yield (some, *rest)
