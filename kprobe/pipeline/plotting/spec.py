"""What may be asked for of pictures."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kprobe.checks import check_choice, check_switch
from kprobe.errors import InputError
from kprobe.pictures.boxes import BOX_FORMATS
from kprobe.pictures.kinds import KINDS
from kprobe.pictures.subject import Look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.pictures.boxes import BoxFormat
    from kprobe.pictures.kinds import Kind

_RANGE = re.compile(r"(-?\d{1,18})?:(-?\d{1,18})?(?::(-?[1-9]\d{0,17}))?")


@dataclass(frozen=True, kw_only=True)
class PlotSpec:
    """What is asked for of pictures.

    Attributes:
        samples: Which samples: numbers of rows, names, or patterns of names; one, or several. None
            for the first one, and of rows of numbers the first ones.
        kind: What tensors are drawn as; None for what fits each.
        channels: Which channels of maps and sequences: numbers, slices, or texts such as "0:16,40";
            None for the most active.
        overlay: The images that the samples were made from, which maps are laid over: a folder, a
            file of an image, or an array in a file, `FILE.npy` or `FILE.npz:KEY`.
        boxes: Draws tensors whose last axis has four numbers as boxes; how they are meant.
        pca: Whether samples are drawn as points, by their first two principal components.

    Raises:
        InputError: Any of these is of another kind; it lists all that are.
    """

    samples: Any = None
    kind: Kind | None = None
    channels: Any = None
    overlay: str | os.PathLike[str] | None = None
    boxes: BoxFormat | None = None
    pca: bool = False

    def __post_init__(self) -> None:
        """Check all fields, and bring them to their types."""
        faults = [
            *self._check_list("samples", _read_sample),
            *self._check_list("channels", _read_channels),
            *check_choice("kind", self.kind, (*KINDS, None)),
            *check_choice("boxes", self.boxes, (*BOX_FORMATS, None)),
            *check_switch("pca", self.pca),
        ]
        if self.overlay is not None:
            try:
                object.__setattr__(self, "overlay", os.fspath(self.overlay))
            except TypeError:
                faults.append(f"overlay: expected a path, received {self.overlay!r}")
        if not faults:
            faults += self._check_together()
        if faults:
            raise InputError(*faults)
        if self.boxes is not None:
            object.__setattr__(self, "kind", "boxes")

    @property
    def look(self) -> Look:
        """What concerns each picture by itself."""
        return Look(kind=self.kind, channels=self.channels, boxes=self.boxes)

    def find_model_fault(self) -> InputError | None:
        """Tell what can't be drawn of a model without a dump; None if all can."""
        if not self.pca:
            return None
        return InputError(
            "components are of all samples: expected a dump, received a model",
            hint="`kprobe dump` makes one",
        )

    def _check_list(self, name: str, read: Any) -> Iterator[str]:
        given = getattr(self, name)
        if given is None:
            return
        several = given if isinstance(given, list | tuple | range) else [given]
        found = []
        for each in several:
            try:
                found += read(each)
            except (TypeError, ValueError) as error:
                yield f"{name}: {error}"
        if not several:
            yield f"{name}: expected one or more, received none"
        object.__setattr__(self, name, found)

    def _check_together(self) -> Iterator[str]:
        if self.boxes is not None and self.kind not in (None, "boxes"):
            yield f"boxes: expected no other kind, received {self.kind!r}"
        if self.kind == "boxes" and self.boxes is None:
            yield f"kind: expected boxes, too, for boxes: one of {', '.join(BOX_FORMATS)}"
        others = [
            n for n in ("samples", "kind", "channels", "overlay") if getattr(self, n) is not None
        ]
        if self.pca and others:
            yield f"pca: shows all samples as points; expected no {', '.join(others)}"


def _read_sample(given: Any) -> list[int | str]:
    if isinstance(given, str | Path):
        return [str(given)]
    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise ValueError(f"expected numbers or names of samples, received {given!r}")
    return [index(given)]


def _read_channels(given: Any) -> list[int | slice]:
    if isinstance(given, slice):
        given.indices(1)
        return [given]
    if not isinstance(given, str):
        if isinstance(given, bool) or not hasattr(given, "__index__"):
            raise ValueError(f"expected numbers such as 0:16, received {given!r}")
        return [index(given)]
    found: list[int | slice] = []
    for part in given.split(","):
        if re.fullmatch(r"\s*-?\d{1,18}\s*", part):
            found.append(int(part))
            continue
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"expected numbers such as 0:16 or 3,7, received {given!r}")
        found.append(slice(*(None if text is None else int(text) for text in match.groups())))
    return found
