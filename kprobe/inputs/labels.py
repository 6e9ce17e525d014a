"""Labels of samples, after the folders that their files lie in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.concatenated import list_parts
from kprobe.inputs.images.files import ImageFiles
from kprobe.inputs.images.rows import ImageRows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kprobe.inputs.sources.source import Source


@dataclass(frozen=True, eq=False)
class Labels:
    """A class for every sample.

    Attributes:
        classes: The names of the classes, sorted.
        indices: The place of each sample's class among them: int32, shape (rows,).
    """

    classes: list[str]
    indices: npt.NDArray[Any]


def read_labels(sources: Iterable[Source]) -> Labels:
    """Take the folders at the top that images lie in as their classes.

    Raises:
        InputError: There is no folder of images, an image lies in no folder of a class, or
            several folders of images give several labels.
    """
    labeled = {}
    for source in sources:
        parts = list_parts(source)
        images = [part.images for part in parts if isinstance(part, ImageRows)]
        folders = [each for each in images if isinstance(each, ImageFiles)]
        if len(folders) == len(parts):
            labeled[source.label] = [name for folder in folders for name in folder.classes()]
    if not labeled:
        raise InputError("labels from folders: expected a folder of images, received none")
    (label, names), *others = labeled.items()
    for other, its_names in others:
        if its_names != names:
            raise InputError(
                f"labels from folders: {label} and {other} give some samples different labels"
            )
    classes, indices = np.unique(np.array(names), return_inverse=True)
    return Labels(classes.tolist(), indices.astype(np.int32))
