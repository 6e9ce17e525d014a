"""What a report says of a dump: its statistics, and pictures of a few samples."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError
from kprobe.pipeline.statistics.of_file import gather_file
from kprobe.reports.contents import Finding
from kprobe.reports.maps import (
    MOST_PICTURED,
    WITHOUT_PILLOW,
    can_draw,
    choose_limits,
    draw_maps,
    find_pictured,
    read_maps,
)
from kprobe.reports.of_statistics import describe_statistics
from kprobe.reports.shown_samples import choose_rows, draw_images, name_samples

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kprobe.dumps.reader import Dump
    from kprobe.pipeline.running.progress import Progress
    from kprobe.reports.contents import Contents, Maps


def describe_dump(
    path: Path,
    samples: Sequence[str | int] = (),
    progress: Callable[[Progress], None] | None = None,
    images: str | os.PathLike[str] | None = None,
) -> Contents:
    """Say what a dump tells.

    Args:
        path: The dump.
        samples: The samples that there are pictures of, by name or row, up to four; the first ones
            by default.
        progress: Called with how far it is in reading.
        images: The images that the samples were made from, which stand beside the pictures; None
            for none.

    Raises:
        DumpError: It can't be read.
        InputError: There is no such sample or image, or there are too many.
    """
    with open_dump(path) as dump:
        rows = choose_rows(dump, samples)
        shown, photos = name_samples(dump, rows), draw_images(dump, rows, images)
        names = {
            str(addresses[0]): [str(each) for each in addresses]
            for addresses in (dump[column].attrs["addresses"] for column in dump.columns)
        }
        contents = describe_statistics(gather_file(path, progress=progress), names)
        try:
            maps, missing = _picture(dump, rows)
        except OSError as error:
            raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error
    return replace(
        contents,
        kind="dump",
        findings=[*contents.findings, *missing],
        layers=[replace(layer, maps=maps.get(layer.name)) for layer in contents.layers],
        samples=shown,
        images=photos,
    )


def _picture(dump: Dump, rows: Sequence[int]) -> tuple[Mapping[str, Maps], list[Finding]]:
    """Make the pictures of all columns that have any, by address."""
    layouts = find_pictured(dump) if rows else {}
    if layouts and not can_draw():
        return {}, [WITHOUT_PILLOW]
    told = []
    if len(layouts) > MOST_PICTURED:
        text = f"Feature maps of {MOST_PICTURED:,} layers, the first of {len(layouts):,}."
        told.append(Finding(level="note", text=text))
        layouts = dict(islice(layouts.items(), MOST_PICTURED))
    limits = choose_limits(len(layouts), len(rows))
    maps = {
        str(dump[column].attrs["addresses"][0]): draw_maps(
            read_maps(dump, column, layout, rows), limits
        )
        for column, layout in layouts.items()
    }
    return maps, told
