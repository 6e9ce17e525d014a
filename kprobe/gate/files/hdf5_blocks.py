"""Whether the blocks of a dataset unpack to as many bytes as HDF5 takes from them.

HDF5 1.14.6 doesn't look: of a block that unpacks to fewer it reads what lies behind it in memory,
which then stands among the values, or ends the process.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from h5py import h5z

from kprobe.gate.files.hdf5_datasets import LZF, BrokenRuleError

if TYPE_CHECKING:
    from kprobe.hdf5 import Section

_CHECKSUM = 4  # bytes, behind what it is of
_SAME_SIZE = {h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}


def check_blocks(dataset: Any, block: int, file: Section | None) -> None:
    """Check all blocks of a dataset; each that is packed is unpacked by itself.

    Args:
        dataset: The dataset, an `h5py.h5d.DatasetID`, whose filters are those of h5py itself.
        block: The bytes that a block takes when it is unpacked.
        file: The file; None for leaving out blocks that are packed, which may be by any filter.

    Raises:
        BrokenRuleError: One takes fewer or more, or can't be unpacked.
    """
    settings = dataset.get_create_plist()
    filters = [settings.get_filter(place) for place in range(settings.get_nfilters())]
    numbers = [each[0] for each in filters]
    if len(set(numbers)) < len(numbers) or len(set(numbers) - _SAME_SIZE) > 1:
        raise BrokenRuleError("hdf5-filters", "is packed twice")
    for number, _, values, _ in filters:
        # How much room h5py makes for what it unpacks.
        if number == LZF and (len(values) < 3 or values[2] != block):
            raise BrokenRuleError("hdf5-filters", "is packed by LZF for blocks of another size")
    blocks: list[tuple[int, int, int]] = []

    def note(info: Any) -> None:
        blocks.append((info.byte_offset, info.size, info.filter_mask))

    dataset.chunk_iter(note)
    for place, size, left_out in blocks:
        used = [n for k, n in enumerate(numbers) if not left_out >> k & 1]
        if set(used) <= _SAME_SIZE:
            found = size - _CHECKSUM * (h5z.FILTER_FLETCHER32 in used)
        elif file is None:
            continue
        else:
            found = _unpack(file.read_at(place, size), used, block)
        if found != block:
            text = f"has a block of {found:,} bytes in the place of {block:,}"
            raise BrokenRuleError("hdf5-size", text)


def _unpack(content: bytes, used: list[int], block: int) -> int:
    """Count the bytes that a block unpacks to, or more than `block` of one that is larger."""
    behind = used[next(k for k, number in enumerate(used) if number not in _SAME_SIZE) + 1 :]
    if h5z.FILTER_FLETCHER32 in behind:
        content = content[:-_CHECKSUM]
    elif h5z.FILTER_FLETCHER32 in used:  # of what isn't packed yet
        block += _CHECKSUM
    if LZF in used:
        found = _measure_lzf(content)
    else:
        stream = zlib.decompressobj()
        try:
            found = len(stream.decompress(content, block + 1))
        except zlib.error as error:
            raise BrokenRuleError("hdf5-size", f"has a block that isn't gzip: {error}") from None
    inner = h5z.FILTER_FLETCHER32 in used and h5z.FILTER_FLETCHER32 not in behind
    return found - _CHECKSUM * inner


def _measure_lzf(content: bytes) -> int:
    """Measure what LZF unpacks to: runs of bytes, and copies of earlier ones (`lzf_d.c`)."""
    at = found = 0
    while at < len(content):
        control = content[at]
        at += 1
        if control < 32:
            at += control + 1
            found += control + 1
            continue
        length = control >> 5
        if length == 7 and at < len(content):
            length += content[at]
            at += 1
        at += 1
        found += length + 2
    return found if at == len(content) else -1
