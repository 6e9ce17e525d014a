"""What is drawn of a running model: the samples that are drawn are run, and nothing is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.subjects import MOST_TOGETHER, check_size, is_drawn_together, match_samples
from kprobe.errors import Hint, InputError, Setting
from kprobe.pictures.kinds import choose_layout
from kprobe.pictures.subject import Subject
from kprobe.pipeline.planning.apart import list_read
from kprobe.pipeline.plotting.of_file import find_form
from kprobe.pipeline.plotting.pictured import Pictured
from kprobe.pipeline.plotting.sample_images import SampleImages, add_image
from kprobe.pipeline.running.run import run_range
from kprobe.pipeline.running.sink import Sink, take_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.dumps.contents import Column
    from kprobe.pipeline.planning.plan import Plan
    from kprobe.pipeline.plotting.spec import PlotSpec
    from kprobe.pipeline.running.batches import Computed


class _RowSink(Sink):
    """Keeps the rows that are drawn, and no others.

    Args:
        plan: The plan.
        wanted: By the name of a column, which rows.
    """

    committed = 0
    waiting = 0
    taken_bytes = 0

    def __init__(self, plan: Plan, wanted: dict[str, Sequence[int]]) -> None:
        self._plan, self._wanted = plan, wanted
        self.rows: dict[str, dict[int, Any]] = {name: {} for name in wanted}
        self.faults: dict[int, str] = {}

    def take(self, batch: Computed) -> None:
        self.faults |= batch.faults
        for column, result in zip(self._plan.fetched, batch.results, strict=True):
            places = [
                row - batch.first
                for row in self._wanted.get(column.name, ())
                if 0 <= row - batch.first < batch.rows and row not in batch.faults
            ]
            if places:
                rows = take_rows(column, result, batch)
                for place in places:
                    value = np.asarray(rows[place], column.dtype)
                    self.rows[column.name][batch.first + place] = value.copy()

    def commit_soon(self, rows: int) -> None:
        """Memory isn't kept."""

    def finish(self) -> None:
        """All is there."""

    def __enter__(self) -> _RowSink:
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing is open."""


def picture_model(plan: Plan, spec: PlotSpec, *, apart: bool = False) -> Pictured:
    """Run the samples that are drawn, and give what is drawn of them.

    Args:
        plan: The plan.
        spec: What is asked for.
        apart: As for `open_pictured`.

    Raises:
        KprobeError: A sample isn't there or can't be read, the model fails, or a tensor can't be
            drawn as asked for.
    """
    if fault := spec.find_model_fault():
        raise fault
    columns, left_out = _choose_columns(plan, spec)
    asked = None if spec.samples is None else _match(plan, spec.samples)
    if asked is None and len(columns) > 1 and not apart and spec.kind != "matrix":
        asked = [0]
    wanted: dict[str, Sequence[int]] = {}
    for column in columns:
        together = not column.ragged and is_drawn_together(len(column.shape), spec.kind)
        first = range(min(plan.rows, MOST_TOGETHER if together else 1))
        wanted[column.name] = first if asked is None else asked
    sink = _run(plan, {c.name: wanted[c.name] for c in columns if c.value is None})
    subjects = [each for c in columns for each in _make_subjects(plan, c, sink, spec)]
    if not subjects:
        raise InputError(
            *(f"sample {row} couldn't be read: {reason}" for row, reason in sink.faults.items())
        )
    return _picture(plan, subjects, spec, [*plan.left_out, *left_out])


def _choose_columns(plan: Plan, spec: PlotSpec) -> tuple[list[Column], list[str]]:
    """Choose the columns that can be drawn, in the order of computing, weights last.

    Returns:
        The columns; and of others, where all layers were asked for, why they can't be drawn.

    Raises:
        InputError: One that was asked for can't, or none can.
    """
    weights = [c for c in plan.columns if c.value is not None and "addresses" in c.attrs]
    chosen, faults = [], []
    for column in [*(plan.fetched[number] for number in plan.order), *weights]:
        address = plan.addresses_of(column)[0]
        try:
            if column.attrs["dtype"] == "string":
                raise InputError("expected numbers to draw, received text")
            check_size(address, column.shape)
            if not column.ragged and spec.kind not in (None, "matrix"):
                weight = column.value is not None
                choose_layout(column.shape, column.axes, spec.kind, weight=weight)
            chosen.append(column)
        except InputError as error:
            faults += [f"{address}: {fault.removeprefix(f'{address}: ')}" for fault in error.faults]
    if faults and (plan.job.selection.layers is not None or not chosen):
        raise InputError(*faults)
    return chosen, faults


def _match(plan: Plan, samples: Sequence[int | str]) -> list[int]:
    """Find the rows of samples.

    Raises:
        InputError: One isn't there.
    """
    count = plan.samples.rows
    if count is None:
        if any(isinstance(sample, str) or sample < 0 for sample in samples):
            raise InputError(
                "nobody knows how many samples there are: expected their numbers from the first",
                hint=Hint("leave ", Setting("samples"), " out for the first one"),
            )
        return [sample for sample in samples if isinstance(sample, int)]
    names: list[str] = []
    if any(isinstance(sample, str) for sample in samples):
        names = [name.decode() for name in plan.samples.names(0, count)[:]]
    return match_samples(samples, names, count, plan.job.model.name)


def _run(plan: Plan, wanted: dict[str, Sequence[int]]) -> _RowSink:
    """Run the batches that hold the rows."""
    from kprobe.compat.eager_mode import eagerly

    size = plan.batch_size
    rows = sorted({row for own in wanted.values() for row in own})
    with _RowSink(plan, wanted) as sink:
        for begin, end in _find_ranges(rows, size, from_start=plan.samples.rows is None):
            eagerly(run_range)(plan, sink, begin, end)
    return sink


def _find_ranges(rows: Sequence[int], size: int, *, from_start: bool) -> Iterator[tuple[int, int]]:
    """Give where ranges of rows begin, at multiples of the batch size, and end."""
    if from_start and rows:
        yield 0, rows[-1] + 1
        return
    begin = end = 0
    for row in rows:
        if row >= -(-end // size) * size or not end:
            if end:
                yield begin, end
            begin = row // size * size
        end = row + 1
    if end:
        yield begin, end


def _make_subjects(plan: Plan, column: Column, sink: _RowSink, spec: PlotSpec) -> Iterator[Subject]:
    address = plan.addresses_of(column)[0]
    about = str(column.attrs.get("layer_class", ""))
    if column.value is not None:
        yield Subject(address=address, rows=[column.value], axes=column.axes, about=about)
        return
    rows = sink.rows[column.name]
    samples = [(row, plan.samples.names(row, row + 1)[0].decode()) for row in rows]
    together = not column.ragged and is_drawn_together(len(column.shape), spec.kind)
    stacked = spec.kind == "matrix" and len(column.shape) == 1
    groups = [samples] if together and samples else [[sample] for sample in samples]
    for group in groups:
        values = [rows[row] for row, _ in group]
        for value in values:
            check_size(address, value.shape)
        yield Subject(
            address=address,
            rows=values,
            axes=column.axes,
            samples=group,
            about=about,
            stacked=stacked,
        )


def _picture(
    plan: Plan, subjects: Sequence[Subject], spec: PlotSpec, left_out: Sequence[str]
) -> Pictured:
    images = None
    if spec.overlay is not None:
        images = SampleImages(str(spec.overlay), find_form(plan.attrs))
    single = dict(each.samples[0] for each in subjects if len(each.samples) == 1)
    names = [
        (each.address, f"sample {each.samples[0][0]}")
        if len(single) > 1 and len(each.samples) == 1
        else (each.address, "")
        for each in subjects
    ]
    told = [f"sample {row}: {name}" for row, name in single.items()]
    return Pictured(
        source=plan.job.model.name,
        names=names,
        things=(add_image(each, images) for each in subjects),
        look=spec.look,
        lines=[told[0] if len(told) == 1 else f"{len(told)} samples"] if told else [],
        notes=left_out,
        read=[*list_read(plan.job), *([] if spec.overlay is None else [spec.overlay])],
    )
