"""What a report says of a dump: its statistics, and pictures of a few samples."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError, InputError
from kprobe.naming import name_nearest
from kprobe.pipeline.statistics.of_file import gather_file
from kprobe.reports.contents import Finding
from kprobe.reports.maps import MOST_PICTURED, choose_limits, find_pictured, make_maps
from kprobe.reports.of_statistics import describe_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kprobe.dumps.reader import Dump
    from kprobe.pipeline.running.progress import Progress
    from kprobe.reports.contents import Contents, Maps

# Of so many samples there are pictures.
MOST_SAMPLES = 4


def describe_dump(
    path: Path,
    samples: Sequence[str | int] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Contents:
    """Say what a dump tells.

    Args:
        path: The dump.
        samples: The samples that there are pictures of, by name or row, up to four; the first ones
            by default.
        progress: Called with how far it is in reading.

    Raises:
        DumpError: It can't be read.
        InputError: There is no such sample, or there are too many.
    """
    with open_dump(path) as dump:
        rows = _choose_rows(dump, samples)
        names = {
            str(addresses[0]): [str(each) for each in addresses]
            for addresses in (dump[column].attrs["addresses"] for column in dump.columns)
        }
        contents = describe_statistics(gather_file(path, progress=progress), names)
        try:
            maps, missing = _picture(dump, rows)
        except OSError as error:
            raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error
        shown = [str(dump.describe_samples(row, row + 1)["sample"][0]) for row in rows]
    return replace(
        contents,
        kind="dump",
        findings=[*contents.findings, *missing],
        layers=[replace(layer, maps=maps.get(layer.name)) for layer in contents.layers],
        samples=shown,
    )


def _picture(dump: Dump, rows: Sequence[int]) -> tuple[Mapping[str, Maps], list[Finding]]:
    """Make the pictures of all columns that have any, by address."""
    layouts = find_pictured(dump) if rows else {}
    if layouts and importlib.util.find_spec("PIL") is None:
        text = "No feature maps: these need Pillow, pip install 'kprobe[report]'."
        return {}, [Finding(level="note", text=text)]
    told = []
    if len(layouts) > MOST_PICTURED:
        text = f"Feature maps of {MOST_PICTURED:,} layers, the first of {len(layouts):,}."
        told.append(Finding(level="note", text=text))
        layouts = dict(islice(layouts.items(), MOST_PICTURED))
    limits = choose_limits(len(layouts), len(rows))
    return {
        str(dump[column].attrs["addresses"][0]): make_maps(dump, column, layout, rows, limits)
        for column, layout in layouts.items()
    }, told


def _choose_rows(dump: Dump, samples: Sequence[str | int]) -> list[int]:
    """Give the rows of the samples that there are pictures of, in the order asked for."""
    if len(samples) > MOST_SAMPLES:
        raise InputError(
            f"samples: expected {MOST_SAMPLES} at most, received {len(samples):,}",
            hint="make several reports",
        )
    if not samples:
        valid = dump.read_valid(0, min(dump.committed, 1 << 16))
        known = range(dump.committed) if valid is None else np.flatnonzero(valid).tolist()
        return [int(row) for row in known[:MOST_SAMPLES]]
    rows: dict[int, None] = {}
    names: list[str] | None = None
    for sample in samples:
        number = int(sample) if str(sample).isascii() and str(sample).isdigit() else None
        if number is None:
            names = dump.describe_samples()["sample"].tolist() if names is None else names
            if str(sample) not in names:
                raise InputError(
                    f"{dump.path}: has no sample {sample!r}",
                    hint=name_nearest(str(sample), names, 3),
                )
            number = names.index(str(sample))
        if number >= dump.committed:
            raise InputError(
                f"{dump.path}: expected a row below {dump.committed:,}, received {number:,}"
            )
        rows[number] = None
    return list(rows)
