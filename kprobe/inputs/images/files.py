"""Files that hold an image each: their names, what is read of them, and why they can't be."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.images.header import (
    PILLOW_KINDS,
    TENSORFLOW_KINDS,
    find_kind,
    read_header,
)
from kprobe.inputs.images.pillow import explain_undecoded
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import tensorflow as tf

    from kprobe.inputs.images.header import ImageHeader

NAMED = 5  # of what is left out
_SHOWN = 16  # bytes
EXPECTED = "JPEG, PNG, BMP, GIF, WebP or TIFF"


class ImageFiles:
    """Files that hold an image each.

    Args:
        folder: What the names are relative to.
        names: The files, relative to the folder, with "/".
        source: What the user gave.
        kind: What it is: "image", "folder", "glob" or "list".
        left_out: The files beside them that aren't images.

    Attributes:
        label: What messages call them all.
        rows: How many.
        dtype: The dtype of the names, "S<width>".
        kind: As given.
        notes: As `Rows.notes`.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        source: str,
        kind: str,
        left_out: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._names = names
        self._source = source
        self._left_out = len(left_out)
        self.kind: str | None = kind
        self.notes: Sequence[str] = ()
        if left_out:
            among = len(names) + len(left_out)
            self.notes = (
                f"{source}: left out {len(left_out):,} of {among:,} files, which hold no image: "
                f"{list_names(left_out, NAMED)}",
            )
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
        left_out = {"left_out": self._left_out} if self._left_out else {}
        return {
            "source": self._source,
            "files": self.rows,
            **left_out,
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
                return explain_content(file.read())
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


def explain_content(content: bytes) -> str:
    """Tell why an image couldn't be decoded."""
    if not content:
        return "is empty (0 bytes)"
    kind = find_kind(content)
    if kind in TENSORFLOW_KINDS:
        return f"the {kind} image is damaged or cut short"
    if kind in PILLOW_KINDS:
        return explain_undecoded(content, kind)
    received = f"one that begins {content[:_SHOWN]!r}" if kind is None else kind
    return f"expected a {EXPECTED} image, received {received}"


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "backslashreplace")
