"""Compare two dumps, column by column, without TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kprobe.analysis.comparison.columns import compare_columns
from kprobe.pipeline.comparing.joining import join_sides
from kprobe.pipeline.comparing.measuring import Measured, Measuring, choose_ulps
from kprobe.pipeline.comparing.sides import find_precision
from kprobe.pipeline.comparing.telling import make_teller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kprobe.analysis.comparison.records import Pair
    from kprobe.pipeline.comparing.sides import DumpSide
    from kprobe.pipeline.comparing.spec import DiffSpec
    from kprobe.pipeline.running.progress import Progress


def compare_dumps(
    a: DumpSide,
    b: DumpSide,
    pairs: Sequence[Pair],
    spec: DiffSpec,
    *,
    precision: str | None = None,
    noise: Mapping[str, float] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Measured:
    """Compare two dumps.

    Args:
        a: The one.
        b: The other.
        pairs: Their matched tensors.
        spec: What is asked for.
        precision: As for `Measuring`; None for what the dumps say.
        noise: As for `Measuring.finish`.
        progress: Called with how far it is.

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
    measuring = Measuring(pairs, spec, precision or find_precision(a, b))
    measuring.running = compare_columns(
        a.dump,
        b.dump,
        pairs,
        (rows_a, rows_b),
        cosine=spec.cosine,
        ulps=[choose_ulps(pair) for pair in pairs] if spec.ulps else None,
        progress=_make_teller(a, pairs, len(rows_a), progress),
    )
    names = a.names()

    def name(row: int) -> tuple[int, str]:
        return int(rows_a[row]), str(names[rows_a[row]])

    return Measured(len(rows_a), measuring.finish(name, noise))


def _make_teller(
    a: DumpSide,
    pairs: Sequence[Pair],
    rows: int,
    progress: Callable[[Progress], None] | None,
) -> Callable[[int], None]:
    """Make what tells how far it is, given the bytes that were compared since the last time.

    Columns are compared one behind the other; so it tells the share of the samples.
    """
    tell = make_teller(rows, progress)
    sizes = {tensor.column: tensor.row_bytes for tensor in a.tensors}
    total = rows * sum(sizes[a.find_column(pair.a)] for pair in pairs)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        tell(min(rows, rows * done // max(total, 1)))

    tell(0)
    return count
