"""Run two sides in step: the rows of the same samples are given together, nothing is stored."""

from __future__ import annotations

import contextlib
import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError
from kprobe.pipeline.comparing.measuring import Rows
from kprobe.pipeline.comparing.model_side import saying
from kprobe.pipeline.running.batches import compute_batches
from kprobe.pipeline.running.sink import make_columns
from kprobe.stopping import deferring_stops, stop_if_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from kprobe.inputs.samples import Batch
    from kprobe.pipeline.comparing.model_side import ModelSide
    from kprobe.pipeline.comparing.sides import DumpSide
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.running.batches import Computed


@dataclass(frozen=True, eq=False)
class _Piece:
    """What a model gave for some samples: by column, arrays with a row for each."""

    first: int
    rows: int
    columns: Mapping[str, Any]
    faults: Mapping[int, str]

    def cut(self, start: int, stop: int, column: str) -> npt.NDArray[Any]:
        """Give rows start to stop of a column."""
        values = np.asarray(self.columns[column])
        return values[start - self.first : stop - self.first]


def run_models(
    a: ModelSide, b: ModelSide, pairs: Sequence[tuple[str, str]], tell: Callable[[int], None]
) -> Iterator[Sequence[Rows]]:
    """Run two models over the same samples.

    Args:
        a: The one.
        b: The other; its batches may have another size.
        pairs: The columns of each matched pair.
        tell: Told how many samples are done.

    Yields:
        Of some samples the rows of each pair.

    Raises:
        KprobeError: A sample can't be read, or a model fails; the message says which.
    """
    with contextlib.closing(_run(a)) as of_a, contextlib.closing(_run(b)) as of_b:
        tell(0)
        left, right = next(of_a, None), next(of_b, None)
        done = 0
        while left is not None and right is not None:
            stop = min(left.first + left.rows, right.first + right.rows)
            valid = _find_valid(done, stop, left.faults, right.faults)
            yield [
                Rows(number, done, left.cut(done, stop, a), right.cut(done, stop, b), valid)
                for number, (a, b) in enumerate(pairs)
            ]
            done = stop
            tell(done)
            if done == left.first + left.rows:
                left = next(of_a, None)
            if done == right.first + right.rows:
                right = next(of_b, None)
        if (left is None) != (right is None):
            short, long = (a, b) if left is None else (b, a)
            raise InputError(
                f"expected as many samples for both models, received {done} for {short.name} "
                f"and more for {long.name}"
            )


def run_against_dump(
    model: ModelSide,
    dump: DumpSide,
    pairs: Sequence[tuple[str, str]],
    places: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    tell: Callable[[int], None],
    *,
    model_first: bool,
) -> Iterator[Sequence[Rows]]:
    """Run a model, and read what a dump has for its samples.

    Args:
        model: The model.
        dump: The dump.
        pairs: Of each matched pair the column of the model, and that of the dump.
        places: The model's rows that the dump has, too, in their order; and the dump's.
        tell: Told how many samples are done.
        model_first: Whether the model is A.

    Yields:
        Of some samples the rows of each pair.

    Raises:
        KprobeError: A sample can't be read, or the model fails.
    """
    ours, theirs = places
    readable = dump.find_valid()
    with contextlib.closing(_run(model)) as pieces:
        tell(0)
        for piece in pieces:
            begin, end = np.searchsorted(ours, [piece.first, piece.first + piece.rows])
            chosen, rows = ours[begin:end], theirs[begin:end]
            valid = readable[rows]
            valid &= [int(row) not in piece.faults for row in chosen]
            batch = []
            for number, (one, other) in enumerate(pairs):
                values = np.asarray(piece.columns[one])
                if len(chosen) != len(values):
                    values = values[chosen - piece.first]
                stored = dump.read(other, rows)
                both = (values, stored) if model_first else (stored, values)
                batch.append(Rows(number, int(begin), *both, None if valid.all() else valid))
            yield batch
            tell(piece.first + piece.rows)


def read_batches(a: Plan, b: Plan) -> Iterator[tuple[int, Batch, Batch]]:
    """Read the batches of two models' samples, without running them.

    Yields:
        The row of the first sample, and its batch for either. Samples that can't be read for one of
        them are left out.
    """
    of_a = a.samples.batches(a.batch_size)
    of_b = b.samples.batches(a.batch_size)
    for (first, batch_a), (_, batch_b) in zip(of_a, of_b, strict=True):
        rows = len(next(iter(batch_a.values())))
        valid = _find_valid(first, first + rows, a.samples.faults, b.samples.faults)
        if valid is None:
            yield first, batch_a, batch_b
        elif valid.any():
            yield (
                first,
                {name: values[valid] for name, values in batch_a.items()},
                {name: values[valid] for name, values in batch_b.items()},
            )


def _run(side: ModelSide) -> Generator[_Piece, None, None]:
    """Run a model and give its batches; the next ones are computed meanwhile."""
    plan = side.plan
    waits = {"reading": 0.0, "writing": 0.0}
    ahead: queue.Queue[Any] = queue.Queue(maxsize=1)
    with (
        deferring_stops(),
        saying(side.name),
        contextlib.closing(compute_batches(plan, 0, plan.rows, waits, ahead)) as batches,
    ):
        for batch in batches:
            stop_if_asked()
            if batch is not None:
                yield _give(plan, batch)


def _give(plan: Plan, batch: Computed) -> _Piece:
    return _Piece(batch.first, batch.rows, make_columns(plan, batch), batch.faults)


def _find_valid(start: int, stop: int, *faults: Mapping[int, str]) -> npt.NDArray[np.bool_] | None:
    """Tell which rows could be read on both sides; None for all of them."""
    if not any(faults):
        return None
    valid = np.array([not any(row in own for own in faults) for row in range(start, stop)], bool)
    return None if valid.all() else valid
