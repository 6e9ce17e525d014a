"""How alike the layers of two dumps are, as `kprobe similarity` tells it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kprobe.cli.rendering.formatting import count
from kprobe.cli.rendering.printing import print_json, print_line, print_table, say

if TYPE_CHECKING:
    from kprobe.analysis.similarity import Similarity

# Columns that a terminal has room for.
_MOST = 12


def show_similarity(found: Similarity, as_json: bool) -> None:
    """Print the similarities: a row for each layer of A, a column for each of B.

    Where B has too many layers, the nearest one of each of A's is printed instead.
    """
    if as_json:
        print_json(found.to_json())
        return
    for note in found.notes:
        say(note)
    title = found.method.upper()
    print_line(f"{title} over {count(found.samples, 'sample')}: {found.a} by {found.b}")
    if len(found.layers_b) <= _MOST:
        rows = [
            [layer, *map(_write, values)]
            for layer, values in zip(found.layers_a, found.values.tolist(), strict=True)
        ]
        print_table(["", *found.layers_b], rows, set(found.layers_b))
        return
    rows = []
    for layer, values in zip(found.layers_a, found.values.tolist(), strict=True):
        known = [i for i, value in enumerate(values) if not math.isnan(value)]
        nearest = max(known, key=values.__getitem__, default=None)
        if nearest is None:
            rows.append([layer, "", _write(math.nan)])
        else:
            rows.append([layer, found.layers_b[nearest], _write(values[nearest])])
    print_table(["layer", "nearest", title], rows, {title})


def _write(value: float) -> str:
    return "—" if math.isnan(value) else f"{value:.3f}"
