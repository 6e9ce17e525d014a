"""Compare two dumps, column by column, without TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kprobe.analysis.comparison.columns import compare_columns
from kprobe.pipeline.comparing.joining import join_sides
from kprobe.pipeline.comparing.measuring import Measured, Measuring, choose_ulps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.analysis.comparison.records import Pair
    from kprobe.pipeline.comparing.sides import DumpSide
    from kprobe.pipeline.comparing.spec import DiffSpec


def compare_dumps(a: DumpSide, b: DumpSide, pairs: Sequence[Pair], spec: DiffSpec) -> Measured:
    """Compare two dumps.

    Args:
        a: The one.
        b: The other.
        pairs: Their matched tensors.
        spec: What is asked for.

    Raises:
        InputError: The samples of one aren't those of the other, or local errors are asked for.
    """
    if all(pair.a.weight for pair in pairs):
        rows_a = rows_b = np.zeros(0, np.int64)
    else:
        rows_a, rows_b = join_sides(a, b)
    valid = a.find_valid()[rows_a] & b.find_valid()[rows_b]
    if not valid.all():
        rows_a, rows_b = rows_a[valid], rows_b[valid]
    measuring = Measuring(pairs, spec)
    measuring.running = compare_columns(
        a.dump,
        b.dump,
        pairs,
        (rows_a, rows_b),
        cosine=spec.cosine,
        ulps=[choose_ulps(pair) for pair in pairs] if spec.ulps else None,
    )
    names = a.names()

    def name(row: int) -> tuple[int, str]:
        return int(rows_a[row]), str(names[rows_a[row]])

    return Measured(len(rows_a), measuring.finish(name))
