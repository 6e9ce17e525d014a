"""Labels of samples, after the folders that their files lie in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.image_files import ImageFiles
from kprobe.inputs.images import ImageRows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kprobe.inputs.source import Source


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
    folders = [
        source.images
        for source in sources
        if isinstance(source, ImageRows) and isinstance(source.images, ImageFiles)
    ]
    if not folders:
        raise InputError("--labels-from-folders expects a folder of images, received none")
    names = folders[0].classes()
    for other in folders[1:]:
        if other.classes() != names:
            raise InputError(
                f"--labels-from-folders: {folders[0].label} and {other.label} give some samples "
                "different labels"
            )
    classes, indices = np.unique(np.array(names), return_inverse=True)
    return Labels(classes.tolist(), indices.astype(np.int32))
