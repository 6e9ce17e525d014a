"""The images that samples were made from, as maps are laid over them; without TensorFlow."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError
from kprobe.inputs.formats.npz import NpzFile
from kprobe.naming import list_names
from kprobe.pictures.pixels import find_channels, make_pixels
from kprobe.pipeline.photos import fit_image, read_photo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.pictures.colour import Colours
    from kprobe.pictures.subject import Subject

Array = np.ndarray[Any, Any]


_KEYED = re.compile(r"(.+\.npz):(.+)", re.DOTALL)


class SampleImages:
    """Images of samples.

    Args:
        place: A folder, a file of an image, or an array in a file: `FILE.npy`, `FILE.npz:KEY`.
        form: What the model's own images were made into, as a dump tells it: "resize" and "fit".

    Raises:
        InputError: There is no such thing, or it can't be read.
    """

    def __init__(self, place: str, form: Mapping[str, Any] | None = None) -> None:
        self._place = place
        self._form = form or {}
        self._array: Array | None = None
        self._last: tuple[int, Colours] | None = None  # of one sample all tensors want the same
        keyed = _KEYED.fullmatch(place)
        if keyed or Path(place).suffix in (".npy", ".npz"):
            self._array = _open_array(*(keyed.groups() if keyed else (place, None)))
        elif not Path(place).exists():
            raise InputError(f"{place}: no such file or folder")

    def read(self, row: int, name: str) -> Colours:
        """Give the image of a sample, cut or padded as the model's own was.

        Args:
            row: The number of the sample.
            name: Its name, which in a folder is that of a file.

        Returns:
            uint8 of shape (height, width, 1, 3 or 4).

        Raises:
            InputError: There is none, or it can't be read.
            KprobeError: There is no Pillow.
        """
        if self._last is not None and self._last[0] == row:
            return self._last[1]
        if self._array is not None:
            if row >= len(self._array):
                raise InputError(
                    f"{self._place}: expected an image of sample {row}, received "
                    f"{len(self._array)} images"
                )
            values = np.asarray(self._array[row])
            if find_channels(values.shape) is None or not values.size:
                shape = "x".join(map(str, values.shape))
                raise InputError(
                    f"{self._place}: expected images of 1, 3 or 4 channels, received rows "
                    f"of {shape}"
                )
            image = make_pixels(values)
        else:
            path = Path(self._place)
            path = _find_in(path, name) if path.is_dir() else path
            image = read_photo(path)
        size = self._form.get("resize")
        if size:
            image = fit_image(image, str(self._form.get("fit", "stretch")), size)
        self._last = row, image
        return image


def add_image(subject: Subject, images: SampleImages | None) -> Subject:
    """Give what is drawn of one sample its image; anything else stays as it is.

    Raises:
        InputError: There is none, or it can't be read.
        KprobeError: There is no Pillow.
    """
    if images is None or len(subject.samples) != 1:
        return subject
    return replace(subject, image=images.read(*subject.samples[0]))


def _find_in(folder: Path, name: str) -> Path:
    """Find the file of a sample in a folder: by its name, or by the last part of it."""
    for part in (name, Path(name).name):
        path = folder / part
        inside = not Path(part).is_absolute() and ".." not in Path(part).parts
        if inside and path.is_file():
            return path
    raise InputError(f"{folder}: has no file {name!r}")


def _open_array(path: str, key: str | None) -> Array:
    try:
        if not zipfile.is_zipfile(path):
            opened = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(opened, np.ndarray):
                raise InputError(f"{path}: expected an array, received another file")
            return opened
    # Of damage numpy tells in many ways.
    except Exception as error:
        raise InputError(f"{path}: can't be read: {error}") from None
    archive = NpzFile(Path(path), path, {"source": path})
    names = archive.keys()
    if key is None and len(names) == 1:
        key = names[0]
    if key not in names:
        raise InputError(
            f"{path}: expected one of its arrays, {path}:KEY; it has {list_names(names)}"
        )
    return archive.read_whole(key)
