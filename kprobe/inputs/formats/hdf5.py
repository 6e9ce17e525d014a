"""Arrays in an HDF5 file, of kprobe's own dumps too."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from kprobe.errors import Hint, InputError, Setting
from kprobe.gate.files.hdf5_datasets import BrokenRuleError
from kprobe.gate.files.hdf5_header import UnreadableError
from kprobe.gate.files.hdf5_texts import AttributeSizes, Heaps
from kprobe.hdf5 import open_for_reading, read_beside
from kprobe.inputs.formats.hdf5_inside import check_values, find_inside, lies_inside
from kprobe.inputs.formats.npy_header import check_plain
from kprobe.inputs.formats.ragged_group import RaggedRows
from kprobe.inputs.sources.container import FileContainer
from kprobe.inputs.sources.source import Source
from kprobe.ragged_layout import is_ragged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kprobe.hdf5 import Section

_CACHE_LIMIT = 512 << 20  # bytes


class Hdf5File(FileContainer):
    """The datasets of an HDF5 file.

    Args:
        path: The file.
        label: What messages call it.
        identity: What its sources are to report of it; "source" gets the dataset's path appended.
        external: Whether values may lie in other files that it names.

    Raises:
        InputError: If the file can't be opened.
    """

    def __init__(
        self, path: Path, label: str, identity: dict[str, Any], *, external: bool = False
    ) -> None:
        super().__init__(path, label, identity)
        self._external = external
        self._keys: list[str] | None = None
        with self._open_file():
            pass

    def keys(self) -> list[str]:
        """List by path what has rows; the scales of axes aren't samples."""
        if self._keys is None:
            found: list[str] = []

            def note(name: str, thing: Any) -> None:
                _check_layout(thing, sizes)
                if not self._external and not lies_inside(thing):
                    found.append(name)  # what it is says who opens it
                    return
                if is_ragged(thing):
                    found.append(name)
                if not isinstance(thing, h5py.Dataset) or not thing.shape or thing.is_scale:
                    return
                if not is_ragged(thing.parent):
                    found.append(name)

            with self._open_file() as file, self._explained(""):
                sizes = AttributeSizes(file, self._path)
                file.visititems(note)
            self._keys = found
        return self._keys

    def open(self, key: str) -> Source:
        """Open a dataset, or a group of rows of several shapes, by its path."""
        key = key.strip("/")
        file = self._open_file()
        try:
            with self._explained(key):
                thing = self._find(file, key)
            if is_ragged(thing):
                return RaggedRows(file, thing, f"{self.label}:{key}", self._identify(f"/{key}"))
            if not isinstance(thing, h5py.Dataset):
                kind = "no dataset" if thing is None else "a group, no dataset, at"
                raise self.refuse(f"{kind} '/{key}'", key)
            label = f"{self.label}:{key}"
            with self._explained(key):
                check_values(thing, external=self._external)
            _check_dataset(thing, label, self._path.parent)
            identity = self._identify(f"/{key}")
            # Of another file nothing is known; what is written to here isn't on the disk yet.
            foreign = file.mode == "r" and not self._external
            content = read_beside(file, self._path) if foreign else None
            return _Hdf5Rows(file, thing, label, identity, content)
        except BaseException:
            file.close()
            raise

    def _find(self, file: h5py.File, key: str) -> Any:
        """Find what a key leads to, with the parts that it is read by; None for nothing."""
        thing = file.get(key) if self._external and key else find_inside(file, key)
        if thing is None:
            return None
        _check_layout(thing, AttributeSizes(file, self._path))
        if is_ragged(thing):
            for name in ("values", "offsets", "shapes"):
                part = thing.get(name) if self._external else find_inside(file, f"{key}/{name}")
                if isinstance(part, h5py.Dataset):
                    check_values(part, external=self._external)
        return thing

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        """Say what of the file is refused, and by what it would be allowed."""
        label = f"{self.label}:{key}" if key else self.label
        try:
            yield
        except BrokenRuleError as error:
            outside = error.rule in ("hdf5-links", "hdf5-external")
            hint = Hint("allow that with ", Setting("allow", "external")) if outside else None
            raise InputError(f"{label}: {error}", hint=hint) from None
        except (ValueError, OSError, RuntimeError) as error:
            raise InputError(f"{label}: can't be read: {error}") from None

    def _open_file(self) -> h5py.File:
        try:
            return open_for_reading(self._path)
        except OSError as error:
            raise InputError(
                f"{self.label}: expected an HDF5 file, received one that can't be opened ({error})"
            ) from None


class _Hdf5Rows(Source):
    def __init__(
        self,
        file: h5py.File,
        dataset: h5py.Dataset,
        label: str,
        identity: dict[str, Any],
        content: Section | None,
    ) -> None:
        self._file = file
        self._identity = identity
        self._content = content
        self._heaps: Heaps | None = None
        self.label = label
        self.rows = int(dataset.shape[0])
        self.shape = tuple(int(axis) for axis in dataset.shape[1:])
        self.dtype = dataset.dtype.newbyteorder("=")
        self._dataset = _cache_chunks(dataset)

    def identity(self) -> dict[str, Any]:
        """Tell the file's name, size and time, and the dataset's path."""
        return self._identity

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows start to stop; HDF5 undoes compression and byte order."""
        rows = np.empty((stop - start, *self.shape), self.dtype)
        if rows.size:
            try:
                if rows.dtype.hasobject:
                    self._check_texts(start, stop)
                self._dataset.read_direct(rows, np.s_[start:stop])
            except (OSError, RuntimeError, UnreadableError) as error:
                raise InputError(
                    f"{self.label}: rows {start} to {stop - 1} can't be read: {error}"
                ) from None
        return rows

    def _check_texts(self, start: int, stop: int) -> None:
        """Check that texts are where they should be, and aren't far more than the file holds.

        Raises:
            UnreadableError: They aren't.
        """
        offset = self._dataset.id.get_offset()
        if offset is None or self._content is None:  # in blocks
            return
        row = 16 * math.prod(self.shape)
        places = self._content.read_at(offset + start * row, (stop - start) * row)
        if self._heaps is None:
            self._heaps = Heaps(self._content)
        if self._heaps.count(places) > len(self._content):
            raise UnreadableError("many texts lie in one place")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _check_layout(thing: Any, sizes: AttributeSizes) -> None:
    """Check what tells rows of several shapes, before it is read."""
    if isinstance(thing, h5py.Group) and h5py.h5a.exists(thing.id, b"layout"):
        sizes.check(thing.id)


def _check_dataset(dataset: h5py.Dataset, label: str, folder: Path) -> None:
    dtype = dataset.dtype
    if dtype.hasobject and h5py.check_string_dtype(dtype) is None:
        raise InputError(
            f"{label}: expected numbers or strings, received a dataset of "
            "references or of arrays of varying length"
        )
    check_plain(dtype, dataset.shape, label)
    if dataset.is_virtual:  # what is missing would read as zeros, without an error
        for part in dataset.virtual_sources():
            if part.file_name != "." and not (folder / part.file_name).is_file():
                raise InputError(
                    f"{label}: a part of this virtual dataset is missing: no file {part.file_name}"
                )


def _cache_chunks(dataset: h5py.Dataset) -> h5py.Dataset:
    """Open a compressed dataset anew so that no chunk is decompressed for more than one batch.

    HDF5 keeps 1 MB of chunks unless told. Images in gzip, batches of 32: chunks of 128 rows are
    read 4.5 times as fast with what is kept here.
    """
    if not dataset.chunks or not dataset.id.get_create_plist().get_nfilters():
        return dataset
    across = [
        math.ceil(size / chunk)
        for size, chunk in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)
    ]
    band = math.prod(dataset.chunks) * dataset.dtype.itemsize * math.prod(across)
    if 2 * band > _CACHE_LIMIT:
        return dataset
    # HDF5 hashes a chunk by its place, the bits of each axis side by side: no two collide here.
    slots = 4 * math.prod(1 << (count - 1).bit_length() for count in across) + 1
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(slots, 2 * band, 1.0)
    file, name = dataset.file, dataset.name
    dataset.id.close()  # while it is open, HDF5 shares it and keeps the cache it has
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))
