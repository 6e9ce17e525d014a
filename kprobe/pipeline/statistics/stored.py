"""Statistics as they are kept in a file, which is whole at every instant: as a run goes on, too."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.statistics.accumulate import Statistics
from kprobe.dumps.attributes import plain, set_attributes
from kprobe.dumps.create import FORMAT
from kprobe.dumps.partial import FileKind, partial_path
from kprobe.dumps.writing.claim import claim
from kprobe.errors import DumpError, KprobeError
from kprobe.hdf5 import open_afresh
from kprobe.models.file import read_model_file
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.statistics.gathered import Gathered

if TYPE_CHECKING:
    import os

    from kprobe.dumps.output import OutputSpec

STATISTICS = FileKind("kprobe statistics", "statistics of kprobe")
# It grows by one when a reader of today would read something wrong, and only then.
STATISTICS_VERSION = 1
# What models are called, also those that aren't there.
_OF_MODELS = (".keras", ".json", ".pb")
_OPEN_ENDED = -1  # the number of samples that nobody knows


def read_kind(path: str | os.PathLike[str]) -> str | None:
    """Give the attribute `format` of a file; None where it is none that HDF5 opens, or has none."""
    try:
        if not Path(path).is_file():
            return None
        with open_afresh(path) as file:
            kind = file.attrs.get("format")
    except Exception:  # HDF5 reports damage in many types
        return None
    return kind if isinstance(kind, str) else None


def is_readable(path: str, *, else_model: bool) -> bool:
    """Tell whether a file is to be read as a dump, or as statistics, rather than run as a model.

    Args:
        path: What was given for it.
        else_model: Whether what is neither is a model for sure, since layers or samples are given.
    """
    if read_kind(path) in (FORMAT, STATISTICS.format):
        return True
    if else_model or Path(path).suffix in _OF_MODELS or ModelSpec(model=path).code is not None:
        return False
    try:
        read_model_file(path)
    except KprobeError:
        return True  # so that what is said of it is that it is no dump
    return False


def write_gathered(path: Path, gathered: Gathered) -> None:
    """Write what was gathered into a file, in place of what is there.

    Raises:
        OSError: The system refuses.
    """
    import h5py

    # The file is locked already, and another process may read what was there before.
    with h5py.File(path, "w", locking=False, libver=("v108", "v108")) as file:
        set_attributes(file, {**gathered.attrs, "format": STATISTICS.format})
        set_attributes(file, {"format_version": STATISTICS_VERSION, "source": gathered.source})
        set_attributes(file, {"uncounted": list(gathered.uncounted)})
        total = _OPEN_ENDED if gathered.total is None else gathered.total
        file["committed"], file["total"] = np.int64(gathered.rows), np.int64(total)
        file["complete"], file["left_out"] = np.uint8(gathered.complete), gathered.left_out
        file["named"] = np.array(list(gathered.names), np.int64)
        names = [name.encode("utf-8", "backslashreplace") for name in gathered.names.values()]
        file["names"] = np.array(names, bytes) if names else np.zeros(0, "S1")
        for number, (address, statistics) in enumerate(gathered.statistics.items()):
            group = file.create_group(f"tensors/{number}")
            set_attributes(group, {"address": address, "weight": address in gathered.weights})
            for name, values in statistics.to_arrays().items():
                group[name] = values


def save_gathered(gathered: Gathered, output: OutputSpec) -> None:
    """Write what was gathered into a file of its own, which has its name when it is whole.

    Raises:
        DumpError: There is a file of that name, which mustn't be replaced, or the system refuses.
    """
    with contextlib.closing(claim(output, STATISTICS)) as claimed:
        try:
            claimed.fill(lambda place: write_gathered(place, gathered))
            claimed.publish()
        except BaseException:
            claimed.remove()
            raise


def read_gathered(path: str | os.PathLike[str]) -> Gathered:
    """Read what was gathered from its file.

    Raises:
        DumpError: There is no such file, it isn't one of statistics, or it has a format newer than
            this version of kprobe reads.
    """
    path = Path(path)
    if not path.is_file():
        partial = partial_path(path)
        hint = f"{partial} holds what was gathered of them" if partial.is_file() else None
        raise DumpError(f"{path}: expected statistics, received no file", hint=hint)
    try:
        with open_afresh(path) as file:
            version = int(file.attrs["format_version"])
            if version > STATISTICS_VERSION:
                raise DumpError(
                    f"{path}: expected statistics in format {STATISTICS_VERSION} at most, "
                    f"received format {version}",
                    hint="it needs a newer version of kprobe",
                )
            return _read(file)
    except (OSError, LookupError, TypeError, ValueError, MemoryError) as error:
        reason = str(error)
        raise DumpError(
            f"{path}: expected statistics, received a damaged file: {reason}"
        ) from error


def _read(file: Any) -> Gathered:
    attrs = {name: plain(value) for name, value in file.attrs.items()}
    own = {name: attrs.pop(name) for name in ("format", "format_version", "source", "uncounted")}
    groups = [file["tensors"][str(number)] for number in range(len(file.get("tensors", ())))]
    named = zip(file["named"][:].tolist(), file["names"][:].tolist(), strict=True)
    total = int(file["total"][()])
    return Gathered(
        source=own["source"],
        statistics={
            group.attrs["address"]: Statistics.from_arrays(
                {name: values[()] for name, values in group.items()}
            )
            for group in groups
        },
        weights=[group.attrs["address"] for group in groups if group.attrs["weight"]],
        rows=int(file["committed"][()]),
        total=None if total == _OPEN_ENDED else total,
        left_out=int(file["left_out"][()]),
        uncounted=list(own["uncounted"]),
        names={row: name.decode() for row, name in named},
        attrs=attrs,
    )
