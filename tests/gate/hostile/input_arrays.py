"""Arrays that somebody could send, in `.npy` and `.npz`, and sparse ones; and honest ones."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
from gate.hostile.input_case import VALUES, InputCase, Payload, describe, npy, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _pickled(folder: Path, marker: Path) -> Path:
    np.save(folder / "x.npy", np.array([Payload(marker)], object), allow_pickle=True)
    return folder / "x.npy"


def _pickled_fields(folder: Path, marker: Path) -> Path:
    dtype = "[('a', '|O'), ('b', '<f4')]"
    content = npy(describe("(1,)", dtype), pickle.dumps([(Payload(marker), 1.0)]))
    (folder / "x.npy").write_bytes(content)
    return folder / "x.npy"


def _code(folder: Path, marker: Path) -> Path:
    text = f"{{'descr': open({str(marker)!r}, 'w').name, 'fortran_order': False, 'shape': (1, 4)}}"
    (folder / "x.npy").write_bytes(npy(text, bytes(16)))
    return folder / "x.npy"


def _plain_pickle(folder: Path, marker: Path) -> Path:
    (folder / "x.npy").write_bytes(pickle.dumps(Payload(marker)))
    return folder / "x.npy"


def _npy_cases() -> list[InputCase]:
    full = VALUES.tobytes()
    told = {
        "code-deep": (npy("(" * 5000), "expected a .npy array, received something else"),
        "key-unhashable": (npy("{[]: 1}"), "expected a .npy array, received something else"),
        "header-of-4-gb": (npy("{}", length=2**32 - 1), "expected a .npy array"),
        "header-of-100-kb": (npy(" " * 100_000), "expected a .npy array"),
        "shape-huge": (npy(describe("(1000000000000, 4)"), full), "the file is cut short"),
        "shape-beyond-64-bits": (npy(describe(f"({2**70}, 4)"), full), "the file is cut short"),
        "shape-negative": (npy(describe("(-3, 4)"), full), r"of the shape \(-3, 4\)"),
        "shape-both-negative": (npy(describe("(-3, -4)"), full), "of the shape"),
        "shape-of-bools": (npy(describe("(True, 4)"), full[:16]), "of the shape"),
        "axes-many": (npy(describe(str((1,) * 40)), bytes(4)), "of the shape"),
        "dtype-of-2-gb": (npy(describe("(1,)", "'|S2147483647'"), full), "is cut short"),
        "dtype-unknown": (npy(describe("(1,)", "'<q99'"), full), "expected a .npy array"),
        "dtype-of-times": (npy(describe("(1, 4)", "'<M8[s]'"), bytes(32)), "received datetime"),
        "rows-without-values": (
            npy(describe("(1000000000000, 0)")),
            "received 1,000,000,000,000 e",
        ),
        "more-than-told": (npy(describe("(3, 4)"), full + b"more"), "expected 48 bytes of rows"),
        "less-than-told": (npy(describe("(3, 4)"), full[:-1]), "expected 3 rows, received 2"),
        "less-by-columns": (npy(describe("(3, 4)", order="True"), full[:-1]), "is cut short"),
        "nothing": (b"", r"empty one \(0 bytes\)"),
        "gzip": (gzip.compress(full), "received a gzip file"),
    }
    return [
        InputCase(f"npy-{name}", put(*each), said)
        for name, (content, said) in told.items()
        for each in [(content, "x.npy")]
    ]


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


_ARRAY = npy(describe("(3, 4)"), VALUES.tobytes())


def _patch(content: bytes, offset: int, new: bytes) -> bytes:
    """Change what the directory of an archive says of its first member."""
    place = content.index(b"PK\x01\x02") + offset
    return content[:place] + new + content[place + len(new) :]


def _pickled_member(folder: Path, marker: Path) -> Path:
    np.savez(folder / "x.npz", x=np.array([Payload(marker)], object))
    return folder / "x.npz"


def _link_member() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("x.npy")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, _ARRAY)
    return file.getvalue()


def _twice() -> bytes:
    content = _zip(("x.npy", _ARRAY), ("y.npy", _ARRAY))
    return content.replace(b"y.npy", b"x.npy")


def _zeros(shape: str, order: str, size: int) -> Callable[[], bytes]:
    """Make the archive when it is needed: to pack that much takes a second."""
    return lambda: _pack_zeros(shape, order, size)


def _pack_zeros(shape: str, order: str, size: int) -> bytes:
    file = io.BytesIO()
    packed = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open("x.npy", "w") as member:
        member.write(npy(describe(shape, order=order)))
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return file.getvalue()


def _npz_cases() -> list[InputCase]:
    stored = _zip(("x.npy", _ARRAY), method=zipfile.ZIP_STORED)
    packed = _zip(("x.npy", _ARRAY))
    flipped = stored.replace(VALUES.tobytes(), VALUES.tobytes()[:-1] + b"\1")
    other_sum = _patch(packed, 16, b"\0\0\0\0")
    other_sum = other_sum[:14] + b"\0\0\0\0" + other_sum[18:]
    told = {
        "twice": (_twice(), "'x.npy' twice"),
        "encrypted": (_patch(packed, 8, b"\1\0"), "received an encrypted one"),
        "bzip2": (_zip(("x.npy", _ARRAY), method=zipfile.ZIP_BZIP2), "stored or deflated"),
        "lzma": (_zip(("x.npy", _ARRAY), method=zipfile.ZIP_LZMA), "stored or deflated"),
        "parent": (_zip(("../x.npy", _ARRAY)), r"the name '\.\./x.npy'"),
        "absolute": (_zip(("/x.npy", _ARRAY)), "the name '/x.npy'"),
        "link": (_link_member(), "'x.npy', a link"),
        "checksum-stored": (flipped, "its checksum is another"),
        "checksum-deflated": (other_sum, "Bad CRC-32"),
        "size-too-large": (_patch(packed, 24, struct.pack("<I", 1 << 30)), "is said to have"),
        "size-too-small": (_patch(packed, 24, struct.pack("<I", 100)), "Bad CRC-32"),
        "elsewhere": (_patch(stored, 42, struct.pack("<I", 5)), "it isn't where the archive says"),
        "beyond-the-end": (_patch(stored, 42, struct.pack("<I", 1 << 30)), "damaged|can't be read"),
        "directory-cut": (packed[:-30], "received a damaged one"),
        "row-of-400-mb": (_zeros("(1, 104857600)", "False", 400 << 20), "a row of it: expected"),
        "columns-of-400-mb": (_zeros("(26214400, 4)", "True", 400 << 20), "bytes at most, of"),
        "not-an-array": (_zip(("x.npy", b"nothing")), "expected a .npy array"),
        "no-array": (_zip(("x.txt", b"nothing")), "an archive without arrays"),
        "more-than-told": (_zip(("x.npy", _ARRAY + b"more")), "expected 48 bytes of rows"),
    }
    # Masks are packed to a thousandth, too.
    zeros = InputCase(
        "npz-honest-zeros",
        put(_zeros("(2097152, 4)", "False", 32 << 20), "x.npz"),
        None,
        right=np.zeros((6, 4), "f4"),
        settings={"limit": 6},
    )
    return [
        zeros,
        *(
            InputCase(f"npz-{name}", put(content, "x.npz"), said)
            for name, (content, said) in told.items()
        ),
    ]


def _sparse(shape: Any, kind: bytes, **arrays: Any) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _: Path) -> Path:
        np.savez_compressed(
            folder / "x.npz", shape=np.array(shape), format=np.array(kind), **arrays
        )
        return folder / "x.npz"

    return make


def _sparse_cases() -> list[InputCase]:
    one = np.ones(1, "f4")
    three = {"data": np.ones(3, "f4"), "indices": np.arange(3), "indptr": np.arange(4)}
    coo = {"data": one, "row": np.zeros(1, "i4"), "col": np.zeros(1, "i4")}
    told = {
        "ends-huge": (
            ((1, 4), b"csr", {"data": one, "indices": np.zeros(1, "i4"), "indptr": [0, 10**12]}),
            "indptr",
        ),
        "rows-without-values": (((10**12, 4), b"coo", coo), "received 1 for 1,000,000,000,000"),
        "column-negative": (((1, 4), b"coo", {**coo, "col": np.array([-1])}), "indices"),
        "column-beyond": (((1, 4), b"coo", {**coo, "col": np.array([4])}), "indices"),
        "places-between": (((1, 4), b"coo", {**coo, "col": np.array([0.5])}), "indices"),
        "shape-of-floats": (((1.0, np.inf), b"coo", coo), "shape"),
        "shape-negative": (((-1, 4), b"coo", coo), "shape"),
        "shape-of-three": (((1, 1, 4), b"coo", coo), "received shape"),
        "format-unknown": (((3, 4), b"x" * 1000, three), "in the format csr, csc or coo"),
        "values-of-400-mb": (
            ((1, 4), b"csr", {**three, "data": np.zeros(100 << 20, "f4")}),
            "bytes at most, of",
        ),
    }
    return [
        InputCase(f"sparse-{name}", _sparse(*given[:2], **given[2]), said)
        for name, (given, said) in told.items()
    ]


CASES = (
    InputCase("npy-pickled", _pickled, "pickled objects, which are never loaded"),
    InputCase("npy-pickled-fields", _pickled_fields, "never loaded"),
    InputCase("npy-code", _code, "expected a .npy array, received something else"),
    InputCase("npy-plain-pickle", _plain_pickle, "a pickle, which is never loaded"),
    InputCase("npz-pickled", _pickled_member, "never loaded"),
    *_npy_cases(),
    *_npz_cases(),
    *_sparse_cases(),
)
