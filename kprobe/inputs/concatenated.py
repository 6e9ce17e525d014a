"""Several sources one after another, as if they were one."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.container import Container
from kprobe.inputs.fallible import FallibleSource
from kprobe.inputs.images import ImageRows
from kprobe.inputs.uneven import as_rows, find_common_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.inputs.image_options import ImageOptions
    from kprobe.inputs.model_input import ModelInput
    from kprobe.inputs.source import Source


def join(parts: Sequence[Source | Container], label: str) -> Source | Container:
    """Put sources, or files of several arrays, one after another.

    Args:
        parts: At least one.
        label: What the user gave.

    Raises:
        InputError: They are of both kinds.
    """
    sources = [part for part in parts if not isinstance(part, Container)]
    containers = [part for part in parts if isinstance(part, Container)]
    if not containers:
        return Concatenated(sources, label)
    if not sources:
        return _ConcatenatedFiles(containers, label)
    raise InputError(
        f"{label}: expected files of one kind, received arrays without keys such as "
        f"{sources[0].label}, and files of several arrays such as {containers[0].label}"
    )


def list_parts(source: Source) -> list[Source]:
    """Give the sources that were put in a row, down to those that weren't."""
    if not isinstance(source, Concatenated):
        return [source]
    return [inner for part in source.parts for inner in list_parts(part)]


class Concatenated(FallibleSource):
    """The rows of several sources, each named by its own.

    Before it can be read, `fit_to` must have been called.
    """

    def __init__(self, parts: Sequence[Source], label: str) -> None:
        self.parts = list(parts)
        self.label = label
        _tell_apart([leaf for part in parts for leaf in list_parts(part)])
        self._begins = [0, *accumulate(part.rows for part in parts)]
        self.rows = self._begins[-1]

    def fit_to(self, model_input: ModelInput, options: ImageOptions) -> Concatenated:
        """Fit every part, and check that they agree.

        Raises:
            InputError: They have several shapes or dtypes, or one can't be fitted.
        """
        self.parts = [part.fit_to(model_input, options) for part in self.parts]
        first = self.parts[0]
        self.shape, self.dtype = first.shape, first.dtype
        if all(isinstance(part, ImageRows) for part in self.parts):
            # Where they keep their sizes, those needn't agree.
            self.shape = find_common_shape([part.shape for part in self.parts])
            return self
        for part in self.parts:
            if (part.shape, part.dtype) != (first.shape, first.dtype):
                raise InputError(
                    f"{self.label}: expected samples of one shape and dtype, received "
                    f"{first.shape} {first.dtype} from {first.label} and {part.shape} "
                    f"{part.dtype} from {part.label}"
                )
        return self

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
        for part, begin in zip(self.parts, self._begins, strict=False):
            first, last = max(start - begin, 0), min(stop - begin, part.rows)
            if first < last:
                pieces.append((part, begin, first, last))
        return pieces


def _tell_apart(sources: Sequence[Source]) -> None:
    """Call files of one name, in several folders, by their paths."""
    places: dict[str, dict[str, list[Source]]] = {}
    for source in sources:
        # Of folders and the like, whose own names are their paths, all files would be looked at.
        if not isinstance(source, ImageRows) or _kind_of(source) == "image":
            told = source.images if isinstance(source, ImageRows) else source
            place = str(told.identity()["source"])
            places.setdefault(source.label, {}).setdefault(place, []).append(source)
    for by_place in places.values():
        for place, alike in by_place.items() if len(by_place) > 1 else ():
            for source in alike:
                source.label = place


def _kind_of(source: ImageRows) -> str | None:
    return getattr(source.images, "kind", None)


def _name_rows(part: Source, start: int, stop: int) -> npt.NDArray[np.bytes_]:
    names = part.names(start, stop)
    if isinstance(part, ImageRows) and _kind_of(part) == "image":
        return np.array([part.label.encode(errors="backslashreplace")])[start:stop]
    if isinstance(part, ImageRows) and _kind_of(part) == "folder":
        folder = np.array(f"{part.label.rstrip('/')}/".encode(errors="surrogateescape"))
        # Added to none, numpy would forget how wide they are.
        width = folder.dtype.itemsize + names.dtype.itemsize
        return np.char.add(folder, names).astype(f"S{width}")
    return names


class _ConcatenatedFiles(Container):
    def __init__(self, files: Sequence[Container], label: str) -> None:
        self._files = files
        self.label = label

    def keys(self) -> list[str]:
        """List the arrays that every file has."""
        first, *others = (file.keys() for file in self._files)
        return [key for key in first if all(key in keys for keys in others)]

    def open(self, key: str) -> Source:
        """Open the array of that name in each file."""
        opened: list[Source] = []
        try:
            # One by one: those before a fault are closed.
            opened.extend(file.open(key) for file in self._files)
        except BaseException:
            for part in opened:
                part.close()
            raise
        return Concatenated(opened, f"{self.label}:{key}")

    def close(self) -> None:
        """Close every file."""
        for file in self._files:
            file.close()
