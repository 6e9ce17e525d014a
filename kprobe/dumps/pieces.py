"""Batches of rows on their way to the file: checked, and cut into pieces for the threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kprobe.dumps.layout import Column
    from kprobe.dumps.ragged import RaggedWriter

# The bytes that one thread writes at a time. Measured on ext4 with two cores, 1 GiB in batches of
# 16 MiB, medians of 7 noisy runs: 2 threads with 4 MiB 5.0 GB/s, with 1 MiB 4.5, with 16 MiB 3.3;
# 1 thread with 4 MiB 3.4; h5py 1.2.
_PIECE = 4 << 20


def as_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    """Take what came for a column: an array, or anything with the buffer protocol.

    Raises:
        DumpError: It is neither.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError, BufferError) as error:
        raise DumpError(
            f"{name}: expected an array, and {type(value).__name__} came: {error}"
        ) from error


def check_columns(
    arrays: Mapping[str, np.ndarray[Any, Any]],
    ragged: Mapping[str, Sequence[np.ndarray[Any, Any]]],
    columns: Mapping[str, Column],
    ragged_columns: Mapping[str, RaggedWriter],
) -> tuple[int, list[str]]:
    """Check what came for the columns of a dump.

    Args:
        arrays: By column an array.
        ragged: By ragged column an array for each row.
        columns: The columns of the first kind.
        ragged_columns: Those of the second.

    Returns:
        How many rows it has, and what is wrong with it, a line each.

    Raises:
        DumpError: It is for other columns.
    """
    if arrays.keys() != columns.keys() or ragged.keys() != ragged_columns.keys():
        raise DumpError(
            f"expected the columns {', '.join([*columns, *ragged_columns])}, "
            f"and {', '.join([*arrays, *ragged])} came"
        )
    first = next(iter(arrays.values()), np.empty(0))
    rows = first.shape[0] if first.ndim else 0
    if not arrays:
        rows = max(map(len, ragged.values()), default=0)
    faults = []
    for name, parts in ragged.items():
        fault = ragged_columns[name].find_fault(parts)
        faults += [fault] if fault else []
        if len(parts) != rows:
            faults.append(f"{name}: expected {rows} rows, and {len(parts)} came")
    for name, array in arrays.items():
        column = columns[name]
        if array.dtype != column.dtype or array.shape != (rows, *column.shape):
            faults.append(
                f"{name}: expected {column.dtype} of shape {(rows, *column.shape)}, "
                f"and {array.dtype} of shape {array.shape} came"
            )
        elif not array.flags.c_contiguous:
            faults.append(f"{name}: expected a C-contiguous array, and another came")
    return rows, faults


def cut(
    start: int,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    columns: Mapping[str, Column],
    offsets: Mapping[str, int | None],
) -> Iterator[tuple[int, memoryview]]:
    """Yield byte offsets and the bytes to be written there, a piece at most.

    Args:
        start: The row of the batch's first sample.
        arrays: By column an array that fits.
        columns: The columns.
        offsets: The byte offset of each in the file; None where it takes none.
    """
    for name, array in arrays.items():
        offset = offsets[name]
        if offset is None or not array.nbytes:
            continue
        offset += start * columns[name].row_bytes
        content = array.reshape(-1).view(np.uint8).data
        begin = 0
        while begin < content.nbytes:
            # They end at multiples in the file, so that few pages are written to by two threads.
            end = begin + _PIECE - (offset + begin) % _PIECE
            yield offset + begin, content[begin:end]
            begin = end


def share_out(pieces: Iterable[tuple[int, memoryview]]) -> Iterator[list[tuple[int, memoryview]]]:
    """Yield lists of pieces, each about one piece's bytes, since a task has a cost of its own."""
    task: list[tuple[int, memoryview]] = []
    size = 0
    for offset, content in pieces:
        task.append((offset, content))
        size += content.nbytes
        if size >= _PIECE:
            yield task
            task, size = [], 0
    if task:
        yield task
