"""Measure matched pairs, as their rows are given, and record what was found of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.difference import Difference
from kprobe.analysis.comparison.records import TensorDifference
from kprobe.analysis.comparison.tolerance import tolerance
from kprobe.analysis.statistics.blocks import take_many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from kprobe.analysis.comparison.records import Deviation, Pair
    from kprobe.pipeline.comparing.spec import DiffSpec
    from kprobe.pipeline.running.beside import Task


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of both sides for the same samples.

    Attributes:
        pair: The number of the matched pair.
        first: The row of the first sample, as A counts.
        a: A's values, with a row for each sample.
        b: B's values, in B's axes.
        valid: Which of them belong to samples that could be read; None for all.
    """

    pair: int
    first: int
    a: npt.NDArray[Any]
    b: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of two sides.

    Attributes:
        samples: How many samples were compared.
        tensors: What was found of each matched pair.
        unequal: The addresses of those that don't give equal bits when B is fed with its own
            values.
        notes: What should be said beside it.
    """

    samples: int
    tensors: Sequence[TensorDifference]
    unequal: Sequence[str] = ()
    notes: Sequence[str] = ()


class Measuring:
    """The running differences of matched pairs, and the local ones where there are any.

    Args:
        pairs: The pairs.
        spec: What is asked for.
        precision: What the models may compute in, "float32" or "bfloat16".

    Attributes:
        running: The running difference of each pair.
    """

    def __init__(self, pairs: Sequence[Pair], spec: DiffSpec, precision: str = "float32") -> None:
        self._pairs = pairs
        self._spec = spec
        self._precision = precision
        self.running = [_make_difference(pair, spec) for pair in pairs]
        self._local: dict[int, Difference] = {}

    def take(self, rows: Rows, fast: bool | None = None) -> None:
        """Take the values of both sides for the same samples.

        Different pairs may be taken in different threads.

        Args:
            rows: The values.
            fast: As for `Difference`.
        """
        pair = self._pairs[rows.pair]
        a = rows.a
        if pair.transpose is not None:
            a = a.transpose(0, *(axis + 1 for axis in pair.transpose))
        for start, stop in _find_runs(rows.valid, len(a)):
            first = rows.first + start
            self.running[rows.pair].add(a[start:stop], rows.b[start:stop], first, fast=fast)

    def take_local(self, rows: Rows, fast: bool | None = None) -> None:
        """Take what the layers of both sides make of the same values, in B's axes, as `take`."""
        number = rows.pair
        if number not in self._local:
            self._local[number] = _make_difference(self._pairs[number], self._spec)
        self._local[number].add(rows.a, rows.b, rows.first, fast=fast)

    def make_task(self, rows: Rows, *, local: bool = False) -> Task:
        """Give what takes rows of a pair, in another thread.

        Args:
            rows: The rows.
            local: Whether they are what both layers make of the same values.
        """
        size = rows.a.nbytes
        take = self.take_local if local else self.take
        # Told here, in order: by which kernels it is measured mustn't depend on threads.
        return size, partial(take, rows, take_many(size))

    def finish(
        self,
        name: Callable[[int], tuple[int, str]],
        noise: Mapping[str, float] | None = None,
        reasons: Mapping[int, str] | None = None,
    ) -> list[TensorDifference]:
        """Record what was found.

        Args:
            name: Gives A's row of a sample that was compared, and its name.
            noise: By A's address how far A's values are from themselves.
            reasons: By the number of a pair, why there is no local error of it.
        """
        noise, reasons = noise or {}, reasons or {}
        found = []
        for number, (pair, difference) in enumerate(zip(self._pairs, self.running, strict=True)):
            running, sample, odd_sample = _place(difference.summarize(), pair, name)
            local = self._local.get(number)
            addresses = [pair.a.address, *pair.a.also, pair.b.address, *pair.b.also]
            rtol, atol = self._spec.find_rtol(addresses), self._spec.find_atol(addresses)
            usual = tolerance(pair, self._precision)
            found.append(
                TensorDifference(
                    pair=pair,
                    running=running,
                    tolerance=usual if rtol is None else rtol,
                    atol=atol or 0.0,
                    local=None if local is None else _place(local.summarize(), pair, name)[0],
                    local_reason=reasons.get(number),
                    noise=noise.get(pair.a.address),
                    sample=sample,
                    odd_sample=odd_sample,
                )
            )
        return found


def _make_difference(pair: Pair, spec: DiffSpec) -> Difference:
    ulps = choose_ulps(pair) if spec.ulps else None
    return Difference.of_pair(pair, cosine=spec.cosine, ulps=ulps)


def choose_ulps(pair: Pair) -> str | None:
    """Give in which dtype units in the last place are counted: of two, the coarser.

    None where they aren't floating-point numbers.
    """
    dtypes = {pair.a.dtype, pair.b.dtype}
    return min(dtypes, key=_COARSE.index) if dtypes <= set(_COARSE) else None


_COARSE = ("bfloat16", "float16", "float32", "float64")


def _find_runs(valid: npt.NDArray[np.bool_] | None, rows: int) -> Iterator[tuple[int, int]]:
    """Give where rows that count begin and end."""
    if valid is None:
        yield 0, rows
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _place(
    found: Deviation, pair: Pair, name: Callable[[int], tuple[int, str]]
) -> tuple[Deviation, str | None, str | None]:
    """Let it say A's rows.

    Returns:
        It, the name of the sample with the largest difference, and that of the first sample of
        which something can't be subtracted.
    """
    rows = (found.row, found.first_unlike, found.first_unequal)
    # A weight has no samples.
    told = [(None, None) if row is None or pair.a.weight else name(row) for row in rows]
    (row, sample), *others = told
    found = replace(found, row=row, first_unlike=others[0][0], first_unequal=others[1][0])
    odd = min((each for each in others if each[0] is not None), default=(None, None))
    return found, sample, odd[1]
