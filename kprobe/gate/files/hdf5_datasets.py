"""What a dataset of an HDF5 file may be, before any of its values is read."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from h5py import h5d, h5s, h5z

from kprobe.gate.files.hdf5_types import describe_type, name_type

# Those of h5py itself.
LZF = 32000
OWN_FILTERS = frozenset({h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, LZF})
# LZ4, Bitshuffle and Zstd of `hdf5plugin`, by the numbers that the HDF Group registered.
DUMP_FILTERS = OWN_FILTERS | {32004, 32008, 32015}
# What packed values may unpack to: some bytes, and so much for each byte that is stored.
UNPACKED, UNPACKED_RATIO = 256 << 20, 32
# Messages of an object header that say where values are, or how they are packed.
EXTERNAL, PACKED = 1 << 0x07, 1 << 0x0B


class BrokenRuleError(ValueError):
    """A rule that an object breaks.

    Args:
        rule: Its name.
        text: What is wrong, to be put behind the name of the object.
    """

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(text)
        self.rule = rule


@dataclass(frozen=True)
class StoredDataset:
    """A dataset as it is stored.

    Attributes:
        path: Where it is in the file, without a slash at the beginning.
        shape: Its shape.
        dtype: The name of numpy's dtype, such as "float32"; "str" for texts of any length, "V2"
            for numbers of two bytes that numpy doesn't know, as bfloat16.
        stored: The bytes that its values take in the file.
        unpacked: The bytes that they take when they are read.
        block: The bytes that one of the blocks takes that are read as a whole; 0 without blocks.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    stored: int
    unpacked: int
    block: int = 0


def measure_dataset(
    dataset: Any, path: str, messages: int, filters: frozenset[int]
) -> StoredDataset:
    """Measure a dataset, of which nothing is read and no other file is opened.

    Args:
        dataset: The dataset, an `h5py.h5d.DatasetID`.
        path: Its path.
        messages: Which messages its header has, a bit for each.
        filters: By which filters it may be packed.

    Raises:
        BrokenRuleError: It breaks a rule.
    """
    # First of all: asked for its shape, HDF5 opens the files that a view is of.
    chunk = None
    plain = dataset.get_offset() is not None and not messages & (EXTERNAL | PACKED)
    packed = False
    if not plain:
        settings = dataset.get_create_plist()
        check_inside(settings)
        chunk = settings.get_chunk() if settings.get_layout() == h5d.CHUNKED else None
        packed = check_filters(settings, filters) > 0
    stored_type = dataset.get_type()
    dtype = name_type(stored_type)
    if dtype is None:
        received = describe_type(stored_type)
        raise BrokenRuleError("hdf5-types", f"expected plain numbers or texts, received {received}")
    space = dataset.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        raise BrokenRuleError("hdf5-types", "has no values")
    shape = space.get_simple_extent_dims()
    width = 16 if dtype == "str" else stored_type.get_size()  # texts are told by their places
    stored = dataset.get_storage_size()
    unpacked, block = prod(shape) * width, 0
    if chunk:
        block = prod(chunk) * width
        unpacked = _count_chunks(dataset, shape, chunk) * block
    if stored != unpacked and not packed:
        raise BrokenRuleError("hdf5-size", f"declares {unpacked:,} bytes, and stores {stored:,}")
    return StoredDataset(path, shape, dtype, stored, unpacked, block)


def check_inside(settings: Any) -> None:
    """Check that values lie in the file itself.

    Args:
        settings: How the dataset was created, an `h5py.h5p.PropDCID`.

    Raises:
        BrokenRuleError: They don't.
    """
    if settings.get_layout() == h5d.VIRTUAL:
        raise BrokenRuleError("hdf5-external", "is a view of other datasets")
    if settings.get_external_count():
        raise BrokenRuleError("hdf5-external", "has its values in other files")


def check_filters(settings: Any, allowed: frozenset[int]) -> int:
    """Check by which filters values are packed, and count them.

    Args:
        settings: How the dataset was created, an `h5py.h5p.PropDCID`.
        allowed: Those that it may have.

    Raises:
        BrokenRuleError: It has another one.
    """
    count: int = settings.get_nfilters()
    for place in range(count):
        if (number := settings.get_filter(place)[0]) not in allowed:
            raise BrokenRuleError(
                "hdf5-filters", f"is packed by filter {number}, which isn't allowed"
            )
    return count


def check_unpacked(name: str, unpacked: int, stored: int) -> None:
    """Check that what is read at once doesn't unpack to far more bytes than are stored.

    Raises:
        ValueError: It does.
    """
    if unpacked > max(stored, UNPACKED + UNPACKED_RATIO * stored):
        raise ValueError(f"{name} unpacks to {unpacked:,} bytes at once")


def _count_chunks(dataset: Any, shape: tuple[int, ...], chunk: tuple[int, ...]) -> int:
    needed = prod(-(-size // across) for size, across in zip(shape, chunk, strict=True))
    if (count := dataset.get_num_chunks()) != needed:
        raise BrokenRuleError(
            "hdf5-size", f"has {count:,} of the {needed:,} blocks that it declares"
        )
    return needed
