"""HDF5 files whose bytes are damaged, or lie otherwise than Keras lays them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
from gate.hostile.case import Case
from gate.hostile.hdf5_files import case, fill_whole, nothing, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _have_many_groups(file: Any, _folder: Path) -> None:
    for number in range(20):
        file.create_group(f"extra{number}")


def stop_heap(content: bytearray) -> None:
    """Let the last part of a heap of texts, which is free, take no bytes: its end is never met."""
    heap = content.index(b"GCOL")
    at = heap + 16
    while number := int.from_bytes(content[at : at + 2], "little"):
        assert number
        at += 16 + (int.from_bytes(content[at + 8 : at + 16], "little") + 7) // 8 * 8
    content[at + 8 : at + 16] = bytes(8)


def break_index(content: bytearray) -> None:
    """Break the checksum of the names of a group with many of them."""
    content[content.index(b"BTLF") + 10] ^= 0xFF


def _put_behind(content: bytearray) -> None:
    content += b"PK\3\4" + bytes(100)


def _cut(content: bytearray) -> None:
    del content[len(content) // 2 :]


def _make_with(settings: Callable[[Any], object]) -> Callable[[Path, Path], Path]:
    """Make a file whose settings h5py doesn't name."""

    def make(folder: Path, _marker: Path) -> Path:
        creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
        settings(creation)
        path = folder / "model.h5"
        opened = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fcpl=creation)
        with h5py.File(opened) as file:
            fill_whole(file)
        return path

    return make


CASES = (
    case("user-block", nothing, "hdf5-layout", userblock_size=512),
    case("more-behind", nothing, "hdf5-layout", patch=_put_behind),
    case("pages", nothing, "hdf5-layout", fs_strategy="page"),
    case("another-driver", nothing, "hdf5-layout", patch=write(48, bytes(8))),
    case("another-base", nothing, "hdf5-layout", patch=write(24, b"\x08")),
    case("unknown-version", nothing, "hdf5-layout", patch=write(8, b"\x07")),
    Case("hdf5-short-addresses", _make_with(lambda made: made.set_sizes(4, 4)), "hdf5-layout"),
    case("heap-without-end", nothing, "hdf5-damaged", patch=stop_heap, source="hangs HDF5 1.14.6"),
    case(
        "broken-index",
        _have_many_groups,
        "hdf5-damaged",
        patch=break_index,
        source="ends the process in HDF5 1.14.6",
        track_order=True,
    ),
    case("cut", nothing, "hdf5-damaged", patch=_cut),
    case("root-elsewhere", nothing, "hdf5-damaged", patch=write(64, b"\0\1")),
)
