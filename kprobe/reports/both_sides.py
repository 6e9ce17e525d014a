"""The feature maps of both sides of a comparison, beside each other."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from kprobe.dumps.reader import Dump, open_dump
from kprobe.errors import DumpError, InputError
from kprobe.reports.maps import (
    MOST_PICTURED,
    WITHOUT_PILLOW,
    can_draw,
    choose_limits,
    draw_maps,
    find_pictured,
    read_maps,
)
from kprobe.reports.shown_samples import MOST_SAMPLES, choose_rows, draw_images, name_samples

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from kprobe.reports.contents import Contents, Layer, Maps


def add_both_sides(
    contents: Contents,
    dumps: tuple[str | os.PathLike[str], str | os.PathLike[str]],
    samples: Sequence[str | int] = (),
    images: str | os.PathLike[str] | None = None,
) -> Contents:
    """Add the feature maps of both sides to what is said of a comparison.

    Args:
        contents: What is said of it.
        dumps: The dumps of A and of B.
        samples: The samples, by name, or by row of A, up to four; by default the first four that
            both sides have.
        images: The images that the samples were made from; None for none.

    Raises:
        DumpError: One is no dump, or can't be read; or neither has a layer of the comparison.
        InputError: There is no such sample on both sides, or no image, or there are too many.
    """
    with contextlib.ExitStack() as opened:
        a, b = (opened.enter_context(open_dump(path)) for path in dumps)
        rows = _match_rows(a, b, samples)
        pairs = _match_layers(contents.layers, a, b)
        if pairs and not can_draw():
            return replace(contents, findings=[*contents.findings, WITHOUT_PILLOW])
        shown = name_samples(a, [row for row, _ in rows])
        photos = draw_images(a, [row for row, _ in rows], images)
        limits = choose_limits(2 * len(pairs), len(rows))
        layouts = find_pictured(a), find_pictured(b)
        maps: dict[str, Maps] = {}
        for name, (of_a, of_b) in pairs.items() if rows else ():
            one = read_maps(a, of_a, layouts[0][of_a], [row for row, _ in rows])
            other = read_maps(b, of_b, layouts[1][of_b], [row for _, row in rows])
            if one.shape == other.shape:
                maps[name] = draw_maps(other, limits, one)
    layers = [replace(layer, maps=maps.get(layer.name)) for layer in contents.layers]
    return replace(contents, layers=layers, samples=shown, images=photos)


def _match_layers(layers: Sequence[Layer], a: Dump, b: Dump) -> dict[str, tuple[str, str]]:
    """Give by layer the columns of both sides that have pictures."""
    columns = [
        {
            str(address): column
            for column in find_pictured(dump)
            for address in dump[column].attrs["addresses"]
        }
        for dump in (a, b)
    ]
    found = {
        layer.name: (columns[0][layer.other or layer.name], columns[1][layer.name])
        for layer in layers
        if (layer.other or layer.name) in columns[0] and layer.name in columns[1]
    }
    known = {name for dump in (a, b) for name in dump}
    if not known & {name for layer in layers for name in (layer.name, layer.other)}:
        raise DumpError(f"{a.path}, {b.path}: expected the dumps of both sides, received others")
    return dict(islice(found.items(), MOST_PICTURED))


def _match_rows(a: Dump, b: Dump, samples: Sequence[str | int]) -> list[tuple[int, int]]:
    """Give the rows of the same samples, in A and in B."""
    names_a, names_b = (dump.describe_samples()["sample"].tolist() for dump in (a, b))
    places = {name: row for row, name in reversed(list(enumerate(names_b)))}
    if not samples:
        valid = a.read_valid()
        common = (
            (row, places[name])
            for row, name in enumerate(names_a)
            if name in places and (valid is None or valid[row])
        )
        return list(islice(common, MOST_SAMPLES))
    rows = choose_rows(a, samples)
    missing = [names_a[row] for row in rows if names_a[row] not in places]
    if missing:
        raise InputError(*(f"{b.path}: has no sample {name!r}" for name in missing))
    return [(row, places[names_a[row]]) for row in rows]
