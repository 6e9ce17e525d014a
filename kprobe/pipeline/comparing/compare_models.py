"""Compare a model with another, or with a dump: run in step, layer by layer where that can be."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from kprobe.analysis.statistics.blocks import take_many
from kprobe.compat.eager_mode import eagerly
from kprobe.errors import Hint, InputError, ModelError, Setting
from kprobe.inputs.samples import count_rows
from kprobe.pipeline.comparing.joining import join_sides
from kprobe.pipeline.comparing.local import LocalErrors, LocalPair, LocalRows, LocalSide
from kprobe.pipeline.comparing.measuring import Measured, Measuring, Rows
from kprobe.pipeline.comparing.model_side import ModelSide
from kprobe.pipeline.comparing.noise import measure_noise
from kprobe.pipeline.comparing.running import (
    make_teller,
    read_batches,
    run_against_dump,
    run_models,
)
from kprobe.pipeline.comparing.sides import DumpSide
from kprobe.pipeline.running.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kprobe.analysis.comparison.records import Pair
    from kprobe.pipeline.comparing.sides import Side
    from kprobe.pipeline.comparing.spec import DiffSpec
    from kprobe.pipeline.running.beside import Task
    from kprobe.pipeline.running.progress import Progress


@eagerly
def compare_models(
    a: Side,
    b: Side,
    pairs: Sequence[Pair],
    spec: DiffSpec,
    progress: Callable[[Progress], None] | None,
) -> Measured:
    """Compare two sides, at least one of which is a model.

    Args:
        a: The one.
        b: The other.
        pairs: Their matched tensors.
        spec: What is asked for.
        progress: Called with how far it is.

    Raises:
        KprobeError: A sample can't be read, a model fails, or local errors are asked for where
            there are none.
    """
    obstacle = _find_obstacle(a, b, spec)
    if obstacle is not None and spec.local:
        raise InputError(
            f"local errors can't be had: {obstacle}", hint=Hint("leave ", Setting("local"), " out")
        )
    for side, own in ((a, [pair.a for pair in pairs]), (b, [pair.b for pair in pairs])):
        if isinstance(side, ModelSide):
            side.narrow([described.address for described in own])
    noise = {}
    if isinstance(a, ModelSide):
        by_column = measure_noise(a.plan)
        noise = {p.a.address: by_column[c] for p in pairs if (c := a.find_column(p.a)) in by_column}
    precision = "bfloat16" if _computes_in_bfloat16(a, b) else "float32"
    measuring = Measuring(pairs, spec, precision)
    kept = _keep(a, b, spec)
    if isinstance(a, ModelSide) and isinstance(b, ModelSide):
        tell = make_teller(a.plan.samples.rows, progress)
        if obstacle is None and spec.local is not False:
            try:
                local = _take_apart(a, b, pairs)
            except ModelError as error:
                if spec.local:
                    raise
                obstacle = f"{error}"
            else:
                return _measure_locally(a, b, local, measuring, noise, tell, kept)
        columns = [(a.find_column(pair.a), b.find_column(pair.b)) for pair in pairs]
        samples = _measure_beside(run_models(a, b, columns, tell), measuring)
        said = [f"no local errors: {obstacle}"] if obstacle and spec.local is None else []
        found = measuring.finish(_name_rows(a), noise)
        return Measured(samples, found, notes=[*kept, *said])
    return _measure_against_dump(a, b, pairs, measuring, noise, progress, kept)


def _measure_against_dump(
    a: Side,
    b: Side,
    pairs: Sequence[Pair],
    measuring: Measuring,
    noise: Mapping[str, float],
    progress: Callable[[Progress], None] | None,
    kept: Sequence[str],
) -> Measured:
    of_a, of_b = join_sides(a, b)
    names = a.names()
    columns = [(a.find_column(pair.a), b.find_column(pair.b)) for pair in pairs]
    model_first = isinstance(a, ModelSide)
    if isinstance(a, ModelSide) and isinstance(b, DumpSide):
        model, dump, places = a, b, (of_a, of_b)
    elif isinstance(b, ModelSide) and isinstance(a, DumpSide):
        # A model runs from its first sample on.
        order = of_b.argsort()
        of_a, of_b = of_a[order], of_b[order]
        model, dump, places = b, a, (of_b, of_a)
        columns = [(other, one) for one, other in columns]
    else:
        raise TypeError("expected a model and a dump")
    tell = make_teller(model.plan.samples.rows, progress)
    given = run_against_dump(model, dump, columns, places, tell, model_first=model_first)
    samples = _measure_beside(given, measuring)
    found = measuring.finish(lambda row: (int(of_a[row]), str(names[of_a[row]])), noise)
    return Measured(samples, found, notes=kept)


def _take_apart(a: ModelSide, b: ModelSide, pairs: Sequence[Pair]) -> LocalErrors:
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


def _measure_locally(
    a: ModelSide,
    b: ModelSide,
    local: LocalErrors,
    measuring: Measuring,
    noise: Mapping[str, float],
    tell: Callable[[int], None],
    kept: Sequence[str],
) -> Measured:
    """Measure running and local errors of two models in one run."""
    unequal: Mapping[int, str] = {}
    samples = done = 0
    tell(0)
    with contextlib.closing(Beside()) as beside:
        for first, batch_a, batch_b in read_batches(a.plan, b.plan):
            if not samples:
                unequal = local.check_closure(batch_a, batch_b)
            rows = count_rows(batch_a)
            for group in local.run(batch_a, batch_b, first):
                beside.begin(
                    [task for given in group for task in _list_tasks(given, first, measuring)]
                )
            samples, done = samples + rows, first + rows
            tell(done)
        beside.wait()
    local.restore()
    found = measuring.finish(_name_rows(a), noise, local.reasons)
    notes = [*kept, *local.notes]
    return Measured(samples, found, unequal=list(unequal.values()), notes=notes)


def _measure_beside(given: Iterator[Sequence[Rows]], measuring: Measuring) -> int:
    """Measure rows while the next ones are computed, and count the samples."""
    samples = 0
    with contextlib.closing(Beside()) as beside:
        for batch in given:
            beside.begin([_make_task(measuring.take, rows) for rows in batch])
            samples += _count(batch[0])
        beside.wait()
    return samples


def _list_tasks(given: LocalRows, first: int, measuring: Measuring) -> Iterator[Task]:
    yield _make_task(measuring.take, Rows(given.pair, first, given.a, given.b))
    if given.own_a is not None and given.own_b is not None:
        rows = Rows(given.pair, first, given.own_a, given.own_b)
        yield _make_task(measuring.take_local, rows)


def _make_task(take: Callable[[Rows, bool], None], rows: Rows) -> Task:
    size = rows.a.nbytes
    # Told here, in order: by which kernels it is measured mustn't depend on threads.
    return size, partial(take, rows, take_many(size))


def _count(rows: Rows) -> int:
    return len(rows.a) if rows.valid is None else int(rows.valid.sum())


def _name_rows(side: ModelSide) -> Callable[[int], tuple[int, str]]:
    samples = side.plan.samples
    return lambda row: (row, samples.names(row, row + 1)[0].decode())


def _computes_in_bfloat16(*sides: Side) -> bool:
    return any(
        isinstance(side, ModelSide) and side.plan.job.compute.precision == "bfloat16"
        for side in sides
    )


def _find_obstacle(a: Side, b: Side, spec: DiffSpec) -> str | None:
    """Tell why there are no local errors; None where there are."""
    if not (isinstance(a, ModelSide) and isinstance(b, ModelSide)):
        return "a dump has values, and no layers to run"
    if a.plan.job.compute.eager or b.plan.job.compute.eager:
        return "a model that runs eagerly has no graph"
    if spec.way is not None and spec.way.has_same_layers:
        return f"the layers of {a.name} are the same on both sides"
    for side in (a, b):
        if not side.plan.attrs["reproducible"]:
            return f"layers of {side.name} draw random numbers that no seed reaches"
        if any(-1 in shape for shape, _ in side.plan.samples.specs().values()):
            return "samples differ in shape"
    return None


def _keep(a: Side, b: Side, spec: DiffSpec) -> list[str]:
    """Write the dumps that are to be kept, and say where."""
    if spec.directory is None:
        return []
    from kprobe.pipeline.running.run import run

    return [
        f"{run(side.plan).output}: the dump of {side.name}"
        for side in (a, b)
        if isinstance(side, ModelSide)
    ]
