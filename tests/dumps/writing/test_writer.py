from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = np.dtype(np.float32)
COLUMNS = [
    Column("conv", (5, 7), FLOAT, {"addresses": ["conv"]}),
    Column("label", (), np.dtype(np.int64), {"addresses": ["label"]}),
    Column("mask", (3,), np.dtype(np.uint8), {"addresses": ["mask"]}),
    Column("nothing", (0, 2), FLOAT, {"addresses": ["nothing"]}),
]
SAMPLES = [f"sample {row}" for row in range(10)]
CONTENTS = Contents(columns=COLUMNS, samples=SAMPLES)


def make_rows(start: int, stop: int) -> dict[str, Any]:
    rows = np.arange(start, stop)
    return {
        "conv": (rows[:, None, None] + np.linspace(0, 0.5, 35).reshape(5, 7)).astype(FLOAT),
        "label": rows * 10**12,
        "mask": np.repeat(rows[:, None], 3, axis=1).astype(np.uint8),
        "nothing": np.zeros((stop - start, 0, 2), FLOAT),
    }


def write_dump(path: Path, **options: Any) -> None:
    with Writer(OutputSpec(path=path, **options), CONTENTS) as writer:
        writer.write(0, make_rows(0, 10))
        writer.finish()


def test_rows_come_back_as_they_were_written_in_any_order_of_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Writer(OutputSpec(path=path), CONTENTS, in_flight=1) as writer:
        for start, stop in [(4, 8), (0, 4), (8, 8), (8, 10)]:
            writer.write(start, make_rows(start, stop))
        assert not path.exists()
        writer.finish()
    with h5py.File(path, "r") as file:
        for name, expected in make_rows(0, 10).items():
            np.testing.assert_array_equal(file[name][...], expected)
        assert file["committed"][()] == 10
        assert file["complete"][()] == 1
        assert file["finished"][()] >= file["started"][()]
    assert list(tmp_path.iterdir()) == [path]


def test_batches_of_many_pieces_come_back_as_they_were_written(tmp_path: Path) -> None:
    columns = [Column("a", (1024, 1100), FLOAT), Column("b", (300, 1000), FLOAT)]
    rng = np.random.default_rng(0)
    batch = {c.name: rng.random((4, *c.shape), dtype=np.float32) for c in columns}
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"),
        Contents(columns=columns, samples=[*"abcd"]),
        threads=4,
    ) as writer:
        writer.write(0, batch)
        writer.finish()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        for name, expected in batch.items():
            np.testing.assert_array_equal(file[name][...], expected)


def test_anything_with_the_buffer_protocol_is_taken(tmp_path: Path) -> None:
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"),
        Contents(columns=[Column("a", (4,), FLOAT)], samples=["x", "y"]),
    ) as writer:
        rows = memoryview(np.arange(8, dtype=FLOAT).tobytes()).cast("f", (2, 4))
        writer.write(0, {"a": rows})
        writer.finish()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["a"][...].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_dump_of_no_rows_is_complete(tmp_path: Path) -> None:
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"), Contents(columns=COLUMNS, samples=[])
    ) as writer:
        writer.finish()
    with open_dump(tmp_path / "a.h5") as dump:
        assert dump.complete
        assert dump["conv"].shape == (0, 5, 7)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "conv",
            np.zeros((2, 5, 7)),
            "conv: expected float32 of shape (2, 5, 7), received float64 of shape (2, 5, 7)",
        ),
        (
            "conv",
            np.zeros((2, 7, 5), FLOAT),
            "conv: expected float32 of shape (2, 5, 7), received float32 of shape (2, 7, 5)",
        ),
        (
            "mask",
            np.zeros((3, 3), np.uint8),
            "mask: expected uint8 of shape (2, 3), received uint8 of shape (3, 3)",
        ),
        (
            "mask",
            np.zeros((2, 3), bool),
            "mask: expected uint8 of shape (2, 3), received bool of shape (2, 3)",
        ),
        (
            "conv",
            np.zeros((2, 7, 5), FLOAT).swapaxes(1, 2),
            "conv: expected a C-contiguous array, received another",
        ),
        ("label", [1, 2], "label: expected an array, received list"),
        ("other", np.zeros(2), "expected the columns conv, label, mask, nothing, received conv"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, value: Any, message: str
) -> None:
    with Writer(OutputSpec(path=tmp_path / "a.h5"), CONTENTS) as writer:
        with pytest.raises(DumpError) as caught:
            writer.write(0, make_rows(0, 2) | {name: value})
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("start", "message"),
    [(9, "rows within 0 to 10, received 9 to 11"), (-1, "-1 to 1"), (1, "received row 1 again")],
)
def test_rows_out_of_range_or_twice_are_refused(tmp_path: Path, start: int, message: str) -> None:
    with Writer(OutputSpec(path=tmp_path / "a.h5"), CONTENTS) as writer:
        writer.write(0, make_rows(0, 2))
        with pytest.raises(DumpError, match=message):
            writer.write(start, make_rows(0, 2))


def test_rows_that_were_never_written_are_not_committed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Writer(OutputSpec(path=path), CONTENTS) as writer:
        writer.write(0, make_rows(0, 4))
        writer.write(6, make_rows(6, 10))
        with pytest.raises(DumpError, match="rows 0 to 10 to commit, and row 4 was not written"):
            writer.finish()
    assert not path.exists()


def test_committed_rows_are_in_the_file_when_commit_returns(tmp_path: Path) -> None:
    columns = [Column("a", (1 << 20,), np.dtype(np.uint8))]
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"),
        Contents(columns=columns, samples=[""] * 64),
        threads=1,
    ) as writer:
        writer.write(0, {"a": np.ones((64, 1 << 20), np.uint8)})
        writer.commit(64)
        with h5py.File(tmp_path / "a.h5.partial", "r") as file:
            assert file["committed"][()] == 64
            assert file["a"][63].all()


def test_a_failed_run_leaves_the_rows_handed_over_and_no_finished_file(tmp_path: Path) -> None:
    def fail(writer: Writer) -> None:
        with writer:
            writer.write(0, make_rows(0, 4))
            writer.commit(4)
            writer.write(4, make_rows(4, 6))
            writer.write(8, make_rows(8, 10))  # beyond a gap
            raise KeyError("a fault of the caller")

    writer = Writer(OutputSpec(path=tmp_path / "a.h5"), CONTENTS)
    with pytest.raises(KeyError):
        fail(writer)
    assert writer.committed == 6
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5.partial"]
    with open_dump(tmp_path / "a.h5.partial") as dump:
        assert not dump.complete
        assert dump.committed == 6
        np.testing.assert_array_equal(dump["conv"][:6], make_rows(0, 6)["conv"])
    with pytest.raises(DumpError, match="holds 6 samples of an earlier run"):
        write_dump(tmp_path / "a.h5")
    write_dump(tmp_path / "a.h5", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_run_that_was_handed_no_row_leaves_nothing(tmp_path: Path) -> None:
    with Writer(OutputSpec(path=tmp_path / "a.h5"), CONTENTS) as writer:
        writer.write(6, make_rows(6, 8))
    assert writer.committed == 0
    assert not list(tmp_path.iterdir())


def test_a_run_whose_rows_can_not_be_written_leaves_by_its_own_exception(tmp_path: Path) -> None:
    def fail(writer: Writer) -> None:
        with writer:
            writer.write(0, make_rows(0, 4))
            writer.commit(4)
            read_only = os.open(writer.partial, os.O_RDONLY)
            os.dup2(read_only, writer._rows._writes._behind)
            os.close(read_only)
            writer.write(4, make_rows(4, 6))
            raise KeyError("a fault of the caller")

    writer = Writer(OutputSpec(path=tmp_path / "a.h5"), CONTENTS)
    with pytest.raises(KeyError):
        fail(writer)
    assert writer.committed == 4
    with open_dump(tmp_path / "a.h5.partial") as dump:
        assert dump.committed == 4


def test_a_file_that_is_taken_away_ends_the_run_at_the_next_commit(tmp_path: Path) -> None:
    place = tmp_path / "scratch"
    place.mkdir()

    def lose(writer: Writer) -> None:
        with writer:
            writer.write(0, make_rows(0, 4))
            writer.commit(4)
            shutil.rmtree(place)
            writer.write(4, make_rows(4, 6))
            writer.commit(6)

    writer = Writer(OutputSpec(path=place / "a.h5"), CONTENTS)
    with pytest.raises(DumpError, match=r"a\.h5\.partial: was removed or renamed"):
        lose(writer)
    assert writer.committed == 4


def test_memory_does_not_grow_with_the_batches(tmp_path: Path) -> None:
    columns = [Column("a", (1 << 20,), np.dtype(np.uint8))]
    with Writer(
        OutputSpec(path=tmp_path / "a.h5"),
        Contents(columns=columns, samples=[""] * 200),
        in_flight=3,
    ) as writer:
        for row in range(200):
            writer.write(row, {"a": np.full((1, 1 << 20), row, np.uint8)})
            assert writer.waiting <= 3
        writer.finish()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["a"][:, 12345].tolist() == list(range(200))


class Stream:
    """Names of rows that nobody has counted, as `Samples.names` gives them."""

    def __init__(self, rows: int, width: int = 24) -> None:
        self.rows = rows
        self.dtype = np.dtype(f"S{width}")

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: slice) -> np.ndarray[Any, Any]:
        names = [f"größe[{row}]".encode() for row in range(self.rows)[rows]]
        return np.array(names, f"S{max(map(len, names), default=1)}")


def test_the_rows_of_a_stream_have_their_names_from_the_first_commit_on(tmp_path: Path) -> None:
    output = OutputSpec(path=tmp_path / "a.h5", resume=True)
    contents = Contents(columns=COLUMNS[:1], samples=Stream(1 << 30), open_ended=True)
    expected = [f"größe[{row}]" for row in range(10)]
    with Writer(output, contents) as writer:
        writer.write(0, {"conv": make_rows(0, 4)["conv"]})
    with open_dump(writer.partial) as dump:
        assert dump.describe_samples()["sample"].tolist() == expected[:4]
        assert dump.to_xarray()["conv"].sel(sample="größe[2]").shape == (5, 7)
    with h5py.File(writer.partial) as file:
        assert file["sample"][:4].tolist() == [0, 1, 2, 3]
    with Writer(output, contents) as writer:
        assert writer.committed == 4
        writer.write(4, {"conv": make_rows(4, 10)["conv"]})
        writer.commit(10)
        with h5py.File(writer.partial) as file:
            assert [name.decode() for name in file["sample_name"][:10]] == expected
        writer.finish(Stream(10, 10))
    with open_dump(tmp_path / "a.h5") as dump:
        assert dump.sample.tolist() == expected
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["sample_name"].dtype == "S10"
        assert file["sample"][...].tolist() == list(range(10))


def test_a_name_that_is_longer_than_was_said_is_refused_and_not_cut(tmp_path: Path) -> None:
    output = OutputSpec(path=tmp_path / "a.h5")
    contents = Contents(columns=COLUMNS, samples=Stream(1 << 30, width=5), open_ended=True)
    with (
        pytest.raises(DumpError, match="names of samples of 5 bytes at most, received one of 10"),
        Writer(output, contents) as writer,
    ):
        writer.write(0, make_rows(0, 4))
    with (
        pytest.raises(DumpError, match="of 5 bytes at most"),
        Writer(output, Contents(columns=COLUMNS, samples=Stream(4, width=5))),
    ):
        pass
    assert not list(tmp_path.iterdir())
