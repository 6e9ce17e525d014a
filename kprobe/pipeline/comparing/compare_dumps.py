"""Compare two dumps, column by column, without TensorFlow."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kprobe.pipeline.comparing.joining import join_sides
from kprobe.pipeline.comparing.measuring import Measured, Measuring, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.analysis.comparison.records import Pair
    from kprobe.pipeline.comparing.sides import DumpSide
    from kprobe.pipeline.comparing.spec import DiffSpec

# What is read at a time, of either side.
_BLOCK_BYTES = 4 << 20


def compare_dumps(a: DumpSide, b: DumpSide, pairs: Sequence[Pair], spec: DiffSpec) -> Measured:
    """Compare two dumps.

    Args:
        a: The one.
        b: The other.
        pairs: Their matched tensors.
        spec: What is asked for.

    Raises:
        InputError: The samples of one aren't those of the other.
    """
    rows_a, rows_b = join_sides(a, b)
    valid = a.find_valid()[rows_a] & b.find_valid()[rows_b]
    every = bool(valid.all())
    sizes = {tensor.described.address: tensor for tensor in a.tensors}
    columns = [(a.find_column(pair.a), b.find_column(pair.b)) for pair in pairs]
    tasks = [
        (number, slice(start, start + size))
        for number, pair in enumerate(pairs)
        for size in [max(_BLOCK_BYTES // max(sizes[pair.a.address].row_bytes, 1), 1)]
        for start in range(0, len(rows_a), size)
    ]
    # What is measured in one thread is merged with what is in the others.
    count = min(len(os.sched_getaffinity(0)), max(len(tasks), 1))
    shares = [Measuring(pairs, spec) for _ in range(count)]

    def measure(share: int) -> None:
        for number, chosen in tasks[share::count]:
            one, other = columns[number]
            values_a, values_b = a.read(one, rows_a[chosen]), b.read(other, rows_b[chosen])
            good = None if every else valid[chosen]
            shares[share].take(Rows(number, chosen.start, values_a, values_b, good))

    with ThreadPoolExecutor(count, "kprobe-compare") as pool:
        for done in [pool.submit(measure, share) for share in range(count)]:
            done.result()
    for other in shares[1:]:
        shares[0].merge(other)
    names = a.names()

    def name(row: int) -> tuple[int, str]:
        return int(rows_a[row]), str(names[rows_a[row]])

    return Measured(int(valid.sum()), shares[0].finish(name))
