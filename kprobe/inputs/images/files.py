"""Files that hold an image each: their names, what is read of them, and why they can't be."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.gate.opened import open_file
from kprobe.gate.rules import Fault
from kprobe.inputs.images.bounds import find_excess, find_largest, keep_first_frame
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
_READ_TOGETHER = 16
_READ_BYTES = 32 << 20
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

    def contents(self, start: int, most: int | None) -> tf.data.Dataset:
        """Give the content of each file from one on; nothing of what mustn't be decoded."""
        import tensorflow as tf

        paths = [os.fsencode(self._path(row)) for row in range(start, self.rows)]

        def read(some: npt.NDArray[Any]) -> npt.NDArray[Any]:
            contents = np.empty(len(some), object)
            contents[:] = [self._read(os.fsdecode(path), most)[0] for path in some]
            return contents

        # Calling Python for one at a time was measured to cost 15 % of the processor's time, and
        # 5 % so.
        batches = tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string)).batch(
            self._count_together()
        )
        return batches.map(
            tf.autograph.experimental.do_not_convert(
                lambda some: tf.ensure_shape(
                    tf.numpy_function(read, [some], tf.string, stateful=False), [None]
                )
            ),
            num_parallel_calls=len(os.sched_getaffinity(0)),  # a disk may take its time
            deterministic=True,
        ).unbatch()

    def headers(self) -> Iterator[ImageHeader]:
        """Read the header of every image that has one."""
        for row in range(self.rows):
            try:
                opened = open_file(self._path(row))
                if isinstance(opened, Fault):
                    continue
                with open(opened.descriptor, "rb", closefd=False) as file:
                    size = read_header(file)
            except OSError:
                continue
            if size is not None:
                yield size

    def explain(self, row: int, most: int | None) -> str:
        """Tell why an image couldn't be decoded."""
        content, reason = self._read(self._path(row), most)
        return reason or explain_content(content, most)

    def _read(self, path: str | Path, most: int | None) -> tuple[bytes, str]:
        """Read a file.

        Returns:
            What of it may be decoded; and why there is nothing, if it can't be read.
        """
        try:
            opened = open_file(path)
            if isinstance(opened, Fault):
                return b"", opened.text
            if opened.size > (largest := find_largest(most)):
                return b"", f"expected {largest:,} bytes at most, received {opened.size:,}"
            content = opened.read(opened.size)
        except FileNotFoundError:
            return b"", "there is no such file"
        except (OSError, ValueError) as error:
            return b"", f"can't be read: {getattr(error, 'strerror', None) or error}"
        return (
            (b"", excess)
            if (excess := find_excess(content, most))
            else (
                keep_first_frame(content),
                "",
            )
        )

    def _count_together(self) -> int:
        """Choose how many files are read at a time: such as fit memory, by the first of them."""
        size = 1
        for row in range(min(self.rows, _READ_TOGETHER)):
            with contextlib.suppress(OSError, ValueError):
                size = max(size, self._path(row).stat().st_size)
        return max(1, min(_READ_TOGETHER, _READ_BYTES // size))

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


def explain_content(content: bytes, most: int | None) -> str:
    """Tell why an image couldn't be decoded, which may have so many pixels."""
    if not content:
        return "is empty (0 bytes)"
    if excess := find_excess(content, most):
        return excess
    kind = find_kind(content)
    if kind in TENSORFLOW_KINDS:
        return f"the {kind} image is damaged or cut short"
    if kind in PILLOW_KINDS:
        return explain_undecoded(content, kind)
    received = f"one that begins {content[:_SHOWN]!r}" if kind is None else kind
    return f"expected a {EXPECTED} image, received {received}"


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "backslashreplace")
