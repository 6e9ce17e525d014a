from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.layout import lay_out
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = np.dtype(np.float32)


def test_a_file_just_laid_out_is_valid_and_has_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    columns = [Column("conv", (8, 8, 64), FLOAT, {"layer": "conv"})]
    offsets = lay_out(path, Contents(columns=columns, samples=["a", "b"], attrs={"seed": 7}))
    with h5py.File(path, "r") as file:
        assert dict(file.attrs) == {"format": "kprobe dump", "format_version": 2, "seed": 7}
        assert file["conv"].shape == (2, 8, 8, 64)
        assert file["conv"].dtype == FLOAT
        assert file["conv"].attrs["layer"] == "conv"
        assert file["conv"].id.get_offset() == offsets["conv"]
        assert file["conv"].chunks is None
        assert file["committed"][()] == 0
        assert file["complete"][()] == 0
        assert file["started"][()] > 1.7e9
        assert np.isnan(file["finished"][()])


def test_rows_begin_on_a_page_and_the_row_counter_does_not_straddle_two(tmp_path: Path) -> None:
    columns = [Column("a", (999,), FLOAT), Column("b", (), FLOAT), Column("c", (2048,), FLOAT)]
    attrs = {"text": "x" * 70_000, **{f"option {number}": number for number in range(50)}}
    offsets = lay_out(tmp_path / "a.h5", Contents(columns=columns, samples=["a", "b"], attrs=attrs))
    assert offsets["a"] is not None
    assert offsets["a"] % 4096 == 0
    assert offsets["c"] is not None
    assert offsets["c"] % 4096 == 0
    assert offsets["committed"] is not None
    assert offsets["committed"] % 8 == 0


ON_RAMFS = """
import logging, sys
import h5py
import numpy as np
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
columns = [Column("a", (4,), np.dtype("f4")), Column("b", (-1,), np.dtype("f4"))]
with Writer(OutputSpec(path=sys.argv[1]), Contents(columns=columns, samples=["x", "y"])) as writer:
    rows = [np.ones(3, "f4"), np.ones(5, "f4")]
    writer.write(0, {"a": np.ones((2, 4), "f4"), "b": rows})
    writer.finish()
with h5py.File(sys.argv[1]) as file:
    print(file["a"][:].sum(), file["b/values"][:].sum())
"""


def test_where_nothing_can_be_reserved_it_is_said_and_written_all_the_same(tmp_path: Path) -> None:
    """Files of ramfs can't be preallocated; users may mount one in a namespace of their own."""
    mounted = ["unshare", "-rm", "sh", "-c", 'mount -t ramfs x "$1" && shift && exec "$@"', "sh"]
    try:
        subprocess.run([*mounted, str(tmp_path), "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no filesystem can be mounted here")
    path = tmp_path / "a.h5"
    command = [*mounted, str(tmp_path), sys.executable, "-c", ON_RAMFS, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    said, sums = result.stdout.splitlines()
    assert said.startswith(f"{path}.partial: the filesystem can't reserve ")
    assert sums == "8.0 8.0"


def test_the_space_of_the_rows_is_reserved_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    lay_out(path, Contents(columns=[Column("a", (1024, 1024), FLOAT)], samples=["a", "b"]))
    assert path.stat().st_blocks * 512 >= 2 * 4 * 1024 * 1024


def test_xarray_opens_a_dump_with_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    samples = ["cats/1.png", "münchen.png", "日本.png"]
    columns = [
        Column("conv", (4, 4, 8), FLOAT, {"addresses": ["conv", "at:1"], "frozen": True}),
        Column("score", (), np.dtype(np.float16), {}),
        Column("spectrum", (4,), np.dtype(np.complex64), {}),
        Column("none", (0, 4), FLOAT, {}),
        Column("reason", (), np.dtype("S20"), {}),
    ]
    lay_out(
        path, Contents(columns=columns, samples=samples, attrs={"layers": ["conv"], "empty": []})
    )
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["conv"].dims == ("sample", "dim_4", "dim_4_2", "dim_8")
        assert dataset["none"].dims == ("sample", "dim_0", "dim_4")
        assert dataset["spectrum"].dims == ("sample", "dim_4")
        assert dataset["score"].dims == ("sample",)
        assert dataset["sample"].values.tolist() == [0, 1, 2]
        assert dataset["sample_name"].values.tolist() == samples
        assert list(dataset.coords) == ["sample", "sample_name"]
        named = dataset["conv"].set_xindex("sample_name")
        assert named.sel(sample_name="日本.png").shape == (4, 4, 8)
        assert dataset["started"].dtype.kind == "M"
        assert dataset["conv"].attrs["addresses"] == ["conv", "at:1"]


def test_what_is_the_same_for_all_samples_is_written_at_once_without_their_axis(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.h5"
    values = {
        "kernel": np.arange(72, dtype="f4").reshape(3, 3, 1, 8),
        "scale": np.array(0.5, "f4"),
        "none": np.empty((0, 8), "f4"),
        "mask": np.array([1, 0, 1], "u1"),
    }
    columns = [Column(name, v.shape, v.dtype, value=v) for name, v in values.items()]
    lay_out(
        path,
        Contents(columns=[*columns, Column("conv", (8, 8), FLOAT)], samples=["a", "b"]),
    )
    with h5py.File(path, "r") as file:
        for name, value in values.items():
            assert file[name].dtype == value.dtype
            np.testing.assert_array_equal(file[name][...], value)
        axes = [[scale.name for scale in axis.values()] for axis in file["kernel"].dims]
        assert axes == [["/dim_3"], ["/dim_3_2"], ["/dim_1"], ["/dim_8"]]
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["kernel"].dims == ("dim_3", "dim_3_2", "dim_1", "dim_8")
        assert dataset["conv"].dims == ("sample", "dim_8", "dim_8_2")
        assert dataset["scale"].dims == ()
        for name, value in values.items():
            np.testing.assert_array_equal(dataset[name], value)


def test_a_disk_too_small_for_what_all_samples_share_is_noticed_first(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    # Takes up no memory, and no disk has so much room.
    value = np.broadcast_to(np.zeros((), "f4"), (1 << 25, 1 << 25))
    with pytest.raises(DumpError, match="bytes are needed"):
        lay_out(
            path,
            Contents(
                columns=[Column("kernel", value.shape, value.dtype, value=value)],
                samples=[],
            ),
        )
    assert not path.exists()


def test_xarray_opens_a_dump_of_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    assert (
        lay_out(path, Contents(columns=[Column("conv", (4, 8), FLOAT)], samples=[]))["conv"] is None
    )
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        assert dataset["conv"].shape == (0, 4, 8)


def test_hdf5_itself_sees_the_dimension_scales_attached(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    lay_out(
        path,
        Contents(
            columns=[Column("conv", (4, 8), FLOAT), Column("dense", (8,), FLOAT)],
            samples=["a"],
        ),
    )
    with h5py.File(path, "r") as file:
        for name, dimensions in {
            "conv": ["sample", "dim_4", "dim_8"],
            "dense": ["sample", "dim_8"],
        }.items():
            for axis, dimension in enumerate(dimensions):
                assert h5py.h5ds.is_attached(file[name].id, file[dimension].id, axis)
            assert [axis[0].name for axis in file[name].dims] == [f"/{d}" for d in dimensions]


def test_more_columns_than_the_old_file_format_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    lay_out(
        path,
        Contents(columns=[Column(f"c{i}", (2, 2), FLOAT) for i in range(4100)], samples=["a"]),
    )
    with h5netcdf.File(path, "r") as file:
        assert file["c4099"].dimensions == ("sample", "dim_2", "dim_2_2")
        assert list(file)[-4:] == ["c4096", "c4097", "c4098", "c4099"]


def test_a_sample_name_that_is_not_utf8_becomes_readable_text(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    lay_out(
        path,
        Contents(columns=[], samples=[b"caf\xe9.png".decode(errors="surrogateescape")]),
    )
    with h5py.File(path, "r") as file:
        assert file["sample_name"][0].decode() == r"caf\udce9.png"


def test_text_that_utf8_does_not_have_is_written_as_escapes(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    text = b"nonutf\xff.keras".decode(errors="surrogateescape")
    attrs = {"model": text, "addresses": [text, "ö", "a\0b"]}
    lay_out(
        path, Contents(columns=[Column("a", (), FLOAT, attrs)], samples=[text, "b\0"], attrs=attrs)
    )
    with h5py.File(path, "r") as file:
        assert file["sample_name"].asstr()[...].tolist() == [r"nonutf\udcff.keras", r"b\x00"]
        for place in (file, file["a"]):
            assert place.attrs["model"] == r"nonutf\udcff.keras"
            assert place.attrs["addresses"].tolist() == [r"nonutf\udcff.keras", "ö", r"a\x00b"]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40])
def test_an_integer_that_hdf5_does_not_have_is_refused(tmp_path: Path, number: int) -> None:
    column = Column("a", (), FLOAT, {"seed": number})
    for columns, attrs in (([column], {}), ([], {"seed": number})):
        with pytest.raises(DumpError) as caught:
            lay_out(tmp_path / "a.h5", Contents(columns=columns, samples=["x"], attrs=attrs))
        assert caught.value.faults == (f"seed: expected an integer of 64 bits, received {number}",)
    assert not list(tmp_path.iterdir())


class CountedNames:
    """Names as `Samples.names` gives them, with a count of the largest piece."""

    dtype = np.dtype("S16")

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.largest = 0

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: slice) -> np.ndarray[Any, Any]:
        chosen = range(self.rows)[rows]
        self.largest = max(self.largest, len(chosen))
        return np.arange(chosen.start, chosen.stop).astype("S16")


def test_sample_names_are_made_and_written_in_pieces(tmp_path: Path) -> None:
    names = CountedNames(3_000_000)
    lay_out(tmp_path / "a.h5", Contents(columns=[], samples=names))
    assert 0 < names.largest <= 2**20
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["sample_name"].shape == (3_000_000,)
        numbers = file["sample"][::999_999]
        assert numbers.tolist() == [0, 999_999, 1_999_998, 2_999_997]
        assert file["sample_name"][::999_999].tolist() == numbers.astype("S").tolist()


def test_no_name_is_made_before_the_space_is_known_to_be_there(tmp_path: Path) -> None:
    names = CountedNames(10**11)
    with pytest.raises(DumpError, match="bytes are needed, and"):
        lay_out(
            tmp_path / "a.h5",
            Contents(columns=[Column("a", (100,), FLOAT)], samples=names),
        )
    assert names.largest == 0
    assert not list(tmp_path.iterdir())


def test_sample_names_may_come_as_an_array_of_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    names = ["x[0]", "日本[1]"]
    lay_out(path, Contents(columns=[], samples=np.array([name.encode() for name in names])))
    with h5py.File(path, "r") as file:
        assert file["sample_name"].asstr("utf-8")[...].tolist() == names


def test_a_dump_larger_than_the_disk_is_refused_and_an_existing_file_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"rows of an earlier run")
    with pytest.raises(DumpError, match=r"4,000,000,\d\d\d,\d\d\d,\d\d\d bytes are needed, and"):
        lay_out(path, Contents(columns=[Column("a", (10**9,), FLOAT)], samples=["a"] * 10**6))
    assert path.read_bytes() == b"rows of an earlier run"


def test_text_tensors_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="labels: expected numbers, received object"):
        lay_out(
            tmp_path / "a.h5",
            Contents(columns=[Column("labels", (), np.dtype(object))], samples=["a"]),
        )
    assert not list(tmp_path.iterdir())
