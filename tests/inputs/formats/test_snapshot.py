"""Saved datasets are read where they are as TensorFlow writes them, and refused elsewhere."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import snapshot_pb2

from kprobe.errors import InputError
from kprobe.inputs.files import open_location
from kprobe.inputs.formats.tfrecord import find_records
from kprobe.inputs.locating import parse_location

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tf.data.Dataset.from_tensor_slices(ROWS).save(str(folder))
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    for path in saved.rglob("*"):
        place = tmp_path / path.relative_to(saved)
        if path.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    return tmp_path


def open_folder(folder):
    open_location(parse_location(str(folder), ())).close()


def shard(folder) -> Path:
    return next(folder.rglob("*.snapshot"))


def write_records(path, *records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def tensor(*sizes, content=b"", **values):
    proto = tensor_pb2.TensorProto(dtype=1, tensor_content=content, **values)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto.SerializeToString()


@pytest.mark.parametrize(
    "element",
    [
        ROWS,
        {"a": ROWS, "b": np.array(["x", "long" * 99, ""])},
        (np.ones((3, 0), "f8"), np.zeros((3, 1000), "i1")),
        np.array([1.5, 2.5], np.float16),
        np.array([[True]] * 2),
    ],
    ids=["floats", "texts", "empty", "halves", "bools"],
)
def test_what_is_saved_is_opened(element, tmp_path):
    tf.data.Dataset.from_tensor_slices(element).save(str(tmp_path))
    open_folder(tmp_path)


def test_rows_of_several_lengths_are_opened(tmp_path):
    rows = tf.ragged.constant([[1.0], [2.0, 3.0], []])
    tf.data.Dataset.from_tensor_slices(rows).map(lambda row: row).save(str(tmp_path))
    open_folder(tmp_path)


def test_a_record_of_any_length_ends_no_process(copy):
    content = shard(copy).read_bytes()
    write_records(copy / "other", b"x" * 5)
    # As long as a terabyte, and with a right checksum.
    head = (copy / "other").read_bytes()[:12]
    (copy / "other").unlink()
    assert head[:8] == struct.pack("<Q", 5)
    shard(copy).write_bytes(head + content[12:])
    with pytest.raises(InputError, match="damaged or cut short"):
        open_folder(copy)


@pytest.mark.parametrize(
    "record",
    [
        tensor(1 << 40, float_val=[1.0]),
        tensor(1 << 20, 1 << 20, content=bytes(16)),
        tensor(-1, content=bytes(16)),
        tensor(4, content=bytes(16)) + tensor(1 << 40),  # a second shape is added to the first
        b"\x12\x03\x08\x01",
        b"\xff" * 20,
        b"\x0b\x08\x01",
    ],
)
def test_a_tensor_larger_than_its_record_is_refused(record, copy):
    write_records(shard(copy), record)
    with pytest.raises(InputError, match=r"received tensors in .* that are larger than it"):
        open_folder(copy)


def test_other_files_and_versions_are_refused(copy):
    told = snapshot_pb2.SnapshotMetadataRecord.FromString((copy / "snapshot.metadata").read_bytes())
    assert told.version == 2
    for version in (0, 1, 3):
        told.version = version
        (copy / "snapshot.metadata").write_bytes(told.SerializeToString())
        with pytest.raises(InputError, match=r"received another version in snapshot\.metadata"):
            open_folder(copy)
    (copy / "snapshot.metadata").write_text("element_spec: 'x' compression: 'GZIP'")
    with pytest.raises(InputError, match="another version"):
        open_folder(copy)
    (copy / "chunk").touch()
    with pytest.raises(InputError, match="received a file 'chunk'"):
        open_folder(copy)


def test_a_damaged_spec_has_a_line(copy):
    (copy / "dataset_spec.pb").write_bytes(b"\xff" * 50)
    with pytest.raises(InputError, match="can't be read: ") as refused:
        open_folder(copy)
    assert "\n" not in str(refused.value)


def test_a_link_out_of_the_folder_is_not_followed(copy, tmp_path_factory):
    place = shard(copy)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "private"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    with pytest.raises(InputError, match="received links that lead elsewhere"):
        open_folder(copy)
    assert len(find_records(elsewhere, "x", compressed=False)[0]) == 3
