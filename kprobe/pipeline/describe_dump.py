"""Tell what a dump is, and what was asked for when it was made, from its file alone."""

from __future__ import annotations

from datetime import UTC, datetime
from math import prod
from typing import TYPE_CHECKING, Any

from kprobe.dumps.attributes import is_open_ended, open_json, read_json
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from kprobe.dumps.reader import Dump

# The names of so many samples are told, and those of so many are read at a time.
_NAMED, _READ = 3, 1 << 16
_OF_DATASETS = ("layer", "layer_class", "tensor", "layout", "reduction", "reduction_of")


def recall_job(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Give the settings that make a dump with the same datasets.

    Args:
        path: The dump, which may be one that isn't complete.

    Returns:
        The settings that aren't as they are by default, as `record_job` has them, and the batch
        size; `layers` is None for every layer call.

    Raises:
        DumpError: It can't be read; it was made in Python, from what no command line can name; or
            long ago.
    """
    with open_dump(path) as dump:
        job = read_json(dump.attrs, "job", dict)
        if not {"model", "inputs"} <= job.keys() or "batch_size" not in dump.attrs:
            raise DumpError(f"{dump.path}: doesn't say by what command it was made")
        # What was chosen is part of what the numbers are: other batches, other last bits.
        batch_size = dump.attrs["batch_size"]
    for name in ("model", "inputs"):
        if job[name] is None:
            raise DumpError(
                f"{dump.path}: its {name} came from the memory of a Python program, "
                "which no command can name"
            )
    if not job["inputs"]:
        del job["inputs"]
    return job | {"batch_size": batch_size}


def describe_dump(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tell all that is known of a dump, as what JSON can hold.

    Args:
        path: The dump, which may be one that isn't complete.

    Raises:
        DumpError: It can't be read.
    """
    with open_dump(path) as dump:
        return _describe(dump)


def _describe(dump: Dump) -> dict[str, Any]:
    # Before it is complete, such a dump has as many rows as a file has room for.
    rows = None if is_open_ended(dump.attrs) and not dump.complete else dump.rows
    status = dump.path.stat()
    # Until then it is a large file of holes, too: what lies on the disk is less.
    on_disk = min(status.st_size, 512 * status.st_blocks)
    return {
        "path": str(dump.path),
        "bytes": status.st_size if dump.complete else on_disk,
        "complete": dump.complete,
        "samples": rows,
        "committed": dump.committed,
        "left_out": dump.count_left_out(),
        "first_samples": dump.describe_samples(0, _NAMED)["sample"].tolist(),
        "labels": dump.count_labels(),
        "started": _format_time(dump.started),
        "finished": _format_time(dump.finished) if dump.complete else None,
        "datasets": [_describe_dataset(dump, name, rows) for name in dump.columns],
        **{name: open_json(value) for name, value in dump.attrs.items()},
    }


def _describe_dataset(dump: Dump, name: str, rows: int | None) -> dict[str, Any]:
    dataset = dump[name]
    # Of rows that differ in shape, how many axes they have is known.
    ragged = isinstance(dataset, RaggedRows)
    shape = [rows, *[None] * dataset.shapes.shape[1]] if ragged else list(dataset.shape)
    by_sample = dataset.attrs.get("layout") != "weight"
    if by_sample:
        shape[0] = rows
    return {
        "addresses": list(dataset.attrs["addresses"]),
        "dataset": name,
        "dtype": dataset.dtype.name,
        "shape": shape,
        "bytes": _count_bytes(dataset, dump.committed if by_sample else None),
        **{key: dataset.attrs[key] for key in _OF_DATASETS if key in dataset.attrs},
    }


def _count_bytes(dataset: Any, rows: int | None) -> int:
    """Count the bytes of a number of rows; None for what has no rows."""
    if isinstance(dataset, RaggedRows):
        return dataset.count_bytes(rows or 0)
    return int(
        dataset.nbytes if rows is None else rows * prod(dataset.shape[1:]) * dataset.dtype.itemsize
    )


def describe_samples(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Tell what is known of each committed sample of a dump, one after the other.

    Args:
        path: The dump, which may be one that isn't complete.

    Yields:
        Its number and name, and its label and why it was left out, "" if it wasn't, where the dump
        has them.

    Raises:
        DumpError: It can't be read.
    """
    with open_dump(path) as dump:
        for start in range(0, dump.committed, _READ):
            known = dump.describe_samples(start, start + _READ)
            known.pop("valid", None)
            lists = [values.tolist() for values in known.values()]
            for row, values in enumerate(zip(*lists, strict=True), start):
                yield {"row": row, **dict(zip(known, values, strict=True))}


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
