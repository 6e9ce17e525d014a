"""Image files: those of a folder, a glob, a list, or a single one."""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.images.header import find_kind, read_header, read_kind
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import tensorflow as tf

    from kprobe.inputs.images.header import ImageHeader

IMAGE_EXTENSIONS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp"}
_NOT_DECODED = {".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl"}


class ImageFiles:
    """Files that hold an image each.

    Args:
        folder: What the names are relative to.
        names: The files, relative to the folder, with "/".
        source: What the user gave.
        kind: What it is: "image", "folder", "glob" or "list".

    Attributes:
        label: What messages call them all.
        rows: How many.
        dtype: The dtype of the names, "S<width>".
        kind: As given.
    """

    def __init__(self, folder: Path, names: Sequence[str], source: str, kind: str) -> None:
        self._folder = folder
        self._names = names
        self._source = source
        self.kind: str | None = kind
        self.label = names[0] if kind == "image" else source
        self.rows = len(names)
        width = max((len(_encode(name)) for name in names), default=1)
        self.dtype = np.dtype(f"S{max(width, 1)}")

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give the names of some files, in UTF-8 of fixed width."""
        return np.array([_encode(name) for name in self._names[start:stop]], self.dtype)

    def identity(self) -> dict[str, Any]:
        """Tell which files they are: a digest of their names, sizes and times."""
        digest = hashlib.sha256()
        size = 0
        latest = 0.0
        for row in range(self.rows):
            try:
                status = self._path(row).stat()
            except OSError:
                digest.update(_encode(self._names[row]) + b"\0missing\n")
                continue
            size += status.st_size
            latest = max(latest, status.st_mtime)
            facts = f"\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(_encode(self._names[row]) + facts.encode())
        return {
            "source": self._source,
            "files": self.rows,
            "bytes": size,
            "mtime": latest,
            "listing_sha256": digest.hexdigest(),
        }

    def items(self, start: int) -> tf.data.Dataset:
        """Give the path of each file, from one on."""
        import tensorflow as tf

        paths = [os.fsencode(self._path(row)) for row in range(start, self.rows)]
        return tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string))

    def read_item(self, item: tf.Tensor) -> tf.Tensor:
        """Give the content of the file at a path, in a graph of TensorFlow."""
        import tensorflow as tf

        return tf.io.read_file(item)

    def headers(self) -> Iterator[ImageHeader]:
        """Read the header of every image that has one."""
        for row in range(self.rows):
            try:
                with self._path(row).open("rb") as file:
                    size = read_header(file)
            except OSError:
                continue
            if size is not None:
                yield size

    def explain(self, row: int) -> str:
        """Tell why an image couldn't be decoded."""
        try:
            with self._path(row).open("rb") as file:
                return explain_content(file.read(16))
        except FileNotFoundError:
            return "there is no such file"
        except OSError as error:
            return f"can't be read: {error.strerror or error}"

    def close(self) -> None:
        """Nothing is open."""

    def classes(self) -> list[str]:
        """Name for every file the folder at the top that it lies in.

        Raises:
            InputError: One lies in none, or the files aren't those of a folder.
        """
        if self.kind != "folder":
            raise InputError(f"labels from folders: expected a folder, received {self._source}")
        loose = [name for name in self._names if "/" not in name]
        if loose:
            raise InputError(
                f"labels from folders: {list_names(loose)} in {self._source} lies in no folder of "
                "a class"
            )
        return [name.partition("/")[0] for name in self._names]

    def _path(self, row: int) -> Path:
        return self._folder / self._names[row]


def explain_content(start: bytes) -> str:
    """Tell from the first bytes of an image why it couldn't be decoded."""
    if not start:
        return "is empty (0 bytes)"
    kind = find_kind(start)
    if kind is None:
        return f"expected a JPEG, PNG, BMP or GIF image, received one that begins {start!r}"
    return f"the {kind} image is damaged or cut short"


def find_in_folder(folder: Path) -> ImageFiles:
    """Find the images of a folder and of all folders in it, sorted by path.

    Files and folders whose names begin with a full stop aren't looked at. Others are images if
    they are called so (.jpg, ...) or begin so.

    Raises:
        InputError: There are none, or images of kinds that aren't decoded.
    """
    found, foreign = [], []
    for name in _walk(folder):
        extension = Path(name).suffix.lower()
        if extension in IMAGE_EXTENSIONS or (not extension and _is_image(folder / name)):
            found.append(name)
        elif extension in _NOT_DECODED:
            foreign.append(name)
    if foreign:
        raise InputError(
            f"{folder}: expected JPEG, PNG, BMP or GIF images, received also "
            f"{list_names(sorted(foreign))}",
            hint=f"convert them, or take the others alone: '{folder}/**/*.jpg'",
        )
    if not found:
        raise InputError(
            f"{folder}: expected a folder with images, received one without",
            hint="give a folder with JPEG, PNG, BMP or GIF files in it or below",
        )
    found.sort(key=lambda name: name.split("/"))
    return ImageFiles(folder, found, str(folder), "folder")


def is_glob(path: Path) -> bool:
    """Tell whether a path is a pattern, rather than a file of such a name."""
    return glob.has_magic(str(path)) and not os.path.lexists(path)


def find_glob(pattern: Path) -> list[Path]:
    """Find the files that fit a pattern with `*`, `?`, `[...]` and `**`, sorted.

    Raises:
        InputError: There are none.
    """
    found = [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207
    files = sorted(path for path in found if path.is_file())
    if not files:
        raise InputError(
            f"{pattern}: expected files, received a pattern that none fits",
            hint="check it: `**` also looks into folders, `*` doesn't",
        )
    return files


def name_fitting(pattern: Path, files: Sequence[Path]) -> ImageFiles:
    """Take the files that fit a pattern as images, named from where the pattern begins."""
    fixed = []
    for part in pattern.parent.parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    folder = Path(*fixed)
    names = [path.relative_to(folder).as_posix() for path in files]
    return ImageFiles(folder, names, str(pattern), "glob")


def read_list(path: Path) -> ImageFiles:
    """Read a list of images: a path a line, relative to the list's own folder.

    Raises:
        InputError: It isn't text, or no path is in it.
    """
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected a list of image files, received no text: {error}"
        ) from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: expected a list of image files, a path a line, received none")
    return ImageFiles(path.parent, names, str(path), "list")


def _walk(folder: Path) -> Iterator[str]:
    """Yield the files in a folder and below, links followed, but none round in a circle."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = os.stat(parent)  # noqa: PTH116 (a text, as os.walk gives it)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = Path(parent).relative_to(folder).as_posix()
        for name in files:
            if not name.startswith("."):
                yield name if prefix == "." else f"{prefix}/{name}"


def _is_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return read_kind(file) is not None
    except OSError:
        return False


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "backslashreplace")
