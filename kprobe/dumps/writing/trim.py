"""Cut a dump of unknown length down to the rows that were written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.contents import INDEX
from kprobe.dumps.create import COMMITTED, COMPLETE, TIME, find_offsets
from kprobe.dumps.files.disk import WriteBehind, write_at
from kprobe.dumps.layout import lay_out
from kprobe.dumps.ragged_columns import RaggedColumns
from kprobe.hdf5 import open_afresh

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kprobe.dumps.contents import Column, Contents


def trim(source: Path, target: Path, contents: Contents, finished: float) -> None:
    """Write the first rows of a dump into another, which is then complete.

    Args:
        source: The dump, with room for more rows than were written.
        target: The file to write, as large as the rows need.
        contents: What the other is to hold: the same, with the samples to take.
        finished: When the run ended, in seconds since 1970.

    Raises:
        OSError: A file can't be read or written.
        DumpError: The disk has no room for both.
    """
    rows, columns = contents.rows, contents.columns
    lay_out(target, contents)
    with source.open("rb") as old, target.open("r+b") as new:
        with open_afresh(source) as ours, open_afresh(target) as theirs:
            places = find_offsets(theirs, columns)
            disk = WriteBehind(new.fileno(), target.stat().st_size)
            for begin, end, size in _find_parts(ours, theirs, columns, rows):
                disk.copy(old.fileno(), begin, size, end)
            started = float(ours["started"][()])
        with open_afresh(target) as theirs:
            ragged = RaggedColumns(contents.ragged.values(), new.fileno(), theirs, rows)
        ragged.move_together()
        facts: dict[str, np.ndarray[Any, Any]] = {
            "committed": np.array([rows], COMMITTED),
            "started": np.array([started], TIME),
            "finished": np.array([finished], TIME),
            "complete": np.array([1], COMPLETE),
        }
        for name, value in facts.items():
            write_at(new.fileno(), places[name] or 0, value.data)
        os.fsync(new.fileno())


def _find_parts(
    ours: Any, theirs: Any, columns: Sequence[Column], rows: int
) -> Iterator[tuple[int, int, int]]:
    """Yield what is copied: from where, to where, and how many bytes."""
    for column in columns:
        if column.value is not None:
            continue
        names = {column.name: rows * column.row_bytes}
        if column.ragged:
            values = ours[column.name]["values"]
            items = int(ours[column.name]["offsets"][rows])
            item_bytes = int(np.prod(values.shape[1:])) * values.dtype.itemsize
            names = {
                f"{column.name}/offsets": (rows + 1) * INDEX.itemsize,
                f"{column.name}/shapes": rows * len(column.shape) * INDEX.itemsize,
                f"{column.name}/values": items * item_bytes,
            }
        for name, size in names.items():
            if size:
                yield ours[name].id.get_offset(), theirs[name].id.get_offset(), size
