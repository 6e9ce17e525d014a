"""Records and tables that somebody could send, and honest ones that look odd."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from typing import TYPE_CHECKING

import numpy as np
from gate.hostile.input_case import VALUES, InputCase, Payload, hole, put
from gate.hostile.input_images import make_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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


_EMPTY_RECORD = _long_record(0) + bytes(4)


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
        b"ARROW:extension:metadata": pickle.dumps(Payload(marker)),
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
            _keyed(put(_long_record(2**63), "x.tfrecord"), "x"),
            "record 0 is damaged or cut short",
        ),
        InputCase(
            "tfrecord-of-200-mb",
            _keyed(put(lambda: _gzip_of(_long_record(200 << 20), 201 << 20), "x.tfrecord"), "x"),
            "expected records that fit",
        ),
        InputCase(
            "tfrecord-many",
            _keyed(put(lambda: _gzip_of(_EMPTY_RECORD * 100_000), "x.tfrecord"), "x"),
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
        InputCase("csv-hole", _keyed(hole(1 << 40, "x.csv"), "x"), "line 1 has more"),
        InputCase("text-hole", _keyed(hole(1 << 40, "x.txt"), "text"), "line 1 has more"),
        InputCase("list-hole", hole(1 << 40, "x.txt"), "bytes at most", "images"),
    ]


CASES = (*_record_cases(),)
