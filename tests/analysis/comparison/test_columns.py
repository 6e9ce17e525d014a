"""Columns of two dumps are compared as their arrays are."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from kprobe.analysis.comparison import columns as columns_module
from kprobe.analysis.comparison.columns import compare_columns
from kprobe.analysis.comparison.difference import Difference
from kprobe.analysis.comparison.joining import join_rows
from kprobe.analysis.comparison.records import Described, Pair
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer

ROWS = 60
SHAPES = {"image": (9, 7, 16), "wide": (30_000,), "score": (), "half": (6, 8), "count": (5,)}
DTYPES = {"half": "float16", "count": "int64"}
TRANSPOSED = (2, 0, 1)


def write(path, arrays, names):
    columns = [
        Column(
            name,
            (-1, 2) if isinstance(rows, list) else rows.shape[1:],
            rows[0].dtype,
            {"addresses": [name]},
        )
        for name, rows in arrays.items()
    ]
    with Writer(OutputSpec(path=path), Contents(columns=columns, samples=names)) as writer:
        writer.write(0, arrays)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    """Two dumps of the same samples, B's shuffled; their arrays in A's order."""
    random = np.random.default_rng(0)
    a = {
        name: (random.normal(size=(ROWS, *shape)) * 9).astype(DTYPES.get(name, "float32"))
        for name, shape in SHAPES.items()
    }
    b = {
        name: (rows + random.normal(size=rows.shape)).astype(rows.dtype) for name, rows in a.items()
    }
    a["image"][11, 2, 3, 4] = np.nan
    b["wide"][5, 7] += 1000
    folder = tmp_path_factory.mktemp("dumps")
    names = [f"s{row}" for row in range(ROWS)]
    order = random.permutation(ROWS)
    stored = {name: rows[order] for name, rows in b.items()}
    stored["moved"] = np.ascontiguousarray(stored["image"].transpose(0, 3, 1, 2))
    ragged = [random.normal(size=(row % 4, 2)).astype("f4") for row in range(ROWS)]
    more = [rows + np.float32(row == 7) for row, rows in enumerate(ragged)]
    path_a = write(folder / "a.h5", a | {"boxes": ragged}, names)
    shuffled = [names[row] for row in order]
    path_b = write(folder / "b.h5", stored | {"boxes": [more[row] for row in order]}, shuffled)
    with open_dump(path_a) as dump_a, open_dump(path_b) as dump_b:
        yield dump_a, dump_b, a, b


def pair(name, other=None, shape=(), **more):
    one = Described(name, shape, "float32", 0)
    return Pair(one, Described(other or name, shape, "float32", 0), "address", **more)


def compute(a, b, **settings):
    found = Difference(a.shape[1:], **settings)
    found.add(a, b, 0)
    return found.summarize()


def assert_same(got, right):
    for name in ("count", "max_abs", "row", "index", "worst_channel", "only_a", "first_unlike"):
        assert getattr(got, name) == getattr(right, name), name
    for name in ("relative", "scale", "snr_db", "worst_channel_relative", "cosine"):
        expected = getattr(right, name)
        near = None if expected is None else pytest.approx(expected, rel=1e-6)
        assert getattr(got, name) == near, name


@pytest.mark.parametrize("threads", [1, 3])
def test_every_column_is_what_its_arrays_give(sides, threads, monkeypatch):
    monkeypatch.setattr(columns_module, "_PIECE", 1 << 16)
    dump_a, dump_b, a, b = sides
    rows = join_rows(dump_a.sample, dump_b.sample)
    pairs = [pair(name, shape=shape) for name, shape in SHAPES.items()]
    read: list[int] = []
    found = compare_columns(
        dump_a, dump_b, pairs, rows, cosine=True, threads=threads, progress=read.append
    )
    for name, difference in zip(SHAPES, found, strict=True):
        assert_same(difference.summarize(), compute(a[name], b[name], cosine=True))
    assert sum(read) == sum(rows.nbytes for rows in a.values())


def test_other_axes_and_chosen_rows_are_compared(sides):
    dump_a, dump_b, a, b = sides
    rows_a, rows_b = join_rows(dump_a.sample, dump_b.sample)
    some = np.array([3, 4, 5, 11, 40])
    moved = pair("image", "moved", (16, 9, 7), transpose=TRANSPOSED, layout="NHWC/NCHW")
    (found,) = compare_columns(dump_a, dump_b, [moved], (rows_a[some], rows_b[some]))
    turned = [side["image"][some].transpose(0, 3, 1, 2) for side in (a, b)]
    right = compute(*turned, channel_axis=0)
    assert found.summarize().worst_channel == right.worst_channel
    assert found.summarize().index == right.index
    assert found.summarize().first_unlike == 3


def test_rows_that_differ_in_shape_are_compared(sides, monkeypatch):
    dump_a, dump_b, *_ = sides
    rows_a, rows_b = join_rows(dump_a.sample, dump_b.sample)
    boxes = pair("boxes", shape=(None, 2))
    for piece in (1 << 25, 64):
        monkeypatch.setattr(columns_module, "_PIECE", piece)
        (found,) = compare_columns(dump_a, dump_b, [boxes], (rows_a, rows_b))
        told = found.summarize()
        assert told.max_abs == pytest.approx(1, rel=1e-6)
        assert (told.row, told.unequal) == (7, 0)
        assert told.count == sum(2 * (row % 4) for row in range(ROWS))
        # Against the next sample each has another shape, but for every fourth.
        (found,) = compare_columns(dump_a, dump_b, [boxes], (rows_a[:8], rows_b[4:12]))
        assert found.summarize().unequal == 0
        (found,) = compare_columns(dump_a, dump_b, [boxes], (rows_a[3:9], rows_b[4:10]))
        assert (found.summarize().unequal, found.summarize().first_unequal) == (6, 0)


def test_a_column_of_one_shape_is_compared_with_one_of_several(sides, tmp_path):
    dump_a, *_ = sides
    names = [f"s{row}" for row in range(ROWS)]
    boxes = [dump_a["boxes"][row] for row in range(ROWS)]
    one = np.stack([np.resize(row, (3, 2)) for row in boxes])
    with open_dump(write(tmp_path / "one.h5", {"boxes": one}, names)) as dump:
        rows = np.arange(ROWS)
        (found,) = compare_columns(dump, dump_a, [pair("boxes", shape=(None, 2))], (rows, rows))
    told = found.summarize()
    assert (told.unequal, told.first_unequal) == (ROWS - ROWS // 4, 0)
    assert (told.count, told.max_abs) == (ROWS // 4 * 6, 0)


def test_what_hdf5_alone_can_read_is_compared(sides, tmp_path):
    dump_a, dump_b, a, b = sides
    with h5py.File(dump_a.path) as file, h5py.File(tmp_path / "packed.h5", "w") as packed:
        for name, value in file.attrs.items():
            packed.attrs[name] = value
        for name in file:
            if name == "image":
                packed.create_dataset(name, data=file[name][()], compression="gzip", chunks=True)
                packed[name].attrs.update(file[name].attrs)
            else:
                file.copy(name, packed)
    with open_dump(tmp_path / "packed.h5") as dump:
        rows = join_rows(dump.sample, dump_b.sample)
        (found,) = compare_columns(
            dump, dump_b, [pair("image", shape=SHAPES["image"])], rows, cosine=True
        )
    assert_same(found.summarize(), compute(a["image"], b["image"], cosine=True))
