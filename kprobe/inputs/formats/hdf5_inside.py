"""Where in an HDF5 file a path leads, and whether what is there lies in the file itself."""

from __future__ import annotations

from typing import Any

import h5py
from h5py import h5l

from kprobe.gate.files.hdf5_blocks import check_blocks
from kprobe.gate.files.hdf5_datasets import (
    DUMP_FILTERS,
    BrokenRuleError,
    check_filters,
    check_inside,
    check_unpacked,
)

_MOST_LINKS = 40  # from one name to another, as HDF5 itself follows 16


def find_inside(file: Any, path: str) -> Any:
    """Find an object, without opening another file.

    Args:
        file: The file, an `h5py.File`.
        path: Where it is.

    Returns:
        The object, as h5py has it; None where there is none.

    Raises:
        BrokenRuleError: A link on the way leads to another file.
    """
    thing = file
    parts = path.split("/")[::-1]
    links = 0
    while parts:
        part = parts.pop()
        if part in ("", "."):
            continue
        name = part.encode()
        if not isinstance(thing, h5py.Group) or not thing.id.links.exists(name):
            return None
        kind = thing.id.links.get_info(name).type
        if kind == h5l.TYPE_HARD:
            thing = thing[part]
            continue
        links += 1
        if kind != h5l.TYPE_SOFT:
            raise BrokenRuleError("hdf5-links", "is linked to in another file")
        if links > _MOST_LINKS:
            return None
        target = thing.id.links.get_val(name).decode()
        if target.startswith("/"):
            thing = file
        parts += target.split("/")[::-1]
    return thing


def lies_inside(thing: Any) -> bool:
    """Tell whether the values of an object, if it has some, lie in the file itself."""
    if isinstance(thing, h5py.Dataset):
        try:
            check_inside(thing.id.get_create_plist())
        except BrokenRuleError:
            return False
    return True


def check_values(dataset: Any, *, external: bool) -> None:
    """Check where the values of a dataset lie, and how they are packed.

    Args:
        dataset: The dataset, an `h5py.Dataset`.
        external: Whether they may lie in other files.

    Raises:
        BrokenRuleError: They lie in other files, or are packed by a filter that none may be.
        ValueError: A block unpacks to far more than is stored.
    """
    # First of all: asked for its shape, HDF5 opens the files that a view is of.
    settings = dataset.id.get_create_plist()
    if not external:
        check_inside(settings)
    check_filters(settings, DUMP_FILTERS)
    # What is of any length takes more room in the file than in memory.
    if dataset.chunks and not dataset.dtype.hasobject:
        block = dataset.dtype.itemsize
        for size in dataset.chunks:
            block *= size
        check_unpacked("a block of it", block, dataset.id.get_storage_size())
        check_blocks(dataset.id, block, None)
