"""Compare two models layer by layer: running and local errors in one run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kprobe.inputs.samples import count_rows
from kprobe.pipeline.comparing.local import LocalErrors, LocalPair, LocalSide
from kprobe.pipeline.comparing.measuring import Rows
from kprobe.pipeline.comparing.running import read_batches
from kprobe.pipeline.running.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kprobe.analysis.comparison.records import Pair
    from kprobe.pipeline.comparing.local import LocalRows
    from kprobe.pipeline.comparing.measuring import Measuring
    from kprobe.pipeline.comparing.model_side import ModelSide
    from kprobe.pipeline.running.beside import Task


def take_apart(a: ModelSide, b: ModelSide, pairs: Sequence[Pair]) -> LocalErrors:
    """Make what computes each layer of B from A's values.

    Raises:
        ModelError: A side can't be taken apart.
    """
    places = [
        {column.name: number for number, column in enumerate(side.plan.fetched)} for side in (a, b)
    ]
    sizes = {tensor.column: tensor.row_bytes for side in (a, b) for tensor in side.tensors}
    local_pairs = []
    for pair in pairs:
        one, other = a.find_column(pair.a), b.find_column(pair.b)
        local_pairs.append(
            LocalPair(
                places[0][one],
                places[1][other],
                max(sizes[one], sizes[other]),
                pair.transpose and (0, *(axis + 1 for axis in pair.transpose)),
            )
        )
    return LocalErrors(
        LocalSide(a.plan.session, a.plan.computation),
        LocalSide(b.plan.session, b.plan.computation),
        local_pairs,
        batch_size=a.plan.batch_size,
    )


def measure_locally(
    a: ModelSide,
    b: ModelSide,
    local: LocalErrors,
    measuring: Measuring,
    tell: Callable[[int], None],
) -> tuple[int, Mapping[int, str]]:
    """Run two models once, and measure running and local errors of each pair.

    Args:
        a: The one.
        b: The other.
        local: What computes their layers.
        measuring: What measures the pairs.
        tell: Told how many samples are done.

    Returns:
        How many samples were compared; and as `LocalErrors.check_closure`.

    Raises:
        KprobeError: A sample can't be read, or a model fails.
    """
    unequal: Mapping[int, str] = {}
    samples = done = 0
    tell(0)
    with contextlib.closing(Beside()) as beside:
        for first, batch_a, batch_b in read_batches(a.plan, b.plan):
            if not samples:
                unequal = local.check_closure(batch_a, batch_b)
            rows = count_rows(batch_a)
            for group in local.run(batch_a, batch_b, first):
                beside.begin([t for given in group for t in _list_tasks(given, first, measuring)])
            samples, done = samples + rows, first + rows
            tell(done)
        beside.wait()
    local.restore()
    return samples, unequal


def _list_tasks(given: LocalRows, first: int, measuring: Measuring) -> Iterator[Task]:
    yield measuring.make_task(Rows(given.pair, first, given.a, given.b))
    if given.own_a is not None and given.own_b is not None:
        rows = Rows(given.pair, first, given.own_a, given.own_b)
        yield measuring.make_task(rows, local=True)
