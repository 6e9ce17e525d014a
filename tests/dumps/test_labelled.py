"""Dumps as xarray's labelled arrays and as tables of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import xarray

from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = np.dtype(np.float32)
NAMES = ["é.png", "b", "日本", "d"]
LABELS = np.array([1, 0, 1, 1], "i4")
IMAGES = np.arange(4 * 5 * 6 * 3, dtype=FLOAT).reshape(4, 5, 6, 3)
KERNEL = np.arange(6, dtype=FLOAT).reshape(2, 3)
ROWS: dict[str, Any] = {
    "enc.conv": IMAGES,
    "features": np.arange(12, dtype="f2").reshape(4, 3),
    "score": np.arange(4, dtype="i8"),
    "boxes": [np.ones((row, 4), FLOAT) for row in range(4)],
    "valid": np.array([1, 0, 1, 1], "u1"),
    "reason": np.array([b"", "kein Bild: ü".encode(), b"", b""], REASON.dtype),
}


def column(name: str, shape: tuple[int, ...], dtype: Any = FLOAT, axes: Any = ()) -> Column:
    return Column(name, shape, np.dtype(dtype), {"addresses": [name.replace(".", "/")]}, axes=axes)


COLUMNS = [
    column("enc.conv", (5, 6, 3), axes=("height", "width", "channel")),
    column("features", (3,), "f2", axes=("unit",)),
    column("score", (), "i8"),
    column("boxes", (-1, 4)),
    Column("kernel", KERNEL.shape, FLOAT, {"addresses": ["k"], "layout": "weight"}, KERNEL),
    Column("label", (4,), LABELS.dtype, {"classes": ["cat", "größe"]}, LABELS, by_sample=True),
    VALID,
    REASON,
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished dump, and one of which two rows are committed."""
    found = {}
    for name, rows in (("whole", 4), ("part", 2)):
        path = tmp_path_factory.mktemp(name) / "a.h5"
        contents = Contents(columns=COLUMNS, samples=NAMES, attrs={"model": "m"})
        with Writer(OutputSpec(path=path), contents) as writer:
            writer.write(0, {key: values[:rows] for key, values in ROWS.items()})
            if rows == 4:
                writer.finish()
        found[name] = path if rows == 4 else writer.partial
    return found


@pytest.mark.parametrize(("name", "rows"), [("whole", 4), ("part", 2)])
def test_xarray_has_axes_labels_and_committed_rows(paths, name, rows):
    with open_dump(paths[name]) as dump:
        arrays = dump.to_xarray()
        assert {*arrays} == {"enc.conv", "features", "score", "kernel"}
        assert arrays["enc.conv"].dims == ("sample", "height", "width", "channel")
        assert arrays["features"].dims == ("sample", "unit")
        assert arrays["kernel"].dims == ("dim_2", "dim_3")
        assert {*arrays.coords} == {"sample", "label", "valid", "reason"}
        assert arrays["sample"].values.tolist() == NAMES[:rows]
        assert arrays["label"].values.tolist() == ["größe", "cat", "größe", "größe"][:rows]
        assert arrays["valid"].values.tolist() == [True, False, True, True][:rows]
        assert arrays["reason"].values[1] == "kein Bild: ü"
        assert arrays.attrs["model"] == "m"
        assert arrays["enc.conv"].attrs["addresses"] == ["enc/conv"]
        for key in ("enc.conv", "features", "score"):
            assert arrays[key].dtype == ROWS[key].dtype
            np.testing.assert_array_equal(arrays[key], ROWS[key][:rows])
        np.testing.assert_array_equal(arrays["kernel"], KERNEL)
        cats = arrays["enc.conv"].groupby("label").mean("sample").sel(label="cat")
        np.testing.assert_array_equal(cats, IMAGES[1])


def test_xarray_takes_any_part_of_it(paths):
    with open_dump(paths["whole"]) as dump:
        images = dump.to_xarray("enc/conv")["enc.conv"]
        one = images.sel(sample="日本")
        np.testing.assert_array_equal(one, IMAGES[2])
        np.testing.assert_array_equal(
            images[::-1, 1:4:2, [4, 0, 2]], IMAGES[::-1, 1:4:2][:, :, [4, 0, 2]]
        )
        np.testing.assert_array_equal(images[[3, 1, 1], -1], IMAGES[[3, 1, 1], -1])
        np.testing.assert_array_equal(images[5:], IMAGES[5:])
        rows, widths = xarray.DataArray([0, 3, 2], dims="i"), xarray.DataArray([5, 1, 0], dims="i")
        points = images.isel(sample=rows, width=widths)
        np.testing.assert_array_equal(points, IMAGES[[0, 3, 2], :, [5, 1, 0]])
        assert images[2, 1, 3, 0] == IMAGES[2, 1, 3, 0]


def test_nothing_is_read_before_it_is_needed(paths):
    with open_dump(paths["whole"]) as dump:
        arrays = dump.to_xarray("enc/conv")
        loaded = dump.to_xarray("features").load()
    np.testing.assert_array_equal(loaded["features"], ROWS["features"])
    with pytest.raises(DumpError, match="expected an open dump, received a closed one") as caught:
        arrays.load()
    assert "to_xarray().load()" in str(caught.value.hint)


def test_a_table_has_what_is_known_of_samples_and_all_rows_of_numbers(paths):
    with open_dump(paths["whole"]) as dump:
        table = dump.to_pandas()
    titles = ["label", "valid", "reason", "features[0]", "features[1]", "features[2]", "score"]
    assert list(table.columns) == titles
    assert table.index.name == "sample"
    assert table.index.tolist() == NAMES
    assert table.loc["日本", "label"] == "größe"
    np.testing.assert_array_equal(table.filter(regex="^features"), ROWS["features"])
    assert table["features[1]"].dtype == np.float16
    assert table["score"].dtype == np.int64
    assert table[table["valid"]]["score"].tolist() == [0, 2, 3]
    with open_dump(paths["part"]) as dump:
        assert dump.to_pandas("score")["score"].tolist() == [0, 1]


def test_what_does_not_fit_is_refused_by_name(paths):
    with open_dump(paths["whole"]) as dump:
        with pytest.raises(DumpError) as caught:
            dump.to_xarray("boxes", "features")
        assert caught.value.faults == (
            f"{dump.path}: boxes: expected rows of one shape, received some that differ in shape",
        )
        with pytest.raises(DumpError) as caught:
            dump.to_pandas("enc/conv", "features", "k", "boxes")
        expected = "expected a number or a row of numbers for each sample, received"
        assert caught.value.faults == (
            f"{dump.path}: enc.conv: {expected} the shape (4, 5, 6, 3)",
            f"{dump.path}: kernel: {expected} the shape (2, 3)",
            f"{dump.path}: boxes: {expected} rows of different shapes",
        )
        with pytest.raises(KeyError, match="has no address 'featurs'; nearest: features"):
            dump.to_xarray("featurs")
    for convert in (dump.to_xarray, dump.to_pandas):
        with pytest.raises(DumpError, match="expected an open dump"):
            convert()


def test_a_dump_of_weights_alone_is_an_array_without_samples(tmp_path):
    contents = Contents(columns=[COLUMNS[4]], samples=[])
    with Writer(OutputSpec(path=tmp_path / "a.h5"), contents) as writer:
        writer.finish()
    with open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_array_equal(dump.to_xarray()["kernel"], KERNEL)
        assert dump.to_xarray().sizes["sample"] == 0
        assert dump.to_pandas().shape == (0, 0)


def test_names_of_axes_never_meet_those_of_columns(tmp_path):
    rows = np.ones((2, 3), FLOAT)
    names = ["unit", "unit_3", "sample_name2", "x"]
    columns = [column(name, (3,), axes=("unit",)) for name in names]
    columns.append(column("y", (3, 3, 3), axes=("step", "step", None)))
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"), Contents(columns=columns, samples=["a", "b"])
    ) as writer:
        writer.write(0, dict.fromkeys(names, rows) | {"y": np.ones((2, 3, 3, 3), FLOAT)})
        writer.finish()
    with open_dump(tmp_path / "a.h5") as dump:
        arrays = dump.to_xarray()
        assert arrays["x"].dims == ("sample", "dim_unit_3")
        assert arrays["y"].dims == ("sample", "step", "dim_3", "dim_3_2")
        assert dump.to_xarray("x")["x"].dims == ("sample", "unit")
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        assert dataset["unit"].dims == ("sample", "dim_unit_3")
        assert dataset["y"].dims == ("sample", "step", "dim_3", "dim_3_2")


def write_format_1(path: Path) -> None:
    """Write what kprobe wrote before: names in `sample`, in the newest format of HDF5."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update({"format": "kprobe dump", "format_version": 1})
        facts = {"committed": np.int64(2), "complete": np.uint8(1), "started": 1.0, "finished": 2.0}
        for name, fact in facts.items():
            file[name] = fact
        text = h5py.string_dtype("utf-8", 8)
        file.create_dataset("sample", data=[name.encode() for name in NAMES[:2]], dtype=text)
        file["sample"].make_scale("sample")
        for name, values in (("conv", IMAGES[:2]), ("label", LABELS[:2])):
            file[name] = values
            file[name].dims[0].attach_scale(file["sample"])
        file["conv"].attrs["addresses"] = ["conv"]
        file["label"].attrs["classes"] = ["cat", "größe"]


def test_a_dump_of_format_1_is_read(tmp_path):
    write_format_1(tmp_path / "a.h5")
    with open_dump(tmp_path / "a.h5") as dump:
        assert dump.sample.tolist() == NAMES[:2]
        assert dump.label.tolist() == ["größe", "cat"]
        arrays = dump.to_xarray()
        assert arrays["conv"].dims == ("sample", "dim_5", "dim_6", "dim_3")
        np.testing.assert_array_equal(arrays["conv"].sel(sample="b"), IMAGES[1])
        assert dump.to_pandas()["label"].tolist() == ["größe", "cat"]


WITHOUT = """
import sys
sys.modules["xarray"] = sys.modules["pandas"] = None  # as if they weren't installed
from kprobe import KprobeError, open_dump
with open_dump(sys.argv[1]) as dump:
    for convert in (dump.to_xarray, dump.to_pandas):
        try:
            convert()
        except KprobeError as error:
            print(error)
"""


def test_a_package_that_is_missing_is_named_with_what_installs_it(paths, light_python):
    done = light_python.run("-c", WITHOUT, paths["whole"])
    assert done.stdout.splitlines() == [
        "to_xarray needs xarray; pip install 'kprobe[xarray]'",
        "to_pandas needs pandas; pip install 'kprobe[pandas]'",
    ]
