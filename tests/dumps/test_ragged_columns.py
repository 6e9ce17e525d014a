"""Columns whose rows differ in shape: written, merged and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import xarray

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ragged_rows import encode_texts
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

    from warm import WarmPython

FLOAT = np.dtype(np.float32)
ROWS = 9


def make_column(name: str, shape: tuple[int, ...], stored: Any = FLOAT, dtype: str = "") -> Column:
    return Column(name, shape, np.dtype(stored), {"addresses": [name], "dtype": dtype})


def make_rows(shape: tuple[int, ...], dtype: Any = FLOAT) -> list[Any]:
    """Rows of all sizes, none among them, in the axes given as -1."""
    rng = np.random.default_rng(0)
    sizes = [[rng.integers(0, 5) if axis == -1 else axis for axis in shape] for _ in range(ROWS)]
    return [(rng.normal(size=size) * 50).astype(dtype) for size in sizes]


def write(path: Path, columns: list[Column], data: dict[str, Any], size: int = 4) -> None:
    with Writer(
        OutputSpec(path=path),
        Contents(columns=columns, samples=[f"s{row}" for row in range(ROWS)]),
    ) as writer:
        for start in range(0, ROWS, size):
            batch = {name: rows[start : start + size] for name, rows in data.items()}
            writer.write(start, batch)
            writer.commit(min(start + size, ROWS))
        writer.finish()


CASES = {
    "indices": ((-1,), np.int32),
    "boxes": ((-1, 4), FLOAT),
    "second": ((3, -1), np.float64),
    "both": ((-1, -1, 2), np.complex64),
    "nothing": ((-1, 0), FLOAT),
}


def test_rows_of_every_shape_come_back_beside_dense_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    data: dict[str, Any] = {name: make_rows(*case) for name, case in CASES.items()}
    columns = [make_column(name, *case) for name, case in CASES.items()]
    columns.insert(2, make_column("dense", (3,)))
    dense = np.arange(ROWS * 3, dtype=FLOAT).reshape(ROWS, 3)
    write(path, columns, data | {"dense": dense})
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    with open_dump(path) as dump:
        assert list(dump) == [column.name for column in columns]
        np.testing.assert_array_equal(dump["dense"][:], dense)
        for name, rows in data.items():
            assert len(dump[name]) == ROWS
            for row, expected in zip(dump[name], rows, strict=True):
                assert row.dtype == expected.dtype
                np.testing.assert_array_equal(row, expected)
            np.testing.assert_array_equal(dump[name][-1], rows[-1])
            assert [row.shape for row in dump[name][2:8:3]] == [r.shape for r in rows[2:8:3]]
            with pytest.raises(IndexError):
                dump[name][ROWS]


def test_other_tools_find_the_rows_by_their_offsets(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    data = {name: make_rows(*CASES[name]) for name in ("boxes", "second")}
    write(path, [make_column(name, *CASES[name]) for name in data], data)
    with h5py.File(path, "r") as file:
        for name, rows in data.items():
            group = file[name]
            assert group.attrs["layout"] == "ragged"
            values, offsets, shapes = (group[part][:] for part in ("values", "offsets", "shapes"))
            assert values.dtype == rows[0].dtype
            assert (offsets.dtype, offsets[0], offsets[-1]) == (np.int64, 0, len(values))
            for number, row in enumerate(rows):
                found = values[offsets[number] : offsets[number + 1]]
                np.testing.assert_array_equal(found.reshape(shapes[number]), row)
        assert file["boxes/values"].shape[1:] == (4,)  # no shapes are needed
    # The file is whole: HDF5 itself can go on writing to it.
    with h5py.File(path, "r+") as file:
        file["more"] = np.ones(1000)
    with open_dump(path) as dump:
        np.testing.assert_array_equal(dump["boxes"][-1], data["boxes"][-1])


def test_xarray_opens_the_dense_part_and_the_ragged_one_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    boxes = make_rows((-1, 4))
    columns = [make_column("boxes", (-1, 4)), make_column("dense", (3,))]
    write(path, columns, {"boxes": boxes, "dense": np.ones((ROWS, 3), FLOAT)})
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["dense"].dims == ("sample", "dim_3")
        assert dataset["sample_name"].values[1] == "s1"
        assert float(dataset["dense"].sum()) == 3 * ROWS
    opened = xarray.open_dataset(path, engine="h5netcdf", group="boxes", phony_dims="access")
    with opened as dataset:
        np.testing.assert_array_equal(dataset["values"].values, np.concatenate(boxes))


def test_the_header_to_rewrite_never_straddles_pages(tmp_path: Path) -> None:
    columns = [make_column(f"c{number}", (-1,) * (1 + number % 3)) for number in range(200)]
    data = {column.name: make_rows(column.shape) for column in columns}
    path = tmp_path / "a.h5"
    write(path, columns, data)
    with h5py.File(path, "r") as file:
        for name, rows in data.items():
            header = h5py.h5o.get_info(file[name]["values"].id)
            last = header.addr + header.hdr.space.total - 1
            assert header.addr // 4096 == last // 4096
            assert file[name]["values"].size == sum(row.size for row in rows)


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"),
        Contents(columns=[make_column("a", (-1, 4))], samples=["x", "y"]),
    ) as writer:
        for row, message in [
            (
                np.zeros((2, 3), FLOAT),
                r"float32 of shape \(\?, 4\) in each row, received .* \(2, 3\)",
            ),
            (np.zeros((2, 4)), "received float64"),
            (np.zeros(4, FLOAT), r"received float32 of shape \(4,\)"),
        ]:
            with pytest.raises(DumpError, match=message):
                writer.write(0, {"a": [row]})
        with pytest.raises(DumpError, match="expected rows from 0 on, received row 1"):
            writer.write(1, {"a": [np.zeros((2, 4), FLOAT)]})
        with pytest.raises(DumpError, match="expected the columns a, received none"):
            writer.write(0, {})
    assert not list(tmp_path.iterdir())


def test_text_of_any_length_comes_back(tmp_path: Path) -> None:
    texts = ["", "é", "two words", "\0inside"]
    ones = [encode_texts(texts[row % 4].encode()) for row in range(ROWS)]
    pairs = [encode_texts([texts[row % 4].encode(), b"b"]) for row in range(ROWS)]
    columns = [
        make_column("one", (-1,), np.uint8, dtype="string"),
        make_column("two", (2, -1), np.uint8, dtype="string"),
    ]
    write(tmp_path / "a.h5", columns, {"one": ones, "two": pairs})
    with open_dump(tmp_path / "a.h5") as dump:
        assert dump["one"][:4] == texts
        assert dump["two"][3].tolist() == ["\0inside", "b"]
        assert dump["two"][0].tolist() == ["", "b"]
    with pytest.raises(DumpError, match="ends with a NUL"):
        encode_texts([b"a\0"])


def test_an_unfinished_run_keeps_its_committed_rows_and_one_may_start_anew(
    tmp_path: Path,
) -> None:
    boxes = make_rows((-1, 4))
    names = [str(row) for row in range(ROWS)]
    columns = [make_column("a", (-1, 4)), make_column("b", (-1,))]
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"), Contents(columns=columns, samples=names)
    ) as writer:
        writer.write(0, {"a": boxes[:5], "b": [np.arange(3, dtype=FLOAT)] * 5})
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5.partial"]
    with open_dump(tmp_path / "a.h5.partial") as dump:
        assert dump.committed == 5
        for row, expected in zip(dump["a"][: dump.committed], boxes[:5], strict=True):
            np.testing.assert_array_equal(row, expected)
        assert dump["b"][4].tolist() == [0, 1, 2]
    with h5py.File(tmp_path / "a.h5.partial") as file:  # any tool reads them
        end = file["a/offsets"][5]
        np.testing.assert_array_equal(file["a/values"][:end], np.concatenate(boxes[:5]))
    assert (tmp_path / "a.h5.partial").stat().st_blocks * 512 < 1 << 20  # the rest are holes
    column = make_column("a", (-1, 4))
    with Writer(
        OutputSpec(path=tmp_path / "a.h5", overwrite=True),
        Contents(columns=[column], samples=names),
    ) as writer:
        writer.write(0, {"a": boxes})
        writer.finish()
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


MERGE = """
import sys, tracemalloc
import numpy as np
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer
row = np.ones((1 << 20,), "f4")
columns = [Column("a", (-1,), row.dtype), Column("b", (-1,), row.dtype)]
contents = Contents(columns=columns, samples=["x"] * 20)
with Writer(OutputSpec(path=sys.argv[1]), contents) as writer:
    for start in range(20):
        writer.write(start, {"a": [row], "b": [row]})
    tracemalloc.start()
    writer.finish()
print(tracemalloc.get_traced_memory()[1])
"""


def test_merging_takes_no_more_memory_than_a_piece(
    tmp_path: Path, light_python: WarmPython
) -> None:
    path = tmp_path / "a.h5"
    result = light_python.run("-c", MERGE, path)
    assert int(result.stdout) < 32 << 20  # of 2 times 80 MB
    assert path.stat().st_size > 160 << 20
