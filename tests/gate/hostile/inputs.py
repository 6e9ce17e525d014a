"""Files and folders of samples that somebody could send, and honest ones that look odd."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import socket
import struct
import zipfile
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


class _Payload:
    """What runs code where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self.marker), "w")


def _put(content: bytes, name: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _hole(size: int, name: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.truncate(size)
        return folder / name

    return make


# .npy


def _npy(header: str | bytes, content: bytes = b"", length: int | None = None) -> bytes:
    text = header.encode("latin1") if isinstance(header, str) else header
    text += b"\n"
    told = len(text) if length is None else length
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", told) + text + content


def _describe(shape: str, dtype: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': {order}, 'shape': {shape}, }}"


def _pickled(folder: Path, marker: Path) -> Path:
    np.save(folder / "x.npy", np.array([_Payload(marker)], object), allow_pickle=True)
    return folder / "x.npy"


def _pickled_fields(folder: Path, marker: Path) -> Path:
    dtype = "[('a', '|O'), ('b', '<f4')]"
    content = _npy(_describe("(1,)", dtype), pickle.dumps([(_Payload(marker), 1.0)]))
    (folder / "x.npy").write_bytes(content)
    return folder / "x.npy"


def _code(folder: Path, marker: Path) -> Path:
    text = f"{{'descr': open({str(marker)!r}, 'w').name, 'fortran_order': False, 'shape': (1, 4)}}"
    (folder / "x.npy").write_bytes(_npy(text, bytes(16)))
    return folder / "x.npy"


def _plain_pickle(folder: Path, marker: Path) -> Path:
    (folder / "x.npy").write_bytes(pickle.dumps(_Payload(marker)))
    return folder / "x.npy"


def _npy_cases() -> list[InputCase]:
    full = VALUES.tobytes()
    told = {
        "code-deep": (_npy("(" * 5000), "expected a .npy array, received something else"),
        "key-unhashable": (_npy("{[]: 1}"), "expected a .npy array, received something else"),
        "header-of-4-gb": (_npy("{}", length=2**32 - 1), "expected a .npy array"),
        "header-of-100-kb": (_npy(" " * 100_000), "expected a .npy array"),
        "shape-huge": (_npy(_describe("(1000000000000, 4)"), full), "the file is cut short"),
        "shape-beyond-64-bits": (_npy(_describe(f"({2**70}, 4)"), full), "the file is cut short"),
        "shape-negative": (_npy(_describe("(-3, 4)"), full), r"of the shape \(-3, 4\)"),
        "shape-both-negative": (_npy(_describe("(-3, -4)"), full), "of the shape"),
        "shape-of-bools": (_npy(_describe("(True, 4)"), full[:16]), "of the shape"),
        "axes-many": (_npy(_describe(str((1,) * 40)), bytes(4)), "of the shape"),
        "dtype-of-2-gb": (_npy(_describe("(1,)", "'|S2147483647'"), full), "is cut short"),
        "dtype-unknown": (_npy(_describe("(1,)", "'<q99'"), full), "expected a .npy array"),
        "dtype-of-times": (_npy(_describe("(1, 4)", "'<M8[s]'"), bytes(32)), "received datetime"),
        "rows-without-values": (
            _npy(_describe("(1000000000000, 0)")),
            "received 1,000,000,000,000 e",
        ),
        "more-than-told": (_npy(_describe("(3, 4)"), full + b"more"), "expected 48 bytes of rows"),
        "less-than-told": (_npy(_describe("(3, 4)"), full[:-1]), "expected 3 rows, received 2"),
        "less-by-columns": (_npy(_describe("(3, 4)", order="True"), full[:-1]), "is cut short"),
        "nothing": (b"", r"empty one \(0 bytes\)"),
        "gzip": (gzip.compress(full), "received a gzip file"),
    }
    return [
        InputCase(f"npy-{name}", _put(*each), said)
        for name, (content, said) in told.items()
        for each in [(content, "x.npy")]
    ]


# .npz


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


_ARRAY = _npy(_describe("(3, 4)"), VALUES.tobytes())


def _patch(content: bytes, offset: int, new: bytes) -> bytes:
    """Change what the directory of an archive says of its first member."""
    place = content.index(b"PK\x01\x02") + offset
    return content[:place] + new + content[place + len(new) :]


def _pickled_member(folder: Path, marker: Path) -> Path:
    np.savez(folder / "x.npz", x=np.array([_Payload(marker)], object))
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


def _zeros(shape: str, order: str, size: int) -> bytes:
    file = io.BytesIO()
    packed = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open("x.npy", "w") as member:
        member.write(_npy(_describe(shape, order=order)))
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
        _put(_zeros("(2097152, 4)", "False", 32 << 20), "x.npz"),
        None,
        right=np.zeros((6, 4), "f4"),
        settings={"limit": 6},
    )
    return [
        zeros,
        *(
            InputCase(f"npz-{name}", _put(content, "x.npz"), said)
            for name, (content, said) in told.items()
        ),
    ]


# Sparse matrices


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


# Records and tables


def _record(content: bytes) -> bytes:
    head = struct.pack("<Q", len(content))
    return head + _checksum(head) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _records_of(make_value: Callable[[], bytes]) -> Callable[[Path, Path], str]:
    def make(folder: Path, _: Path) -> str:
        import tensorflow as tf

        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[make_value()]))
        example = tf.train.Example(features=tf.train.Features(feature={"x": feature}))
        (folder / "x.tfrecord").write_bytes(_record(example.SerializeToString()))
        return f"{folder / 'x.tfrecord'}:x"

    return make


def _broadcast_tensor() -> bytes:
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto(dtype=1, float_val=[1.0])
    for size in (1 << 28, 4):
        proto.tensor_shape.dim.add(size=size)
    return proto.SerializeToString()


def _long_record(length: int) -> bytes:
    head = struct.pack("<Q", length)
    return head + _checksum(head)


def _gzip_of(content: bytes, zeros: int = 0) -> bytes:
    file = io.BytesIO()
    with gzip.open(file, "wb") as packed:
        packed.write(content)
        for _ in range(zeros >> 20):
            packed.write(bytes(1 << 20))
    return file.getvalue()


def _many_rows(folder: Path, _: Path) -> str:
    import pyarrow as pa
    from pyarrow import parquet

    values = pa.array(np.zeros(40_000_000, np.int8))
    table = pa.table({"x": values})
    parquet.write_table(table, folder / "x.parquet", row_group_size=len(values))
    return f"{folder / 'x.parquet'}:x"


def _pickled_type(folder: Path, marker: Path) -> str:
    import pyarrow as pa
    from pyarrow import parquet

    told = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Payload(marker)),
    }
    kind = pa.schema([pa.field("x", pa.list_(pa.float32()), metadata=told)])
    parquet.write_table(pa.table([VALUES.tolist()], kind), folder / "x.parquet")
    return f"{folder / 'x.parquet'}:x"


def _keyed(make: Callable[[Path, Path], Path], key: str) -> Callable[[Path, Path], str]:
    return lambda folder, marker: f"{make(folder, marker)}:{key}"


def _record_cases() -> list[InputCase]:
    return [
        InputCase(
            "tfrecord-length",
            _keyed(_put(_long_record(2**63), "x.tfrecord"), "x"),
            "record 0 is damaged or cut short",
        ),
        InputCase(
            "tfrecord-of-200-mb",
            _keyed(_put(_gzip_of(_long_record(200 << 20), 201 << 20), "x.tfrecord"), "x"),
            "expected records that fit",
        ),
        InputCase(
            "tfrecord-many",
            _keyed(_put(_gzip_of((_long_record(0) + bytes(4)) * 100_000), "x.tfrecord"), "x"),
            "received more than",
        ),
        InputCase("tfrecord-one-for-all", _records_of(_broadcast_tensor), "received [0-9]+ bytes"),
        InputCase(
            "tfrecord-large-image",
            _records_of(lambda: make_png(30_000, 30_000)),
            "expected 89,478,485 pixels at most",
            "images",
        ),
        InputCase("parquet-one-for-all", _many_rows, "values in a row group at most"),
        InputCase("parquet-pickled-type", _pickled_type, None, right=VALUES),
        InputCase("csv-hole", _keyed(_hole(1 << 40, "x.csv"), "x"), "line 1 has more"),
        InputCase("text-hole", _keyed(_hole(1 << 40, "x.txt"), "text"), "line 1 has more"),
        InputCase("list-hole", _hole(1 << 40, "x.txt"), "bytes at most", "images"),
    ]


# Images


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def make_png(width: int, height: int, *, beside: bytes = b"", pixels: bytes | None = None) -> bytes:
    """Make a PNG of any size on paper."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(pixels or b"")
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + beside
        + _chunk(b"IDAT", packed)
        + _chunk(b"IEND", b"")
    )


def _plain_png(beside: bytes = b"") -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in IMAGE)
    return make_png(8, 8, beside=beside, pixels=rows)


def _encode(kind: str, image: Any = IMAGE, **options: Any) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    made = image if isinstance(image, Image.Image) else Image.fromarray(image)
    made.save(file, kind, **options)
    return file.getvalue()


def _frames(count: int, size: int) -> bytes:
    """Make a GIF of many frames, the first 8 x 8, the others of any size."""
    grey = np.repeat(IMAGE[..., :1], 3, -1)
    content = _encode("GIF", grey)
    later = _encode("GIF", np.zeros((size, size), np.uint8))
    frame = later[later.index(b",", 13 + 3) : -1]
    return content[:-1] + frame * count + b";"


def _many_scans() -> bytes:
    content = _encode("JPEG", np.zeros((64, 64, 3), np.uint8), progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * 1000 + content[-2:]


def _sized_jpeg(height: int, width: int) -> bytes:
    content = _encode("JPEG")
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def _sized_gif() -> bytes:
    content = _frames(0, 8)
    place = 13 + (3 << (content[10] & 7) + 1)
    while content[place : place + 1] != b",":
        place += 1
    return content[: place + 5] + struct.pack("<HH", 30_000, 30_000) + content[place + 9 :]


def _sized_bmp() -> bytes:
    content = _encode("BMP")
    return content[:18] + struct.pack("<ii", 30_000, -30_000) + content[26:]


def _sized_tiff() -> bytes:
    content = _encode("TIFF")
    # Width and height are the tags 256 and 257, of one number each.
    for tag in (256, 257):
        place = content.index(struct.pack("<HHI", tag, 4, 1)) + 8
        content = content[:place] + struct.pack("<I", 12_000) + content[place + 4 :]
    return content


_POSTSCRIPT = b"%%!PS-Adobe-3.0 EPSF-3.0\n%%%%BoundingBox: 0 0 8 8\n(%s) (w) file\n"


def _postscript(folder: Path, marker: Path) -> Path:
    (folder / "x.png").write_bytes(_POSTSCRIPT % bytes(marker))
    return folder / "x.png"


def _image_cases() -> list[InputCase]:
    packed = zlib.compress(bytes(7_900_000), 9)
    texts = b"".join(_chunk(b"zTXt", b"%d\0\0" % number + packed) for number in range(200))
    large = "expected 89,478,485 pixels at most"
    told: dict[str, tuple[bytes, str | None]] = {
        "png-of-3-gb": (make_png(30_000, 30_000), large),
        "png-of-one-row": (make_png(2**31 - 1, 1), large),
        "png-texts": (_plain_png(texts), "expected 16 compressed texts at most"),
        "jpeg-of-12-gb": (_sized_jpeg(65_500, 65_500), large),
        "jpeg-scans": (_many_scans(), "expected 64 scans at most"),
        "gif-of-3-gb": (_sized_gif(), large),
        "bmp-of-3-gb": (_sized_bmp(), large),
        "tiff-of-400-mb": (_sized_tiff(), "pixels at most"),
        "png-cut": (_plain_png()[:20], "damaged or cut short"),
    }
    cases = [
        InputCase(f"image-{name}", _put(content, "x.png"), said, "images")
        for name, (content, said) in told.items()
    ]
    right = IMAGE[None].astype(np.float32)
    grey = np.repeat(IMAGE[None, ..., :1], 3, -1).astype(np.float32)
    return [
        *cases,
        InputCase(
            "image-allowed",
            _put(make_png(20_000, 5_000), "x.png"),
            "the PNG image is damaged",  # no longer too large
            "images",
            settings={"max_pixels": 10**8},
        ),
        InputCase("image-of-another-name", _put(_plain_png(), "x.jpg"), None, "images", right),
        InputCase(
            "image-gif-of-many-frames", _put(_frames(20_000, 20), "x.gif"), None, "images", grey
        ),
        InputCase("image-postscript", _postscript, "expected a file of arrays", "images"),
    ]


# Links, pipes and devices


def _folder(make: Callable[[Path, Path], None]) -> Callable[[Path, Path], Path]:
    """Make a folder of one image, and beside it another one that is nobody's business."""

    def made(folder: Path, _: Path) -> Path:
        for name in ("photos", "private"):
            (folder / name).mkdir()
            (folder / name / "a.png").write_bytes(_plain_png())
        make(folder / "photos", folder / "private")
        return folder / "photos"

    return made


def _around(photos: Path, _: Path) -> None:
    (photos / "in").mkdir()
    for name in ("x", "y", "in/x", "in/y"):
        (photos / name).symlink_to(photos, target_is_directory=True)


def _within(photos: Path, _: Path) -> None:
    (photos / "in").mkdir()
    (photos / "in" / "b.png").symlink_to("../a.png")


def _stand_in_pipe(photos: Path, _: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    os.mkfifo(photos / "pipe")


def _socket(folder: Path, _: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        before = os.open(".", os.O_RDONLY)
        os.chdir(folder)  # a socket's path has 108 bytes at most
        try:
            made.bind("x.npy")
        finally:
            os.fchdir(before)
            os.close(before)
    return folder / "x.npy"


def _pipe(folder: Path, _: Path) -> Path:
    os.mkfifo(folder / "x.npy")
    return folder / "x.npy"


def _list_of(*names: str) -> Callable[[Path, Path], Path]:
    def make(folder: Path, _: Path) -> Path:
        (folder / "a.png").write_bytes(_plain_png())
        os.mkfifo(folder / "pipe.png")
        (folder / "x.txt").write_text("\n".join(names))
        return folder / "x.txt"

    return make


def _link_cases() -> list[InputCase]:
    right = IMAGE[None].astype(np.float32)
    out = "expected what lies in it, received links that lead elsewhere: "

    def link(name: str, target: str) -> Callable[[Path, Path], Path]:
        return _folder(lambda photos, _: (photos / name).symlink_to(target))

    def fitting(make: Callable[[Path, Path], Path], pattern: str) -> Callable[[Path, Path], str]:
        return lambda folder, marker: f"{make(folder, marker)}/{pattern}"

    to_file, to_folder = link("b.png", "../private/a.png"), link("more", "../private")
    both = np.concatenate([right, right])
    follow = {"follow_links": True}
    return [
        InputCase("link-to-a-file", to_file, out + "b.png", "images"),
        InputCase("link-without-an-extension", link("b", "../private/a.png"), out + "b", "images"),
        InputCase("link-to-a-folder", to_folder, out + "more", "images"),
        InputCase("link-to-a-device", link("b.png", "/dev/zero"), out + "b.png", "images"),
        InputCase("link-to-nothing", link("b.png", "/nowhere/b.png"), out + "b.png", "images"),
        InputCase("link-in-a-pattern", fitting(to_file, "*.png"), out + "b.png", "images"),
        InputCase("link-on-the-way", fitting(to_folder, "*/*.png"), out + "more", "images"),
        InputCase("link-at-any-depth", fitting(to_folder, "**/*.png"), out + "more", "images"),
        InputCase("link-followed", to_file, None, "images", both, follow),
        InputCase("link-folder-followed", to_folder, None, "images", both, follow),
        InputCase("link-within", _folder(_within), None, "images", both),
        InputCase("links-around", _folder(_around), None, "images", right),
        InputCase(
            "links-around-a-pattern", fitting(_folder(_around), "**/*.png"), None, "images", right
        ),
        InputCase("pipes-in-a-folder", _folder(_stand_in_pipe), None, "images", right),
        InputCase("pipe-in-a-list", _list_of("pipe.png"), "received a pipe", "images"),
        InputCase("device-in-a-list", _list_of("/dev/zero"), "received a device", "images"),
        InputCase("list-with-nul", _list_of("a\0b.png"), "can't be read", "images"),
        InputCase("pipe", _pipe, "a pipe that nobody writes to"),
        InputCase("socket", _socket, "can't be read"),
        InputCase("device", lambda *_: "/dev/zero", "expected a .npy array"),
    ]


CASES: tuple[InputCase, ...] = (
    InputCase("npy-pickled", _pickled, "pickled objects, which are never loaded"),
    InputCase("npy-pickled-fields", _pickled_fields, "never loaded"),
    InputCase("npy-code", _code, "expected a .npy array, received something else"),
    InputCase("npy-plain-pickle", _plain_pickle, "a pickle, which is never loaded"),
    InputCase("npz-pickled", _pickled_member, "never loaded"),
    *_npy_cases(),
    *_npz_cases(),
    *_sparse_cases(),
    *_record_cases(),
    *_image_cases(),
    *_link_cases(),
)
