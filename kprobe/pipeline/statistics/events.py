"""Statistics as the files of events that TensorBoard reads.

A file is a TFRecord of messages of tensorflow/core/util/event.proto, which are written here by
their numbers: importing TensorFlow for them would take seconds.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.dumps.partial import write_whole
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kprobe.analysis.statistics.summary import TensorSummary

_SCALARS = ("mean", "std", "min", "max", "rms", "zeros", "nan", "inf", "dead", "saturated")
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # how a field is written


def write_events(
    directory: str | os.PathLike[str], tensors: Sequence[TensorSummary], step: int
) -> Path:
    """Write histograms and numbers of tensors for TensorBoard, in a file of their own.

    Args:
        directory: Where TensorBoard looks for a run; it is made if it isn't there.
        tensors: What is known of each.
        step: The step that they are shown at, such as an epoch.

    Returns:
        The file.

    Raises:
        DumpError: The system refuses.
    """
    place = Path(directory)
    now = time.time()
    name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}.{step}"
    path = place / f"{name}.kprobe"
    events = [_double(1, now) + _bytes(3, b"brain.Event:2")]
    for tensor in tensors:
        summary = b"".join(_bytes(1, value) for value in _list_values(tensor))
        events.append(_double(1, now) + _number(2, step) + _bytes(5, summary))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise DumpError(f"{place}: expected a directory, received a file") from None
    except OSError as error:
        raise DumpError(f"{place}: can't be made: {error.strerror or error}") from error
    write_whole(path, b"".join(map(_frame, events)))
    return path


def _list_values(tensor: TensorSummary) -> Iterator[bytes]:
    """Yield the messages of a tensor: a number or a histogram, each under a name."""
    for name in _SCALARS:
        if (number := getattr(tensor, name)) is not None:
            tag = f"{tensor.address}/{name}".encode()
            yield _bytes(1, tag) + _key(2, _FLOAT) + struct.pack("<f", _clip(number))
    histogram = tensor.histogram
    if histogram is None or tensor.mean is None or tensor.l2 is None:
        return
    # Each bucket has the edge above it.
    finite = sum(histogram.counts)
    numbers = (tensor.min, tensor.max, finite, tensor.mean * finite, tensor.l2**2)
    told = b"".join(_double(place, float(n or 0)) for place, n in enumerate(numbers, 1))
    told += _bytes(6, struct.pack(f"<{len(histogram.counts)}d", *histogram.edges[1:]))
    told += _bytes(7, struct.pack(f"<{len(histogram.counts)}d", *histogram.counts))
    yield _bytes(1, f"{tensor.address}/values".encode()) + _bytes(5, told)


def _clip(number: float) -> float:
    """Give a number that float32 can hold."""
    largest = 3.4028234663852886e38
    return min(max(number, -largest), largest)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(number: int) -> bytes:
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    content.append(number)
    return bytes(content)


def _number(field: int, number: int) -> bytes:
    return _key(field, _VARINT) + _varint(number)


def _double(field: int, number: float) -> bytes:
    return _key(field, _DOUBLE) + struct.pack("<d", number)


def _bytes(field: int, content: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(content)) + content


def _frame(content: bytes) -> bytes:
    """Give a record of a TFRecord: its length and content, each with a checksum."""
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    """Give the CRC-32C of bytes (RFC 3720), masked as TFRecord has it."""
    table, crc = _make_table(), 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)


@cache
def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)
