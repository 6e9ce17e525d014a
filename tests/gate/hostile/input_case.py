"""One set of samples that somebody could send, and what writes it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


IMAGE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)


@dataclass(frozen=True)
class InputCase:
    """Samples, and what becomes of them.

    Attributes:
        name: What the case is called.
        make: Makes them in an empty folder, and returns what is given as `inputs`. It is given the
            path of a marker, too, which a payload makes.
        said: A pattern of what the refusal says; None for samples that must be read.
        model: Which model takes them: "values" of shape (4,), or "images" of 8 x 8.
        right: Of samples that are read, the values.
        settings: How they are read.
    """

    name: str
    make: Callable[[Path, Path], Path | str]
    said: str | None
    model: str = "values"
    right: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)


class Payload:
    """What runs code where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self.marker), "w")


def put(content: bytes | Callable[[], bytes], name: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _: Path) -> Path:
        (folder / name).write_bytes(content() if callable(content) else content)
        return folder / name

    return make


def hole(size: int, name: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.truncate(size)
        return folder / name

    return make


def npy(header: str | bytes, content: bytes = b"", length: int | None = None) -> bytes:
    text = header.encode("latin1") if isinstance(header, str) else header
    text += b"\n"
    told = len(text) if length is None else length
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", told) + text + content


def describe(shape: str, dtype: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}"


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check
