"""Find faults of a checkpoint of TensorFlow: what its index says of the files of its values.

The index is a sorted table of LevelDB's, without compression, whose values are messages of
tensorflow/core/protobuf/tensor_bundle.proto. The checksums of the values are TensorFlow's to
check, which does so whenever it reads one.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from kprobe.gate.graphs.graph_types import HANDLES, MAX_AXES, STRING, TYPES, count_values
from kprobe.gate.graphs.saved_model_proto import parse
from kprobe.gate.graphs.varint import read_varint
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence
    from typing import Any

MAX_INDEX_BYTES = 2**28
MAX_ENTRIES = 1_000_000
# Keys share what they begin with, so that a few bytes may make a long one.
_LONGEST_KEY = 4096
# tensorflow/core/lib/io/format.h
_FOOTER_BYTES = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER_BYTES = 5
_RULE = "savedmodel-variables"
# What a checkpoint holds beside a model's weights.
TRAINING = re.compile(r"(^|/)(optimizer|save_counter)(/|$)|\.OPTIMIZER_SLOT|^_CHECKPOINTABLE")


class _DamagedError(Exception):
    """The index can't be read."""


def find_index_faults(
    content: bytes, shards: Sequence[int], counts: Counter[str] | None = None
) -> Iterator[Fault]:
    """Find the first fault of a checkpoint's index.

    Args:
        content: The bytes of the index.
        shards: The sizes of the files of values, in their order, in bytes.
        counts: It is told how many arrays of weights there are, and their bytes: "weights" and
            "weight_bytes".
    """
    held = 0
    try:
        entries = _list_entries(content)
        first, value = next(entries, (None, b""))
        if first != b"":
            raise _DamagedError("it has no header")
        header = parse("BundleHeaderProto", value)
        if header.num_shards != len(shards) or header.endianness:
            text = f"has an index of {header.num_shards} files of variables, not of {len(shards)}"
            yield Fault(_RULE, text)
            return
        for count, (key, value) in enumerate(entries):
            if count >= MAX_ENTRIES:
                raise _DamagedError(f"it has more than {MAX_ENTRIES:,} entries")
            entry = parse("BundleEntryProto", value)
            held += max(entry.size, 0)
            if (wrong := _judge(entry, shards)) is not None:
                yield Fault(_RULE, wrong, f"variable {show(key)}")
                return
            if counts is not None and _is_weight(key, entry):
                counts.update(weights=1, weight_bytes=_measure(entry))
    except (_DamagedError, DecodeError, RecursionError) as error:
        reason = str(error) if isinstance(error, _DamagedError) else "an entry can't be read"
        yield Fault(_RULE, f"has a damaged index of its variables: {reason}")
        return
    if held > sum(shards):
        text = f"has variables of {held:,} bytes in files of {sum(shards):,}"
        yield Fault(_RULE, text)


def _judge(entry: Any, shards: Sequence[int]) -> str | None:
    """Say what is wrong with an entry."""
    if entry.dtype in HANDLES:
        return f"is of type {HANDLES[entry.dtype]}, not of values"
    if entry.dtype not in TYPES:
        return f"is of an unknown type, number {entry.dtype}"
    sizes = [dim.size for dim in entry.shape.dim]
    if entry.shape.unknown_rank or min(sizes, default=0) < 0 or len(sizes) > MAX_AXES:
        return "is without a whole shape"
    declared = _measure(entry)
    # What is stored in parts has its values under other keys.
    if entry.slices:
        return "is larger than its files" if declared > sum(shards) else None
    if not 0 <= entry.shard_id < len(shards):
        return f"is in file {entry.shard_id}, which isn't there"
    if min(entry.offset, entry.size) < 0 or entry.offset + entry.size > shards[entry.shard_id]:
        return "lies outside of its file"
    # Of texts, the lengths stand before them, each in a byte at least.
    if entry.dtype == STRING:
        return "has more texts than bytes" if count_values(sizes) > entry.size else None
    if declared != entry.size:
        return f"takes {entry.size:,} bytes, where its shape needs {declared:,}"
    return None


def _measure(entry: Any) -> int:
    return count_values([dim.size for dim in entry.shape.dim]) * TYPES[entry.dtype][0]


def _is_weight(key: bytes, entry: Any) -> bool:
    # A key that begins with a zero is that of a part.
    name = key.decode("utf-8", "replace")
    beside = TRAINING.search(name) or name.startswith("keras_api/metrics/")
    return entry.dtype != STRING and key[:1] != b"\0" and not beside


def _list_entries(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the keys and values of a table, in their order."""
    footer = content[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or footer[-len(_MAGIC) :] != _MAGIC:
        raise _DamagedError("it doesn't end as an index does")
    _, at = _read_handle(footer, 0)
    index, _ = _read_handle(footer, at)
    last = None
    for count, (_, value) in enumerate(_read_block(content, index)):
        if count >= MAX_ENTRIES:
            raise _DamagedError(f"it has more than {MAX_ENTRIES:,} blocks")
        block, _ = _read_handle(value, 0)
        for key, entry in _read_block(content, block):
            if last is not None and key <= last:
                raise _DamagedError("its keys aren't in order")
            last = key
            yield key, entry


def _read_handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Read where a block is and how long, and where what follows begins."""
    start, at = _read_number(content, at)
    size, at = _read_number(content, at)
    return (start, size), at


def _read_number(content: bytes, at: int) -> tuple[int, int]:
    found = read_varint(content, at, len(content))
    if found is None:
        raise _DamagedError("it is cut short")
    return found


def _read_block(content: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    """Give the keys and values of a block."""
    start, size = handle
    if size < 4 or start + size + _TRAILER_BYTES > len(content):
        raise _DamagedError("a block lies outside of it")
    if content[start + size]:
        raise _DamagedError("it is compressed, as TensorFlow doesn't write it")
    # Nothing is copied: many blocks may be said to lie at one place.
    restarts = int.from_bytes(content[start + size - 4 : start + size], "little")
    end = start + size - 4 - 4 * restarts
    if end < start:
        raise _DamagedError("a block is cut short")
    at, key = start, b""
    begins = {0}
    while at < end:
        place = at - start
        shared, at = _read_number(content, at)
        own, at = _read_number(content, at)
        length, at = _read_number(content, at)
        if shared > len(key) or at + own + length > end:
            raise _DamagedError("a key or a value lies outside of its block")
        if shared + own > _LONGEST_KEY:
            raise _DamagedError("a key is longer than any name")
        key = key[:shared] + content[at : at + own]
        at += own
        if not shared:
            begins.add(place)
        yield key, content[at : at + length]
        at += length
    # What looks for a key begins at one of these, and would else find what isn't an entry here.
    places = struct.iter_unpack("<I", content[end : start + size - 4])
    if not begins.issuperset(place for (place,) in places):
        raise _DamagedError("a block hides entries in others")
