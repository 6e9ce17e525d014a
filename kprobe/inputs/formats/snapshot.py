"""Whether a folder is as `tf.data.Dataset.save` writes it: TensorFlow ends the process over others.

It reserves memory for whatever length a record is said to have, and for whatever shape a tensor is.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING

from kprobe.errors import InputError
from kprobe.inputs.formats.tfrecord import find_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_SPEC, _METADATA = "dataset_spec.pb", "snapshot.metadata"
_SHARD = re.compile(r"\d{1,20}/\d{8}\.shard/\d{8}\.snapshot")
_MOST_FACTS = 1 << 20  # bytes of either file that says what the records are
# Fields of SnapshotMetadataRecord (snapshot.proto): which run, when, the version, dtypes, how many
# elements, and whether all are there.
_VERSION, _KNOWN = 4, {2, 3, 4, 5, 6, 1000}
_PLAIN_RECORDS = 2
# Fields of TensorProto (tensor.proto), and of the shape in it (tensor_shape.proto).
_SHAPE, _AXIS, _SIZE = 2, 2, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_READ = 64  # bytes, which hold a field's tag and length, or a shape of a few axes
_MOST_FIELDS = 64
_MOST_SHAPE = 4096
# A value takes half a byte of a record at least; one may stand for all, and then it is refused.
_MOST_VALUES = 8


def check_snapshot(folder: Path, names: Iterable[str], label: str) -> None:
    """Check that the files of a saved dataset are whole, and hold what they say.

    Args:
        folder: The folder.
        names: All files in it, relative to it.
        label: What messages call it.

    Raises:
        InputError: They don't, or are others than `save` writes without compression.
        OSError: One can't be read.
    """
    fault = f"{label}: expected what tf.data.Dataset.save writes without compression, received "
    for name in names:
        path = folder / name
        if not path.is_file():
            raise InputError(f"{fault}{name!r}, which is no file")
        if name in (_SPEC, _METADATA):
            if path.stat().st_size > _MOST_FACTS:
                raise InputError(f"{fault}a {name} of {path.stat().st_size:,} bytes")
        elif not _SHARD.fullmatch(name):
            raise InputError(f"{fault}a file {name!r}")
        elif not _holds_tensors(path, f"{label}/{name}"):
            raise InputError(f"{fault}tensors in {name} that are larger than it")
    if not _is_plain(folder / _METADATA):
        raise InputError(f"{fault}another version in {_METADATA}")


def _is_plain(path: Path) -> bool:
    """Tell whether metadata are those of plain records."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    try:
        fields = list(_walk_in(content))
    except ValueError:
        return False
    versions = [value for field, kind, value, _ in fields if (field, kind) == (_VERSION, _VARINT)]
    return versions == [_PLAIN_RECORDS] and {field for field, *_ in fields} <= _KNOWN


def _holds_tensors(path: Path, label: str) -> bool:
    """Tell whether each record is a tensor of no more values than its bytes can say."""
    places, lengths = find_records(path, label, compressed=False)
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return all(
            _fits(file, int(place), int(length))
            for place, length in zip(places, lengths, strict=True)
        )
    finally:
        os.close(file)


def _fits(file: int, begin: int, length: int) -> bool:
    sizes: list[int] = []
    try:
        for field, kind, value, place in _walk(
            lambda place: os.pread(file, min(_READ, length - place), begin + place), length
        ):
            if (field, kind) != (_SHAPE, _BYTES):
                continue
            if value > _MOST_SHAPE:
                return False
            sizes += _read_sizes(os.pread(file, value, begin + place))
    except ValueError:
        return False
    return min(sizes, default=1) >= 0 and math.prod(sizes) <= _MOST_VALUES * length


def _read_sizes(shape: bytes) -> Iterator[int]:
    for field, kind, value, place in _walk_in(shape):
        if (field, kind) == (_AXIS, _BYTES):
            inner = _walk_in(shape[place : place + value])
            yield sum(size for field, kind, size, _ in inner if (field, kind) == (_SIZE, _VARINT))
        elif field == _AXIS:
            raise ValueError


def _walk_in(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    return _walk(lambda place: content[place : place + _READ], len(content))


def _walk(read: Callable[[int], bytes], length: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the fields of a message of protobuf, without what is in them.

    Args:
        read: Gives the bytes at a place.
        length: How many there are.

    Yields:
        The number of each field, its kind, its value, or how many bytes it has, and where these
        begin.

    Raises:
        ValueError: It is no message, or has many fields.
    """
    place = 0
    for _ in range(_MOST_FIELDS):
        if place == length:
            return
        head = read(place)
        tag, used = _read_varint(head, 0)
        kind, value = tag & 7, 0
        if kind in (_VARINT, _BYTES):
            value, used = _read_varint(head, used)
        begin = place + used
        place = begin + {_VARINT: 0, _BYTES: value, _FIXED64: 8, _FIXED32: 4}.get(kind, length + 1)
        if place > length:
            break
        yield tag >> 3, kind, value, begin
    raise ValueError


def _read_varint(content: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    for byte in content[place : place + 10]:
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place
    raise ValueError
