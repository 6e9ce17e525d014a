"""Several sources one after another, as if they were one."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.images.rows import ImageRows, Images
from kprobe.inputs.sources.container import Container
from kprobe.inputs.sources.fallible import FallibleSource
from kprobe.inputs.sources.source import Source, Unfitted, fit_rows
from kprobe.inputs.sources.uneven import as_rows, find_common_shape

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput


def join(parts: Sequence[Source | Unfitted | Container], label: str) -> Unfitted | Container:
    """Put sources, or files of several arrays, one after another.

    Args:
        parts: At least one.
        label: What the user gave.

    Raises:
        InputError: They are of both kinds, or one has no known end.
    """
    rows = [part for part in parts if not isinstance(part, Container)]
    containers = [part for part in parts if isinstance(part, Container)]
    if not containers:
        return Joined(rows, label)
    if not rows:
        return _JoinedFiles(containers, label)
    raise InputError(
        f"{label}: expected files of one kind, received arrays without keys such as "
        f"{rows[0].label}, and files of several arrays such as {containers[0].label}"
    )


def list_parts(source: Source) -> list[Source]:
    """Give the sources that were put in a row, down to those that weren't."""
    if not isinstance(source, Concatenated):
        return [source]
    return [inner for part in source.parts for inner in list_parts(part)]


class Joined(Unfitted):
    """Several sources in a row, which must turn out to have rows of one kind.

    Raises:
        InputError: One has no known end.
    """

    def __init__(self, parts: Sequence[Source | Unfitted], label: str) -> None:
        self.parts = list(parts)
        self.label = label
        self.rows: int = sum(_count(part) for part in parts)
        self.replayable = all(part.replayable for part in parts)
        _tell_apart([leaf for part in parts for leaf in _list_leaves(part)])

    def identity(self) -> dict[str, Any]:
        """Tell what every part tells."""
        return {"source": self.label, "parts": [part.identity() for part in self.parts]}

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> Concatenated:
        """Fit every part, and check that they agree.

        Raises:
            InputError: They have several dtypes, or shapes where the input has one, or one can't
                be fitted.
        """
        # One by one: what is fitted is closed with the rest where another can't be.
        for number, part in enumerate(self.parts):
            self.parts[number] = fit_rows(part, model_input, options)
        parts = [part for part in self.parts if isinstance(part, Source)]
        return Concatenated(parts, self.label, None if model_input is None else model_input.shape)

    def close(self) -> None:
        """Close every part."""
        for part in self.parts:
            part.close()


class Concatenated(FallibleSource):
    """The rows of several sources, each named by its own.

    Args:
        parts: The sources.
        label: What the user gave.
        wanted: The shape of the input, batch axis first, None for sizes in which the sources may
            differ; None for a model that doesn't say it.

    Raises:
        InputError: They have several dtypes, or shapes that they may not have.
    """

    def __init__(
        self, parts: Sequence[Source], label: str, wanted: tuple[int | None, ...] | None = None
    ) -> None:
        self.parts = parts
        self.label = label
        self._begins = [0, *accumulate(_count(part) for part in parts)]
        self.rows: int = self._begins[-1]
        self.replayable = all(part.replayable for part in parts)
        self.notes = [note for part in parts for note in part.notes]
        first = parts[0]
        self.dtype = first.dtype
        rank = len(first.shape)
        sizes = (wanted or ())[1:]
        free = {axis for axis, size in enumerate(sizes) if size is None and len(sizes) == rank}
        # What differs within a source may differ between them, as do images that keep their sizes.
        free |= {axis for part in parts for axis, size in enumerate(part.shape) if size == -1}
        if all(isinstance(part, ImageRows) for part in parts):
            free = {*range(rank)}
        for part in parts:
            if part.dtype != first.dtype or not _agree(part.shape, first.shape, free):
                raise InputError(
                    f"{label}: expected samples of one shape and dtype, received "
                    f"{first.shape} {first.dtype} from {first.label} and {part.shape} "
                    f"{part.dtype} from {part.label}"
                )
        self.shape = find_common_shape([part.shape for part in parts])

    def identity(self) -> dict[str, Any]:
        """Tell what every part tells."""
        return {"source": self.label, "parts": [part.identity() for part in self.parts]}

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give the names that the parts give, those of images in a folder behind the folder's."""
        width = max(_name_rows(part, 0, 0).dtype.itemsize for part in self.parts)
        names = [_name_rows(part, first, last) for part, _, first, last in self._split(start, stop)]
        return np.concatenate([np.empty(0, f"S{width}"), *names])

    def salvage(self, start: int, stop: int) -> tuple[npt.NDArray[Any], dict[int, str]]:
        """Read from each part what is asked of it."""
        pieces: list[npt.NDArray[Any]] = []
        faults: dict[int, str] = {}
        for part, begin, first, last in self._split(start, stop):
            if isinstance(part, FallibleSource):
                rows, reasons = part.salvage(first, last)
                faults.update({begin + row: reason for row, reason in reasons.items()})
            else:
                rows = part.read(first, last)
            pieces.append(rows)
        if -1 in self.shape:
            return as_rows([row for rows in pieces for row in rows]), faults
        return np.concatenate([np.empty((0, *self.shape), self.dtype), *pieces]), faults

    def close(self) -> None:
        """Close every part."""
        for part in self.parts:
            part.close()

    def _split(self, start: int, stop: int) -> list[tuple[Source, int, int, int]]:
        """Give the parts that hold rows start to stop: where each begins, and its own rows."""
        pieces = []
        bounds = pairwise(self._begins)
        for part, (begin, end) in zip(self.parts, bounds, strict=True):
            first, last = max(start, begin) - begin, min(stop, end) - begin
            if first < last:
                pieces.append((part, begin, first, last))
        return pieces


def _agree(shape: Sequence[int], other: Sequence[int], free: Collection[int]) -> bool:
    """Tell whether two shapes have the same sizes, but for axes that are free."""
    pairs = enumerate(zip(shape, other, strict=False))
    return len(shape) == len(other) and all(a == b or axis in free for axis, (a, b) in pairs)


def _count(part: Source | Unfitted) -> int:
    # The first rows are looked at before they are read.
    if part.rows is None or not part.replayable:
        why = "has no known end" if part.rows is None else "can be read once"
        raise InputError(f"{part.label} {why}, and can't be put in a row with other sources")
    return part.rows


def _list_leaves(part: Source | Unfitted) -> list[Source | Unfitted]:
    if not isinstance(part, Joined):
        return [part]
    return [leaf for inner in part.parts for leaf in _list_leaves(inner)]


def _tell_apart(leaves: Sequence[Source | Unfitted]) -> None:
    """Call files of one name, in several folders, by their paths."""
    places: dict[str, dict[str, list[Source | Unfitted]]] = {}
    for leaf in leaves:
        # Of folders and the like, whose own names are their paths, all files would be looked at.
        if not isinstance(leaf, Images) or leaf.images.kind == "image":
            place = str(leaf.identity()["source"])
            places.setdefault(leaf.label, {}).setdefault(place, []).append(leaf)
    for by_place in places.values():
        for place, alike in by_place.items() if len(by_place) > 1 else ():
            for leaf in alike:
                leaf.label = place


def _name_rows(part: Source, start: int, stop: int) -> npt.NDArray[np.bytes_]:
    names = part.names(start, stop)
    if not isinstance(part, ImageRows):
        return names
    if part.images.kind == "image":
        return np.array([part.label.encode(errors="backslashreplace")])[start:stop]
    if part.images.kind == "folder":
        folder = np.array(f"{part.label.rstrip('/')}/".encode(errors="surrogateescape"))
        # Added to none, numpy would forget how wide they are.
        width = folder.dtype.itemsize + names.dtype.itemsize
        return np.char.add(folder, names).astype(f"S{width}")
    return names


class _JoinedFiles(Container):
    def __init__(self, files: Sequence[Container], label: str) -> None:
        self._files = files
        self.label = label

    def keys(self) -> list[str]:
        """List the arrays that every file has."""
        first, *others = (file.keys() for file in self._files)
        return [key for key in first if all(key in keys for keys in others)]

    def open(self, key: str) -> Joined:
        """Open the array of that name in each file."""
        opened: list[Source | Unfitted] = []
        try:
            # One by one: those before a fault are closed.
            opened.extend(file.open(key) for file in self._files)
        except BaseException:
            for part in opened:
                part.close()
            raise
        return Joined(opened, f"{self.label}:{key}")

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()
