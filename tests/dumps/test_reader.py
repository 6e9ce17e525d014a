from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.layout import lay_out
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = np.dtype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    columns = [
        Column("z.conv", (4,), FLOAT, {"addresses": ["z/conv", "at:1"]}),
        Column("nms", (2,), FLOAT, {"addresses": ["ROI//NMS:0"]}),
        Column("valid", (), np.dtype(np.uint8)),
    ]
    attrs = {"model": "m", "seed": 3, "exact": True, "scale": 0.5, "layers": ["a", "b"], "no": []}
    with Writer(
        OutputSpec(path=path), Contents(columns=columns, samples=["é.png", "b"], attrs=attrs)
    ) as writer:
        rows = {"z.conv": np.ones((2, 4), FLOAT), "nms": np.zeros((2, 2), FLOAT)}
        writer.write(0, rows | {"valid": np.ones(2, np.uint8)})
        writer.finish()
    return path


def test_a_dump_is_a_mapping_from_every_address_in_stored_order(path: Path) -> None:
    with open_dump(path) as dump:
        assert list(dump) == ["z/conv", "at:1", "ROI//NMS:0"]
        assert len(dump) == 3
        assert dump.columns == ["z.conv", "nms"]
        assert dump["z/conv"][1].tolist() == [1, 1, 1, 1]
        assert dump["at:1"] == dump["z/conv"] == dump["z.conv"]
        assert dump["nms"] == dump["ROI//NMS:0"]
        assert "nms" in dump


def test_a_dump_knows_its_rows_and_its_facts_as_plain_values(path: Path) -> None:
    with open_dump(path) as dump:
        assert dump.sample.tolist() == ["é.png", "b"]
        assert (dump.rows, dump.committed, dump.complete) == (2, 2, True)
        assert dump.attrs == {
            "format": "kprobe dump",
            "format_version": 2,
            "model": "m",
            "seed": 3,
            "exact": True,
            "scale": 0.5,
            "layers": ["a", "b"],
            "no": [],
        }
        assert {type(value) for value in dump.attrs.values()} == {str, int, bool, float, list}


def test_an_exact_address_wins_over_the_name_of_another_column(tmp_path: Path) -> None:
    first = {"addresses": ["conv1", "conv2"]}  # `conv2` is its alias
    second = {"addresses": ["conv2", "conv3"]}
    for columns in (("conv2", first), ("conv3", second)), (("conv3", second), ("conv2", first)):
        path = tmp_path / f"{columns[0][0]}.h5"
        lay_out(
            path,
            Contents(
                columns=[Column(name, (), FLOAT, attrs) for name, attrs in columns],
                samples=["x"],
            ),
        )
        with open_dump(path) as dump:
            assert dump["conv1"].name == "/conv2"
            assert dump["conv2"].name == "/conv3"
            assert dump["conv3"].name == "/conv3"
            assert sorted(dump) == ["conv1", "conv2", "conv3"]


def test_an_unknown_address_is_a_key_error_that_names_the_nearest(path: Path) -> None:
    with open_dump(path) as dump:
        assert "sample" not in dump
        assert dump.get("conv9") is None
        with pytest.raises(KeyError) as caught:
            dump["z/conw"]
        assert isinstance(caught.value, DumpError)
        expected = f"{path}: has no address 'z/conw'; nearest: z/conv, z.conv"
        assert str(caught.value) == expected
        assert caught.value.hint == "nearest: z/conv, z.conv"
        with pytest.raises(DumpError) as caught_far:
            dump["quite different"]
        assert caught_far.value.hint == "it has z/conv, at:1, ROI//NMS:0, z.conv, nms"


def test_a_missing_dump_is_said_so_and_an_unfinished_one_is_pointed_out(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match="received a path where there is no file") as caught:
        open_dump(tmp_path / "b.h5")
    assert caught.value.hint == "check the path"
    (tmp_path / "b.h5.partial").write_text("")
    with pytest.raises(DumpError) as caught:
        open_dump(tmp_path / "b.h5")
    assert caught.value.hint == f"{tmp_path}/b.h5.partial holds what was written of it"


def test_files_that_are_not_dumps_are_refused(tmp_path: Path, path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("text")
    with pytest.raises(DumpError, match="expected a dump, received a file that HDF5 can't open"):
        open_dump(other)
    model = other.rename(tmp_path / "model.keras")
    with pytest.raises(DumpError) as caught:
        open_dump(model)
    assert caught.value.hint == "`kprobe dump` makes a dump of a model"
    other.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(
        DumpError, match=r"expected a dump, received a file that HDF5 can't open: .*truncated"
    ):
        open_dump(other)
    with h5py.File(other, "w") as file:
        file["a"] = 1
    with pytest.raises(DumpError, match="received an HDF5 file of another tool"):
        open_dump(other)


def test_a_newer_format_is_refused(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 3
    with pytest.raises(DumpError, match="expected format 2 at most, received format 3"):
        open_dump(path)


def test_the_repr_says_what_a_dump_is(path: Path) -> None:
    with open_dump(path) as dump:
        assert repr(dump) == f"<Dump {path}: 2 columns (z.conv, nms), 2 rows, complete>"
    assert repr(dump) == f"<Dump {path}: 2 columns (z.conv, nms), 2 rows, complete, closed>"
    columns = [Column(f"c{i}", (), FLOAT, {"addresses": [f"c{i}"]}) for i in range(1500)]
    lay_out(path, Contents(columns=columns, samples=np.zeros(2000, "S1")))
    with open_dump(path) as dump:
        shown = "1,500 columns (c0, c1, c2, c3, …)"
        assert repr(dump) == f"<Dump {path}: {shown}, 2,000 rows, 0 committed>"
    lay_out(path, Contents(columns=[], samples=["x"]))
    with open_dump(path) as dump:
        assert repr(dump) == f"<Dump {path}: no columns, 1 rows, 0 committed>"


@pytest.mark.parametrize("committed", [-1, 3])
def test_more_rows_committed_than_there_are_is_damage(path: Path, committed: int) -> None:
    with h5py.File(path, "r+") as file:
        file["committed"][()] = committed
    with pytest.raises(DumpError, match=f"damaged one: {committed} of 2 rows are committed"):
        open_dump(path)
