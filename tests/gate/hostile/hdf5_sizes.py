"""HDF5 files that declare more than they store, unpack to too much, or share bytes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from gate.hostile.hdf5_files import (
    CVE_SHAPE,
    UNDEFINED,
    add,
    bias,
    case,
    point_at_long,
    say_everywhere,
    say_in_values,
    say_often,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gate.hostile.hdf5_files import Change


_MEBIBYTE = 1 << 20


def _of_shape(shape: tuple[int, ...], **options: Any) -> Callable[[Any, str, Path], object]:
    return lambda file, name, _folder: file.create_dataset(name, shape, "f4", **options)


def _bomb(packed: bytes, chunk: int, chunks: int) -> Callable[[Any, str, Path], object]:
    """Make a dataset of blocks that are all the same, and packed already."""

    def make(file: Any, name: str, _folder: Path) -> None:
        dataset = file.create_dataset(
            name, (chunk * chunks,), "u1", chunks=(chunk,), compression="gzip"
        )
        for number in range(chunks):
            dataset.id.write_direct_chunk((number * chunk,), packed)

    return make


def _short(packed: bytes, left_out: int = 0, **options: Any) -> Callable[[Any, str, Path], object]:
    """Make a dataset of a block that unpacks to fewer bytes than are read of it."""

    def make(file: Any, name: str, _folder: Path) -> None:
        dataset = file.create_dataset(name, (1000,), "f4", chunks=(1000,), **options)
        dataset.id.write_direct_chunk((0,), packed, left_out)

    return make


def _zip_bomb(file: Any, name: str, folder: Path) -> None:
    packed = zlib.compress(bytes(16 * _MEBIBYTE), 9)
    _bomb(packed, 16 * _MEBIBYTE, 64)(file, name, folder)


def _sparse(file: Any, name: str, _folder: Path) -> None:
    file.create_dataset(name, (1000,), "f4", chunks=(10,))[:10] = 1


def _put_late(count: int) -> Change:
    """Add datasets that have no place in the file yet: `_overlap` gives them one."""

    def change(file: Any, _folder: Path) -> None:
        file["extra/first"] = np.full(65_536, 7, np.float32)
        for number in range(count):
            file.create_dataset(f"extra/{number}", (65_536,), "f4")

    return change


def _overlap(content: bytearray) -> None:
    """Let datasets lie where the first one lies: each takes 256 KB, and together they take none."""
    size = (262_144).to_bytes(8, "little")
    first = content.index(np.full(4, 7, np.float32).tobytes()).to_bytes(8, "little")
    content[:] = content.replace(b"\3\1" + UNDEFINED + size, b"\3\1" + first + size)


def _lie_behind(content: bytearray) -> None:
    size = (262_144).to_bytes(8, "little")
    behind = (len(content) - 1000).to_bytes(8, "little")
    content[:] = content.replace(b"\3\1" + UNDEFINED + size, b"\3\1" + behind + size)


def _declare_less(content: bytearray) -> None:
    """Let a dataset take fewer bytes than its shape needs."""
    first = content.index(np.full(4, 7, np.float32).tobytes()).to_bytes(8, "little")
    stored = b"\3\1" + first + (262_144).to_bytes(8, "little")
    content[:] = content.replace(stored, stored[:10] + (16).to_bytes(8, "little"))


def _nest(file: Any) -> None:
    file.create_group("/".join(["a"] * 300))


def _have_many_attributes(file: Any) -> None:
    for number in range(300):
        file["model_weights"].attrs[f"a{number}"] = number


CASES = (
    case("shape-bomb", bias(_of_shape((10**9, 10**9))), "hdf5-size", source=CVE_SHAPE),
    case(
        "shape-bomb-in-keras",
        bias(_of_shape((50_000_000, 50_000_000), chunks=(100, 100), compression="gzip"), "keras"),
        "hdf5-size",
        kind="keras",
        source=CVE_SHAPE,
    ),
    case(
        "shape-bomb-beyond-64-bits",
        bias(_of_shape((1 << 40, 1 << 40, 1 << 40), chunks=(1, 1, 1))),
        "hdf5-size",
        source=CVE_SHAPE,
    ),
    case("sparse", bias(_sparse), "hdf5-size", source="keras-team/keras#22975"),
    case("gzip-bomb", bias(_zip_bomb), "hdf5-size", source="keras-team/keras#22975"),
    case("short-block", bias(_short(b"ab")), "hdf5-size", source="HDF5 1.14.6 reads on"),
    case("short-gzip", bias(_short(zlib.compress(b"ab"), compression="gzip")), "hdf5-size"),
    case("long-gzip", bias(_short(zlib.compress(bytes(9000)), compression="gzip")), "hdf5-size"),
    case("short-left-out", bias(_short(b"ab", 1, compression="gzip")), "hdf5-size"),
    case("short-shuffle", bias(_short(b"ab", shuffle=True)), "hdf5-size"),
    case(
        "short-checksum",
        bias(_short(b"ab", fletcher32=True)),
        "hdf5-size",
        source="ends the process in HDF5 1.14.6",
    ),
    case("short-lzf", bias(_short(b"\x00a", compression="lzf")), "hdf5-size"),
    case("no-gzip", bias(_short(b"x" * 50, compression="gzip")), "hdf5-size"),
    case("overlapping", _put_late(30), "hdf5-size", patch=_overlap),
    case("behind-the-end", _put_late(1), "hdf5-damaged", patch=_lie_behind),
    case("less-than-its-shape", _put_late(0), "hdf5-size", patch=_declare_less),
    case("one-text-3000-times", say_often, "hdf5-size", patch=point_at_long),
    case("one-text-of-200-groups", say_everywhere, "hdf5-size", patch=point_at_long),
    case("one-text-as-3000-values", say_in_values, "hdf5-size", patch=point_at_long),
    case("attributes", add(_have_many_attributes), "hdf5-size"),
    case("deep", add(_nest), "hdf5-size"),
    case("long-name", add(lambda file: file.create_group("n" * 2000)), "hdf5-size"),
)
