"""What is drawn of a dump, or of statistics that were kept; without TensorFlow."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.addresses.grammar import split_addresses
from kprobe.analysis.projection import project
from kprobe.analysis.statistics.stream import list_countable
from kprobe.dumps.attributes import read_json
from kprobe.dumps.dimensions import read_axes
from kprobe.dumps.labelled import is_table
from kprobe.dumps.reader import open_dump
from kprobe.dumps.subjects import (
    describe_column,
    find_first_rows,
    find_rows,
    plan_subjects,
    read_subject,
)
from kprobe.errors import InputError, KprobeError, merge_errors
from kprobe.pictures.kinds import choose_layout
from kprobe.pictures.subject import Distribution, Points
from kprobe.pictures.texts import describe_shape
from kprobe.pipeline.plotting.pictured import Pictured
from kprobe.pipeline.plotting.sample_images import SampleImages, add_image
from kprobe.pipeline.statistics.of_file import choose_columns, gather_dump, gather_file
from kprobe.pipeline.statistics.stored import STATISTICS, read_kind

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kprobe.analysis.statistics.accumulate import Statistics
    from kprobe.dumps.reader import Dump
    from kprobe.pictures.subject import Subject
    from kprobe.pipeline.plotting.spec import PlotSpec
    from kprobe.pipeline.statistics.gathered import Gathered


@contextlib.contextmanager
def open_pictured(
    path: str | os.PathLike[str], addresses: Iterable[str], spec: PlotSpec, *, apart: bool = False
) -> Iterator[Pictured]:
    """Give what is drawn of a file, which is open until the block is left.

    Args:
        path: A dump, or statistics.
        addresses: Which tensors, as `gather_file` takes them.
        spec: What is asked for.
        apart: Whether each tensor has a page of its own. Those on one page are of one sample,
            unless others are asked for.

    Raises:
        KprobeError: There is no such file, address or sample, or it can't be drawn as asked for.
    """
    read = [path] if spec.overlay is None else [path, spec.overlay]
    with _open(path, addresses, spec, apart) as pictured:
        yield replace(pictured, read=read)


@contextlib.contextmanager
def _open(
    path: str | os.PathLike[str], addresses: Iterable[str], spec: PlotSpec, apart: bool
) -> Iterator[Pictured]:
    texts = [part for text in addresses for part in split_addresses(text)]
    if read_kind(path) == STATISTICS.format:
        yield _take_statistics(path, texts, spec)
        return
    with open_dump(path) as dump:
        if spec.pca:
            yield _project(dump, texts, spec)
        elif spec.kind == "histogram" and spec.samples is None:
            names, _ = choose_columns(dump, texts)
            countable, _ = list_countable(dump)
            chosen = [name for name in names if name in countable]
            if texts and (others := [name for name in names if name not in chosen]):
                raise InputError(*(f"{name}: expected real numbers to count" for name in others))
            yield _tell(gather_dump(dump, chosen), spec, dump.path.name)
        else:
            yield _take_rows(dump, texts, spec, apart)


def _quote(dump: Dump, column: str) -> str:
    return str(dump[column].attrs["addresses"][0])


def _take_rows(dump: Dump, texts: Sequence[str], spec: PlotSpec, apart: bool) -> Pictured:
    """Give rows of columns, which are read one after another."""
    rows = None if spec.samples is None else find_rows(dump, spec.samples)
    planned: list[tuple[str, list[int]]] = []
    errors: list[KprobeError] = []
    columns, _ = choose_columns(dump, texts)
    if rows is None and len(columns) > 1 and not apart and spec.kind != "matrix":
        rows = find_first_rows(dump, 1)
    for column in columns:
        try:
            _check_kind(dump, column, spec)
            planned += [(column, own) for own in plan_subjects(dump, column, rows, spec.kind)]
        except InputError as error:
            errors.append(error)
    if errors and texts:
        raise merge_errors(errors)
    if not planned:
        kind = f" as {spec.kind}" if spec.kind and errors else ""
        raise InputError(f"{dump.path}: expected tensors to draw{kind}, received none that fits")
    images = None
    if spec.overlay is not None:
        images = SampleImages(str(spec.overlay), find_form(dump.attrs))
    several = {tuple(own) for _, own in planned if len(own) == 1}
    shown = [own[0] for own in sorted(several)]
    names = [
        (_quote(dump, column), f"sample {own[0]}" if len(several) > 1 and len(own) == 1 else "")
        for column, own in planned
    ]
    return Pictured(
        source=dump.path.name,
        names=names,
        things=_read(dump, planned, images, spec.kind == "matrix"),
        look=spec.look,
        lines=[_tell_samples(dump, shown)],
        notes=[line for error in errors for line in error.faults],
    )


def _read(
    dump: Dump,
    planned: Sequence[tuple[str, list[int]]],
    images: SampleImages | None,
    stacked: bool,
) -> Iterator[Subject]:
    for column, rows in planned:
        yield add_image(read_subject(dump, column, rows, stacked=stacked), images)


def _check_kind(dump: Dump, column: str, spec: PlotSpec) -> None:
    """Refuse what can't be drawn as a kind, as far as its shape tells, before anything is drawn."""
    known = describe_column(dump[column])
    if known is None or spec.kind is None:
        return
    shape, names, weight = known
    try:
        choose_layout(shape, names, None if spec.kind == "matrix" else spec.kind, weight=weight)
    except InputError as error:
        raise InputError(*(f"{_quote(dump, column)}: {fault}" for fault in error.faults)) from None


def _tell_samples(dump: Dump, rows: Sequence[int]) -> str:
    if len(rows) != 1:
        return f"{len(rows)} samples" if rows else ""
    return f"sample {rows[0]}: {dump.describe_samples(rows[0], rows[0] + 1)['sample'][0]}"


def find_form(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find what images were made into, as a dump's attribute `inputs` tells it."""
    known = read_json(attrs, "inputs", list)
    return next((entry for entry in known if isinstance(entry, dict) and entry.get("fit")), {})


def _project(dump: Dump, texts: Sequence[str], spec: PlotSpec) -> Pictured:
    """Give the samples of columns as points."""
    columns, weights = choose_columns(dump, texts)
    if not texts:
        numbers = [name for name in columns if name not in weights and is_table(dump[name])]
        columns = [name for name in numbers if dump[name].dtype.kind in "biuf"]
        if not columns:
            raise InputError(
                f"{dump.path}: expected rows of numbers for components, received none",
                hint="name the tensors",
            )
    return Pictured(
        source=dump.path.name,
        names=[(_quote(dump, column), "") for column in columns],
        things=(_find_points(dump, column) for column in columns),
        look=spec.look,
        lines=["the first two principal components of the samples"],
    )


def _find_points(dump: Dump, column: str) -> Points:
    found = project(dump, column)
    labels = None if dump.label is None else dump.label[found.rows]
    notes = []
    if len(found.rows) + found.unfinite < found.total:
        notes.append(f"{len(found.rows):,} of {found.total:,} samples, at equal distances")
    if found.unfinite:
        notes.append(f"{found.unfinite:,} samples left out, which aren't finite")
    values = dump[column]
    shape = describe_shape(values.shape[1:], [name for name, _ in read_axes(values)])
    about = str(values.attrs.get("layer_class", ""))
    told = [about, shape, f"{len(found.rows):,} samples"]
    return Points(
        address=_quote(dump, column),
        places=found.places,
        axes=[
            f"component {n} ({part:.1%} of the variance)" for n, part in enumerate(found.parts, 1)
        ],
        labels=labels,
        about=" · ".join(part for part in told if part),
        notes=notes,
    )


def _take_statistics(
    path: str | os.PathLike[str], texts: Sequence[str], spec: PlotSpec
) -> Pictured:
    if spec.kind not in (None, "histogram") or spec.pca or spec.samples is not None:
        raise InputError(
            f"{path}: expected a dump to draw samples of, received statistics",
            hint="only histograms are drawn of statistics",
        )
    gathered = gather_file(path, texts)
    if texts:
        gathered = replace(gathered, uncounted=[])  # nobody asked for those
    return _tell(gathered, spec, Path(path).name)


def _tell(gathered: Gathered, spec: PlotSpec, source: str) -> Pictured:
    known = gathered.statistics
    if not known:
        raise InputError(f"{source}: expected tensors to draw, received none")
    samples = f"{gathered.rows - gathered.left_out:,} samples"
    return Pictured(
        source=source,
        names=[(address, "") for address in known],
        things=(
            make_distribution(address, each, "weight" if address in gathered.weights else samples)
            for address, each in known.items()
        ),
        look=spec.look,
        lines=[f"histograms of {samples}"],
        notes=list(gathered.uncounted),
    )


def make_distribution(address: str, statistics: Statistics, about: str) -> Distribution:
    """Give what is drawn of the statistics of a tensor.

    Args:
        address: The tensor.
        statistics: What is known of it.
        about: What they are of.
    """
    summary = statistics.summarize(address)
    histogram = summary.histogram
    told = {"mean": summary.mean}
    shape = "x".join("?" if size < 0 else str(size) for size in summary.shape)
    notes = [f"std {summary.std:.4g}"] if summary.std is not None else []
    notes.append(f"{summary.zeros:.1%} zeros")
    notes += [f"{summary.nan:,} NaN"] * bool(summary.nan)
    notes += [f"{summary.inf:,} infinite"] * bool(summary.inf)
    return Distribution(
        address=address,
        edges=np.array([] if histogram is None else histogram.edges),
        counts=np.array([] if histogram is None else histogram.counts, np.int64),
        marks={name: value for name, value in told.items() if value is not None},
        about=" · ".join(part for part in (shape, summary.dtype, about) if part),
        notes=notes,
    )
