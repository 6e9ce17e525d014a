"""Statistics as they are kept in a file, which is whole at every instant: as a run goes on, too."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.statistics.accumulate import Statistics
from kprobe.dumps.attributes import plain, set_attributes
from kprobe.dumps.create import FORMAT
from kprobe.dumps.partial import FileKind, partial_path
from kprobe.dumps.soundness import Soundness, open_sound
from kprobe.dumps.writing.claim import claim
from kprobe.errors import DumpError, KprobeError, UnsafeModelError
from kprobe.hdf5 import open_afresh
from kprobe.models.file import read_model_file
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.statistics.gathered import Gathered

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Sequence

    from kprobe.dumps.output import OutputSpec

STATISTICS = FileKind("kprobe statistics", "statistics of kprobe")
# It grows by one when a reader of today would read something wrong, and only then.
STATISTICS_VERSION = 1
# What models are called, also those that aren't there.
_OF_MODELS = (".keras", ".json", ".pb")
# What there is of each tensor, joined along the last axis.
_ARRAYS = (
    "state",
    "at_extremes",
    "floats",
    "counts",
    "sketch_keys",
    "sketch_counts",
    "sample_rows",
    "sample_floats",
    "sample_counts",
)
_MOST_JSON = 64 << 20  # bytes, of 400,000 tensors
_OPEN_ENDED = -1  # the number of samples that nobody knows
# What reading raises that meets damage.
_OF_DAMAGE = (
    OSError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    MemoryError,
    RecursionError,
)


def read_kind(path: str | os.PathLike[str]) -> str | None:
    """Give the attribute `format` of a file; None where it is none that HDF5 opens, or has none."""
    try:
        if not Path(path).is_file():
            return None
        with open_sound(path) as file:
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
    except UnsafeModelError:
        return False
    except KprobeError:
        return True  # so that what is said of it is that it is no dump
    return False


def write_gathered(path: Path, gathered: Gathered) -> None:
    """Write what was gathered into a file, in place of what is there.

    Raises:
        OSError: The system refuses.
    """
    import h5py

    # In memory first: where the disk is full, HDF5 fails in many ways, and can't close the file.
    content = io.BytesIO()
    with h5py.File(content, "w", libver=("v108", "v108")) as file:
        set_attributes(file, {**gathered.attrs, "format": STATISTICS.format})
        set_attributes(file, {"format_version": STATISTICS_VERSION, "source": gathered.source})
        set_attributes(file, {"uncounted": list(gathered.uncounted)})
        total = _OPEN_ENDED if gathered.total is None else gathered.total
        file["committed"], file["total"] = np.int64(gathered.rows), np.int64(total)
        file["complete"], file["left_out"] = np.uint8(gathered.complete), gathered.left_out
        file["named"] = np.array(list(gathered.names), np.int64)
        names = [name.encode("utf-8", "backslashreplace") for name in gathered.names.values()]
        file["names"] = np.array(names, bytes) if names else np.zeros(0, "S1")
        _write_tensors(file, gathered)
    path.write_bytes(content.getbuffer())


def _write_tensors(file: Any, gathered: Gathered) -> None:
    """Write the arrays of all tensors behind each other: thousands of small ones take minutes."""
    every = [statistics.to_arrays() for statistics in gathered.statistics.values()]
    weights = set(gathered.weights)
    about = [
        {"address": address, "weight": address in weights, **statistics.settings()}
        for address, statistics in gathered.statistics.items()
    ]
    file["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    sizes = np.zeros((len(every), len(_ARRAYS)), np.int64)
    for place, name in enumerate(_ARRAYS):
        own = {number: arrays[name] for number, arrays in enumerate(every) if name in arrays}
        sizes[list(own), place] = [values.shape[-1] for values in own.values()]
        file[f"arrays/{name}"] = np.concatenate([*own.values()], -1) if own else np.zeros(0)
    file["sizes"] = sizes


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


def read_gathered(
    path: str | os.PathLike[str], choose: Callable[[list[str]], Collection[str]] | None = None
) -> Gathered:
    """Read what was gathered from its file.

    Args:
        path: The file.
        choose: Given the addresses of all tensors, gives those whose statistics are read; None for
            all.

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
            soundness = Soundness(file, path)
            version = int(file.attrs["format_version"])
            if version > STATISTICS_VERSION:
                raise DumpError(
                    f"{path}: expected statistics in format {STATISTICS_VERSION} at most, "
                    f"received format {version}",
                    hint="it needs a newer version of kprobe",
                )
            _check_stored(soundness)
            return _read(file, choose)
    except _OF_DAMAGE as error:
        reason = str(error)
        raise DumpError(
            f"{path}: expected statistics, received a damaged file: {reason}"
        ) from error


def _check_stored(soundness: Soundness) -> None:
    """Check that all that is read lies in the file, and takes no more than it stores.

    Raises:
        ValueError: It doesn't.
    """
    soundness.check_facts("committed", "total", "left_out")
    for name in ("named", "names", "about", "sizes", *(f"arrays/{name}" for name in _ARRAYS)):
        measured = soundness.measure(name)
        if measured is None:
            raise ValueError(f"it has no {name}")
        if name == "about" and measured.unpacked > _MOST_JSON:
            raise ValueError(f"{name} takes {measured.unpacked:,} bytes")


def _read(file: Any, choose: Callable[[list[str]], Collection[str]] | None) -> Gathered:
    attrs = {name: plain(value) for name, value in file.attrs.items()}
    own = {name: attrs.pop(name) for name in ("format", "format_version", "source", "uncounted")}
    named = zip(file["named"][:].tolist(), file["names"][:].tolist(), strict=True)
    total = int(file["total"][()])
    about = json.loads(file["about"][:].tobytes())
    addresses = [entry.pop("address") for entry in about]
    weights = [entry.pop("weight") for entry in about]
    if not all(isinstance(text, str) for text in (own["source"], *addresses)):
        raise ValueError("the source and the addresses aren't texts")
    chosen = set(addresses if choose is None else choose(addresses))
    places = [place for place, address in enumerate(addresses) if address in chosen]
    return Gathered(
        source=own["source"],
        statistics={
            addresses[place]: Statistics.from_arrays(about[place], arrays)
            for place, arrays in zip(places, _read_arrays(file, places), strict=True)
        },
        weights=[
            address for address, is_weight in zip(addresses, weights, strict=True) if is_weight
        ],
        rows=int(file["committed"][()]),
        total=None if total == _OPEN_ENDED else total,
        left_out=int(file["left_out"][()]),
        uncounted=list(own["uncounted"]),
        names={row: name.decode() for row, name in named},
        attrs=attrs,
    )


def _read_arrays(file: Any, places: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Read the arrays of some tensors, of the others nothing.

    Raises:
        ValueError: They aren't as long as the file says.
    """
    sizes = file["sizes"][:]
    ends = np.cumsum(sizes, 0)
    arrays = {name: file[f"arrays/{name}"] for name in _ARRAYS}
    for name, last in zip(_ARRAYS, sizes.sum(0), strict=True):
        if arrays[name].shape[-1] != last:
            raise ValueError(f"{name} has {arrays[name].shape[-1]} values, and not {last}")
    if len(places) == len(sizes):  # at once
        arrays = {name: values[()] for name, values in arrays.items()}
    for place in places:
        yield {
            name: arrays[name][..., end - size : end]
            for name, end, size in zip(_ARRAYS, ends[place], sizes[place], strict=True)
        }
