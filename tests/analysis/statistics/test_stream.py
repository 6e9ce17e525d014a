from __future__ import annotations

import os
import shutil
from dataclasses import asdict

import h5py
import numpy as np
import pytest

from kprobe.analysis.statistics.accumulate import Statistics
from kprobe.analysis.statistics.stream import list_countable, read_statistics
from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.layout import lay_out
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

ROWS = 50
SHAPES = {
    "image": (7, 5, 16),
    "wide": (90_000,),
    "score": (),
    "first": (3, 20, 30),
    "empty": (4, 0),
    "half": (6, 8),
    "count": (5,),
    "mask": (9,),
    "double": (11,),
}
DTYPES = {"half": "float16", "count": "int64", "mask": "uint8", "double": "float64"}
RAGGED = {"boxes": (-1, 4), "maps": (-1, -1, 2), "line": (-1,)}
AXES = {"first": ("channel", "height", "width")}
LEFT_OUT = [4, 5, 31, 49]


def make_column(name, shape, dtype="float32", **more):
    return Column(name, shape, np.dtype(dtype), {"addresses": [name]}, **more)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    rows = {
        name: (rng.normal(size=(ROWS, *shape)) * 3 + 1).astype(DTYPES.get(name, "float32"))
        for name, shape in SHAPES.items()
    }
    rows["image"][20, 3, 1, 1] = np.nan
    rows["first"][41, 2, 0, 0] = np.inf
    for name, shape in RAGGED.items():
        sizes = [[rng.integers(0, 9) if size < 0 else size for size in shape] for _ in range(ROWS)]
        rows[name] = [rng.normal(size=size).astype(np.float32) for size in sizes]
    rows["boxes"][30] = np.full((3, 4), np.nan, np.float32)
    return rows


@pytest.fixture(scope="module")
def path(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("dump") / "a.h5"
    columns = [
        make_column(name, shape, DTYPES.get(name, "float32"), axes=AXES.get(name, ()))
        for name, shape in (SHAPES | RAGGED).items()
    ]
    kernel = np.arange(12, dtype=np.float32).reshape(3, 4)
    columns.append(
        Column(
            "kernel", (3, 4), kernel.dtype, {"addresses": ["kernel"], "layout": "weight"}, kernel
        )
    )
    text = {"addresses": ["text"], "dtype": "string"}
    columns.append(Column("text", (-1,), np.dtype(np.uint8), text))
    contents = Contents(columns=[*columns, VALID, REASON], samples=[f"s{i}" for i in range(ROWS)])
    valid = np.ones(ROWS, np.uint8)
    valid[LEFT_OUT] = 0
    with Writer(OutputSpec(path=path), contents) as writer:
        words = [np.frombuffer(b"word", np.uint8)] * ROWS
        reasons = np.full(ROWS, b"", "S96")
        writer.write(0, data | {"text": words, "valid": valid, "reason": reasons})
        writer.finish()
    return path


def compute(values, numbers, axis=-1, by_sample=False):
    """The statistics of rows, added one by one."""
    shape = RAGGED.get(values, SHAPES.get(values))
    # Flat in the dump, since rows differ in more than their first axis.
    shape = (-1, -1, -1) if values == "maps" else shape
    rows = numbers[0]
    statistics = Statistics(shape, rows[1][0].dtype, channel_axis=axis, by_sample=by_sample)
    for number, row in zip(*rows, strict=True):
        statistics.add(np.asarray(row)[None], number)
    return statistics


def expect(data, name, rows, **more):
    kept = [row for row in rows if row not in LEFT_OUT]
    axis = 0 if name == "first" else -1
    return compute(name, [(kept, [data[name][row] for row in kept])], axis, **more)


def assert_same(got, right):
    got, right = asdict(got), asdict(right)
    sums = ("mean", "std", "l1", "l2", "rms")
    near = [got.pop(name) for name in sums], [right.pop(name) for name in sums]
    assert got == right
    if None not in near[1]:
        np.testing.assert_allclose(*near, rtol=1e-11, atol=1e-15)


def test_every_column_is_what_its_rows_added_one_by_one_give(path, data):
    names = [*SHAPES, *RAGGED]
    with open_dump(path) as dump:
        assert list_countable(dump) == ([*names, "kernel"], ["text"])
        by_sample = read_statistics(dump, names, by_sample=True)
        whole = read_statistics(dump, [*names, "kernel"])
        part = read_statistics(dump, names, rows=(3, 33))
        alone = read_statistics(dump, names, threads=1)
    for name in names:
        right = expect(data, name, range(ROWS), by_sample=True)
        for got in whole[name], by_sample[name]:
            assert_same(got.summarize(name), right.summarize(name))
            if name != "wide":
                channels = got.summarize_channels(), right.summarize_channels()
                for one, other in zip(*channels, strict=True):
                    assert_same(one, other)
        for one, other in zip(
            by_sample[name].summarize_samples(), right.summarize_samples(), strict=True
        ):
            assert_same(one, other)
        assert_same(part[name].summarize(), expect(data, name, range(3, 33)).summarize())
        assert_same(alone[name].summarize(), whole[name].summarize())
    assert whole["image"].summarize().first_nan == 20
    assert whole["boxes"].summarize().first_nan == 30
    assert whole["first"].summarize().first_inf == 41
    kernel = whole["kernel"].summarize()
    assert (kernel.rows, kernel.channels, kernel.max, kernel.mean) == (1, 4, 11, 5.5)


def test_ranges_are_merged_to_what_one_run_gives(path, data):
    with open_dump(path) as dump:
        whole = read_statistics(dump, ["image", "boxes"])
        parts = [
            read_statistics(dump, ["image", "boxes"], rows=rows)
            for rows in ((30, 99), (0, 1), (1, 30))
        ]
    for name, right in whole.items():
        parts[0][name].merge(parts[1][name])
        parts[0][name].merge(parts[2][name])
        assert_same(parts[0][name].summarize(), right.summarize())


def test_many_pieces_by_several_threads_are_what_one_gives(tmp_path):
    rows, shape = 20, (1000, 1000, 2)
    tensor = np.resize(np.arange(251, dtype=np.uint8), (rows, *shape))
    tensor[..., 1] //= 2
    contents = Contents(columns=[make_column("a", shape, "uint8")], samples=["s"] * rows)
    with Writer(OutputSpec(path=tmp_path / "a.h5"), contents) as writer:
        writer.write(0, {"a": tensor})
        writer.finish()
    told: list[int] = []
    with open_dump(tmp_path / "a.h5") as dump:
        one, three = (
            read_statistics(dump, ["a"], threads=threads, progress=told.append)["a"]
            for threads in (1, 3)
        )
    assert len(told) > 2
    assert sum(told) == 2 * tensor.nbytes
    assert one.summarize() == three.summarize()
    assert one.summarize_channels() == three.summarize_channels()
    whole = one.summarize()
    assert (whole.rows, whole.count, whole.min, whole.max) == (rows, tensor.size, 0, 250)
    for channel in one.summarize_channels():
        counts = np.bincount(tensor[..., channel.channel].ravel()).tolist()
        total, squares = (
            sum(n * value**power for value, n in enumerate(counts)) for power in (1, 2)
        )
        assert channel.mean == pytest.approx(total / channel.count, rel=1e-13)
        assert channel.l2 == pytest.approx(squares**0.5, rel=1e-13)
        assert channel.zeros == counts[0] / channel.count


def test_what_other_tools_compressed_is_read_too(path, data, tmp_path):
    with h5py.File(path) as file, h5py.File(tmp_path / "b.h5", "w") as other:
        for name, value in file.attrs.items():
            other.attrs[name] = value
        for name, thing in file.items():
            if name in ("image", "half"):
                other.create_dataset(name, data=thing[()], chunks=True, compression="gzip")
                for key in ("addresses", "layout"):
                    if key in thing.attrs:
                        other[name].attrs[key] = thing.attrs[key]
            elif name in ("committed", "complete", "started", "finished", "sample_name", "valid"):
                file.copy(name, other)
        big = data["count"].astype(">i8")
        other["count"] = big
        other["count"].attrs["addresses"] = ["count"]
    with open_dump(tmp_path / "b.h5") as dump:
        assert dump["image"].chunks
        got = read_statistics(dump, ["image", "half", "count"])
    for name, statistics in got.items():
        told = asdict(statistics.summarize()) | {"dtype": data[name].dtype.name}
        right = asdict(expect(data, name, range(ROWS)).summarize())
        assert told["quantiles"] == right["quantiles"]
        assert (told["min"], told["nan"], told["rows"]) == (right["min"], right["nan"], 46)


@pytest.mark.parametrize("kind", ["biased exponent", "few digits"])
def test_numbers_in_bits_that_numpy_has_not_are_refused(path, tmp_path, kind):
    stored = (h5py.h5t.IEEE_F32LE if kind == "biased exponent" else h5py.h5t.STD_I32LE).copy()
    if kind == "biased exponent":
        stored.set_ebias(120)
    else:
        stored.set_precision(12)
        stored.set_offset(4)
    values = np.arange(-100, 100).reshape(50, 4)
    shutil.copy(path, tmp_path / "odd.h5")
    with h5py.File(tmp_path / "odd.h5", "r+") as file:
        space = h5py.h5s.create_simple(values.shape)
        dataset = h5py.Dataset(h5py.h5d.create(file.id, b"odd", stored, space))
        dataset[:] = values
        dataset.attrs["addresses"] = ["odd"]
    with pytest.raises(DumpError, match="odd expected plain numbers or texts, received"):
        open_dump(tmp_path / "odd.h5")


def test_an_unfinished_dump_is_used_as_far_as_it_is_committed(tmp_path, data):
    columns = [make_column("image", SHAPES["image"]), make_column("boxes", (-1, 4))]
    spec = OutputSpec(path=tmp_path / "a.h5")
    with Writer(spec, Contents(columns=columns, samples=[f"s{i}" for i in range(ROWS)])) as writer:
        batch = {name: data[name][:20] for name in ("image", "boxes")}
        writer.write(0, batch)
        writer.commit(12)
        # Opened while it is written, and after: by h5py's own driver, and by another one.
        with open_dump(tmp_path / "a.h5.partial") as dump:
            during = read_statistics(dump, ["image", "boxes"])
    with h5py.File(tmp_path / "a.h5.partial", "r+") as file:
        file["committed"][()] = 12  # as if it had been killed before it was closed
    with open_dump(tmp_path / "a.h5.partial") as dump:
        after = read_statistics(dump, ["image", "boxes"])
    for got in during, after:
        for name, statistics in got.items():
            right = compute(name, [(range(12), data[name][:12])])
            assert_same(statistics.summarize(), right.summarize())


def test_a_dump_without_rows(tmp_path):
    lay_out(tmp_path / "a.h5", Contents(columns=[make_column("image", (7, 5, 16))], samples=[]))
    with open_dump(tmp_path / "a.h5") as dump:
        assert read_statistics(dump, ["image"])["image"].summarize().count == 0


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path, data):
    contents = Contents(columns=[make_column("a", SHAPES["wide"])], samples=["s"] * ROWS)
    with Writer(OutputSpec(path=tmp_path / "a.h5"), contents) as writer:
        writer.write(0, {"a": data["wide"]})
        writer.finish()
    with open_dump(tmp_path / "a.h5") as dump:
        os.truncate(tmp_path / "a.h5", 10_000_000)
        with pytest.raises(DumpError, match=r"a\.h5: expected .* bytes at .*, received"):
            read_statistics(dump, ["a"])


def test_progress_tells_the_bytes_gone_through(path, data):
    told: list[int] = []
    with open_dump(path) as dump:
        read_statistics(dump, ["wide", "image"], progress=told.append, rows=(6, 31))
    assert sum(told) == data["wide"][6:31].nbytes + data["image"][6:31].nbytes


def test_a_closed_dump_and_a_misspelt_column_are_refused(path):
    with open_dump(path) as dump, pytest.raises(DumpError, match="nearest: image"):
        read_statistics(dump, ["imagee"])
    with pytest.raises(DumpError, match="expected an open dump"):
        read_statistics(dump, ["image"])
