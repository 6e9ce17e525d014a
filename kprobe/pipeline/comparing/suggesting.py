"""Suggest by values which tensors without a name in common belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kprobe.analysis.comparison.suggestions import find_wanted, suggest
from kprobe.errors import InputError
from kprobe.pipeline.comparing.joining import join_sides
from kprobe.pipeline.comparing.sides import DumpSide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.analysis.comparison.records import Described, Pair, Suggestion
    from kprobe.pipeline.comparing.sides import Side

# Samples that are looked at; of models all layers are held for them.
_ROWS, _OF_MODELS = 32, 4


def suggest_matches(
    a: Side,
    b: Side,
    candidates: Sequence[tuple[Described, Described]],
    pairs: Sequence[Pair] = (),
) -> tuple[Suggestion, ...]:
    """Tell which unmatched tensors look alike on the first samples.

    Args:
        a: The one side.
        b: The other.
        candidates: What can be one by its order and shape, and pairs that may be none.
        pairs: What is matched.
    """
    if not candidates:
        return ()
    of_a, of_b = find_wanted(candidates)
    matched = {(pair.a.address, pair.b.address) for pair in pairs}
    if not isinstance(a, DumpSide) and not isinstance(b, DumpSide):
        rows = np.arange(_OF_MODELS)
        return suggest(candidates, a.read_first(rows, of_a), b.read_first(rows, of_b), matched)
    try:
        rows_a, rows_b = join_sides(a, b)
    except InputError:
        return ()  # what is wrong with the samples is told where they are compared
    some = slice(_ROWS if isinstance(a, DumpSide) and isinstance(b, DumpSide) else _OF_MODELS)
    values_a, values_b = a.read_first(rows_a[some], of_a), b.read_first(rows_b[some], of_b)
    return suggest(candidates, values_a, values_b, matched)
