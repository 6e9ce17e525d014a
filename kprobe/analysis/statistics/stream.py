"""The statistics of a dump's columns, read block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.statistics.accumulate import Statistics, has_statistics
from kprobe.dumps.ragged_rows import RaggedRows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kprobe.analysis.statistics.accumulate import Detail
    from kprobe.dumps.reader import Dump

_CHANNELS = ("channel", "unit")
_BLOCK = 1 << 20  # bytes: with what is computed of it, in a core's own cache


def list_countable(dump: Dump) -> tuple[list[str], list[str]]:
    """Give the columns of a dump that have statistics, and those that don't, such as text.

    Returns:
        The names of columns, each in the order in which they are stored.
    """
    countable: list[str] = []
    others: list[str] = []
    for name in dump.columns:
        column = dump[name]
        counts = has_statistics(column.dtype) and column.attrs.get("dtype") != "string"
        (countable if counts else others).append(name)
    return countable, others


def read_statistics(
    dump: Dump,
    addresses: Sequence[str],
    *,
    threads: int | None = None,  # noqa: ARG001 - one thread reads so far
    rows: tuple[int, int] | None = None,
    detail: Detail = "full",
    by_sample: bool = False,
    progress: Callable[[int], None] | None = None,  # noqa: ARG001
) -> dict[str, Statistics]:
    """Give the statistics of columns of a dump, of all rows that are committed and valid.

    Args:
        dump: An open dump. Of an unfinished one, the rows that were committed when it was opened.
        addresses: Which columns, as in `dump[address]`; each must be one that `list_countable`
            lists. A weight counts as one row.
        threads: How many threads read; by default as many as there are cores.
        rows: The first row, and the one behind the last; all by default.
        detail: As for `Statistics`.
        by_sample: As for `Statistics`.
        progress: Called with the bytes that were read since the last call, from any thread.

    Returns:
        By address.

    Raises:
        DumpError: There is no such column, or the dump is closed.
    """
    start, stop = rows or (0, dump.committed)
    stop = min(stop, dump.committed)
    valid = dump.describe_samples(start, stop).get("valid")
    found = {}
    for address in addresses:
        column = dump[address]
        statistics = _make_statistics(column, detail, by_sample)
        if column.attrs.get("layout") == "weight":
            statistics.add(column[()][None], 0)
        else:
            size = max(
                1, int(np.prod(column.shape[1:]) if not isinstance(column, RaggedRows) else 1)
            )
            step = max(1, _BLOCK // (size * column.dtype.itemsize))
            for first in range(start, stop, step):
                some = slice(first, min(first + step, stop))
                good = None if valid is None else valid[first - start : some.stop - start]
                if isinstance(column, RaggedRows):
                    for row in range(some.start, some.stop):
                        if good is None or good[row - first]:
                            statistics.add(column[row][None], row)
                else:
                    statistics.add(column[some], first, good)
        found[address] = statistics
    return found


def _make_statistics(column: Any, detail: Detail, by_sample: bool) -> Statistics:
    if isinstance(column, RaggedRows):
        shared = column.attrs.get("axes", ())
        names = [str(name) for name in shared]
        shape: tuple[int, ...] = (-1,) * (column.shapes.shape[1] - 1) + (-1,)
        return Statistics(
            shape, column.dtype, channel_axis=None, by_sample=by_sample, detail=detail
        )
    whole = column.attrs.get("layout") == "weight"
    names = [dimension.label for dimension in column.dims]
    shape = column.shape if whole else column.shape[1:]
    names = names if whole else names[1:]
    axis = next((names.index(name) for name in _CHANNELS if name in names), -1)
    return Statistics(shape, column.dtype, channel_axis=axis, by_sample=by_sample, detail=detail)
