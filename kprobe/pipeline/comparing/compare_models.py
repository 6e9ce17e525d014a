"""Compare a model with another, or with a dump: run in step, layer by layer where that can be."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from kprobe.compat.eager_mode import eagerly
from kprobe.dumps.reader import open_dump
from kprobe.errors import Hint, InputError, ModelError, Setting
from kprobe.pipeline.comparing.bounding import bound_batches
from kprobe.pipeline.comparing.compare_dumps import compare_dumps
from kprobe.pipeline.comparing.compare_locally import measure_locally, take_apart
from kprobe.pipeline.comparing.joining import join_sides
from kprobe.pipeline.comparing.measuring import Measured, Measuring, Rows
from kprobe.pipeline.comparing.model_side import ModelSide
from kprobe.pipeline.comparing.noise import measure_noise
from kprobe.pipeline.comparing.running import run_against_dump, run_models
from kprobe.pipeline.comparing.sides import DumpSide, find_precision
from kprobe.pipeline.comparing.telling import make_teller
from kprobe.pipeline.running.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from kprobe.analysis.comparison.records import Pair
    from kprobe.pipeline.comparing.sides import Side
    from kprobe.pipeline.comparing.spec import DiffSpec
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
    told = spec.way is not None and "batch_size" in spec.way.compute
    locally = obstacle is None and spec.local is not False
    models = [side for side in (a, b) if isinstance(side, ModelSide)]
    # A dump that is kept has all layers at once.
    bounded = bound_batches(models, local=locally and spec.directory is None, told=told)
    noise = _measure_noise(a, pairs)
    kept = _keep(a, b, spec, progress)
    if not (isinstance(a, ModelSide) and isinstance(b, ModelSide)):
        measured = _compare_with_dump(a, b, pairs, spec, noise, kept, progress)
        return replace(measured, notes=[*bounded, *measured.notes])
    measuring = Measuring(pairs, spec, find_precision(a, b))
    tell = make_teller(a.plan.samples.rows, progress)
    notes = [*bounded, *_say_kept(kept)]
    if locally:
        try:
            local = take_apart(a, b, pairs)
        except ModelError as error:
            if spec.local:
                raise
            obstacle = str(error)
        else:
            samples, unequal = measure_locally(a, b, local, measuring, tell)
            found = measuring.finish(_name_rows(a), noise, local.reasons)
            return Measured(samples, found, [*unequal.values()], [*notes, *local.notes])
    if obstacle is not None and spec.local is None:
        notes.append(f"no local errors: {obstacle}")
    if kept:
        return _compare_kept(a, b, kept, pairs, spec, noise, notes)
    notes += bound_batches((a, b), local=False, told=told)
    columns = [(a.find_column(pair.a), b.find_column(pair.b)) for pair in pairs]
    samples = _measure_beside(run_models(a, b, columns, tell), measuring)
    return Measured(samples, measuring.finish(_name_rows(a), noise), notes=notes)


def _measure_noise(a: Side, pairs: Sequence[Pair]) -> dict[str, float]:
    """Give the noise of A's own tensors, by their addresses; none of a dump."""
    if not isinstance(a, ModelSide):
        return {}
    by_column = measure_noise(a.plan, a.only_size)
    return {p.a.address: by_column[c] for p in pairs if (c := a.find_column(p.a)) in by_column}


def _compare_with_dump(
    a: Side,
    b: Side,
    pairs: Sequence[Pair],
    spec: DiffSpec,
    noise: Mapping[str, float],
    kept: Mapping[ModelSide, Path],
    progress: Callable[[Progress], None] | None,
) -> Measured:
    notes = _say_kept(kept)
    if kept:
        return _compare_kept(a, b, kept, pairs, spec, noise, notes)
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
    measuring = Measuring(pairs, spec, find_precision(a, b))
    tell = make_teller(model.plan.samples.rows, progress)
    given = run_against_dump(model, dump, columns, places, tell, model_first=model_first)
    samples = _measure_beside(given, measuring)
    found = measuring.finish(lambda row: (int(of_a[row]), str(names[of_a[row]])), noise)
    return Measured(samples, found, notes=notes)


def _compare_kept(
    a: Side,
    b: Side,
    kept: Mapping[ModelSide, Path],
    pairs: Sequence[Pair],
    spec: DiffSpec,
    noise: Mapping[str, float],
    notes: Sequence[str],
) -> Measured:
    """Compare what models have just written, so that they run once."""
    with contextlib.ExitStack() as opened:
        one, other = (
            DumpSide(opened.enter_context(open_dump(kept[side])))
            if isinstance(side, ModelSide)
            else side
            for side in (a, b)
        )
        if not (isinstance(one, DumpSide) and isinstance(other, DumpSide)):
            raise TypeError("expected dumps")
        precision = find_precision(a, b)
        measured = compare_dumps(one, other, pairs, spec, precision=precision, noise=noise)
        return replace(measured, notes=notes)


def _say_kept(kept: Mapping[ModelSide, Path]) -> list[str]:
    return [f"{path}: the dump of {side.name}" for side, path in kept.items()]


def _measure_beside(given: Iterator[Sequence[Rows]], measuring: Measuring) -> int:
    """Measure rows while the next ones are computed, and count the samples."""
    samples = 0
    with contextlib.closing(Beside()) as beside:
        for batch in given:
            beside.begin([measuring.make_task(rows) for rows in batch])
            samples += _count(batch[0])
        beside.wait()
    return samples


def _count(rows: Rows) -> int:
    return len(rows.a) if rows.valid is None else int(rows.valid.sum())


def _name_rows(side: ModelSide) -> Callable[[int], tuple[int, str]]:
    samples = side.plan.samples
    return lambda row: (row, samples.names(row, row + 1)[0].decode())


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


def _keep(
    a: Side, b: Side, spec: DiffSpec, progress: Callable[[Progress], None] | None
) -> dict[ModelSide, Path]:
    """Write the dumps that are to be kept, and give where."""
    if spec.directory is None:
        return {}
    from kprobe.pipeline.running.run import run

    return {side: run(side.plan, progress).output for side in (a, b) if isinstance(side, ModelSide)}
