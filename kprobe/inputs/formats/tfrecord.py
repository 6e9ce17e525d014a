"""Features of `tf.train.Example` in TFRecord files."""

from __future__ import annotations

import functools
import gzip
import os
import struct
import threading
import zlib
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.encoded import EncodedRows
from kprobe.inputs.sources.container import FileContainer
from kprobe.inputs.sources.source import Unfitted
from kprobe.inputs.sources.value_rows import Values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


GZIP_MAGIC = b"\x1f\x8b"

# A record is its length, a checksum of that, the data, and a checksum of those (record_writer.h).
_HEAD = struct.Struct("<QI")
_TAIL = 4  # bytes
_HELD = 64 << 20  # bytes of a record of a small compressed file

_KINDS: dict[str, np.dtype[Any]] = {
    "float_list": np.dtype(np.float32),
    "int64_list": np.dtype(np.int64),
}


def is_tfrecord(start: bytes) -> bool:
    """Tell a TFRecord file by its first 12 bytes, two of which are a checksum of the others."""
    if len(start) < _HEAD.size:
        return False
    _, checksum = _HEAD.unpack_from(start)
    crc = _compute_crc32c(start[:8])
    return bool(checksum == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def is_compressed_tfrecord(path: Path) -> bool:
    """Tell a TFRecord file in gzip."""
    try:
        with gzip.open(path) as file:
            return is_tfrecord(file.read(_HEAD.size))
    except (OSError, EOFError, zlib.error):
        return False


class TfRecordFile(FileContainer):
    """The features of a TFRecord file of `tf.train.Example`.

    Args:
        path: The file, plain or in gzip.
        label: What messages call it.
        identity: What its sources are to report of it; "source" gets the feature appended.

    Raises:
        InputError: It is cut short, or its records are something else.
    """

    def __init__(self, path: Path, label: str, identity: dict[str, Any]) -> None:
        super().__init__(path, label, identity)
        with path.open("rb") as file:
            self._compressed = file.read(2) == GZIP_MAGIC
        self._places, self._lengths = find_records(path, label, compressed=self._compressed)
        records = self._open_records()
        try:
            self._first = _parse(records.fetch(0, 1)[0])
        finally:
            records.close()
        if self._first is None:
            raise InputError(f"{label}: expected records of tf.train.Example, received others")

    def keys(self) -> list[str]:
        """List the features of the first record."""
        return sorted(self._first)

    def open(self, key: str) -> Unfitted:
        """Open a feature, which the first record must have."""
        feature = (self._first or {}).get(key)
        if feature is None:
            raise self.refuse(f"no feature '{key}' in the first record", key)
        identity = self._identify(key)
        rows = _Features if feature.WhichOneof("kind") in _KINDS else _ByteFeatures
        return rows(self._open_records(), key, f"{self.label}:{key}", identity)

    def _open_records(self) -> _Records:
        opened = _CompressedRecords if self._compressed else _Records
        return opened(self._path, self.label, self._places, self._lengths)


class _Records:
    """The records of a file, read at their places."""

    def __init__(
        self,
        path: Path,
        label: str,
        places: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> None:
        self._path = path
        self._label = label
        self._places = places
        self._lengths = lengths
        self._file: Any = self._open()

    def __len__(self) -> int:
        return len(self._places)

    def fetch(self, start: int, stop: int) -> list[bytes]:
        """Give some records."""
        records = []
        places = zip(self._places[start:stop], self._lengths[start:stop], strict=True)
        for row, (place, length) in enumerate(places, start):
            record = self._read(int(place), int(length))
            if len(record) < length:
                raise InputError(
                    f"{self._label}: the file ends in record {row}: it changed while it was read"
                )
            records.append(record)
        return records

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> Any:
        return self._path.open("rb", buffering=0)

    def _read(self, place: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, place)


class _CompressedRecords(_Records):
    """Records read as they come; what lies before is decompressed again."""

    # Images are read ahead by a thread of TensorFlow, and looked at again where one is damaged.
    _lock = threading.Lock()

    def _open(self) -> Any:
        return gzip.open(self._path)

    def _read(self, place: int, length: int) -> bytes:
        try:
            with self._lock:
                self._file.seek(place)
                return bytes(self._file.read(length))
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self._label}: can't be read: {error}") from None


class _OfRecords(Unfitted):
    rows: int

    def __init__(self, records: _Records, key: str, label: str, identity: dict[str, Any]) -> None:
        self._records = records
        self._key = key
        self._identity = identity
        self.label = label
        self.rows = len(records)

    def identity(self) -> dict[str, Any]:
        return self._identity

    def close(self) -> None:
        self._records.close()


class _ByteFeatures(_OfRecords, EncodedRows):
    def fetch(self, start: int, stop: int) -> list[bytes]:
        contents = []
        for record in self._records.fetch(start, stop):
            feature = (_parse(record) or {}).get(self._key)
            contents.append(b"" if feature is None else b"".join(feature.bytes_list.value[:1]))
        return contents


class _Features(_OfRecords, Values):
    def values(self, start: int, stop: int) -> Sequence[npt.NDArray[Any] | str]:
        return [self._read_values(record) for record in self._records.fetch(start, stop)]

    def _read_values(self, record: bytes) -> npt.NDArray[Any] | str:
        features = _parse(record)
        if features is None:
            return "the record is no tf.train.Example"
        if self._key not in features:
            return f"the record has no feature '{self._key}'"
        kind = features[self._key].WhichOneof("kind")
        if kind not in _KINDS:
            return f"expected numbers, received {kind or 'nothing'}"
        values: list[float] = getattr(features[self._key], kind).value
        return np.array(values, dtype=_KINDS[kind])


def find_records(
    path: Path, label: str, *, compressed: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Find where the data of every record begin, and how long they are, in bytes.

    Args:
        path: The file.
        label: What messages call it.
        compressed: Whether it is in gzip; places are those in what it unpacks to.

    Raises:
        InputError: It is damaged, cut short, or unpacks to more than such a file should hold.
    """
    places, lengths = array("q"), array("q")
    place = 0
    stored = path.stat().st_size
    with gzip.open(path) if compressed else path.open("rb") as file:
        size = None if compressed else stored
        while True:
            try:
                file.seek(place)
                head = file.read(_HEAD.size)
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(f"{label}: can't be read: {error}") from None
            if not head:
                break
            has_head = len(head) == _HEAD.size
            length = _HEAD.unpack(head)[0] if has_head else 0
            end = place + _HEAD.size + length + _TAIL
            # In gzip the end is known only when it is reached.
            if not has_head or not is_tfrecord(head) or (size is not None and end > size):
                raise InputError(
                    f"{label}: expected a TFRecord file, and record {len(places)} is damaged or "
                    "cut short"
                )
            # Few bytes unpack to many zeros.
            if compressed and (length > max(_HELD, 16 * stored) or len(places) > stored):
                raise InputError(
                    f"{label}: expected records that fit {stored:,} compressed bytes, received "
                    + (f"one of {length:,}" if length > _HELD else f"more than {len(places):,}"),
                    hint="unpack the file",
                )
            places.append(place + _HEAD.size)
            lengths.append(length)
            place = end
    return np.array(places, np.int64), np.array(lengths, np.int64)


def _parse(record: bytes) -> Any:
    """Give the features of an example by name, or None if it is none."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        return dict(tf.train.Example.FromString(record).features.feature)
    except DecodeError:
        return None


def _compute_crc32c(content: bytes) -> int:
    """Compute the checksum of a few bytes (RFC 3720, appendix B.4)."""
    table, crc = _make_table(), 0xFFFFFFFF
    for byte in content:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


@functools.cache
def _make_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)
