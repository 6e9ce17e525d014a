import shutil

import numpy as np
import pytest
from written import (
    BOXES,
    LABELS,
    MAPS,
    NAMES,
    RANGE_ROWS,
    ROWS,
    blank_times,
    merge,
    publish,
    write,
    write_ranges,
)

from kprobe.dumps.reader import open_dump
from kprobe.errors import DumpError


def test_ranges_make_the_dump_that_one_process_writes(tmp_path):
    write_ranges(tmp_path / "a.dump")
    told = []
    merged = merge(tmp_path / "a.dump", tmp_path / "a.h5", tell=lambda *rows: told.append(rows))
    write(tmp_path / "whole.h5")
    assert blank_times(tmp_path / "a.h5") == blank_times(tmp_path / "whole.h5")
    assert (merged.rows, merged.left_out, merged.ranges) == (ROWS, 0, 5)
    assert merged.bytes == (tmp_path / "a.h5").stat().st_size
    assert told == [(5, 23), (10, 23), (15, 23), (20, 23), (23, 23)]
    assert not (tmp_path / "a.h5.partial").exists()
    with open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_array_equal(dump["maps"], MAPS)
        for row, boxes in enumerate(BOXES):
            np.testing.assert_array_equal(dump["boxes"][row], boxes)
        assert dump.sample.tolist() == NAMES
        assert dump.label.tolist() == [["cat", "dög"][number] for number in LABELS]


def test_what_is_missing_is_named(tmp_path):
    write_ranges(tmp_path / "a.dump", without={1, 2, 4})
    with pytest.raises(DumpError) as caught:
        merge(tmp_path / "a.dump", tmp_path / "a.h5")
    assert str(caught.value).startswith(
        f"{tmp_path}/a.dump: 3 of 5 ranges are missing: rows 5 to 14, 20 to 22; run them, or leave "
    )
    assert not [*tmp_path.glob("a.h5*")]


def test_what_is_missing_can_be_left_out(tmp_path):
    write_ranges(tmp_path / "a.dump", without={1, 4})
    merged = merge(tmp_path / "a.dump", tmp_path / "a.h5", allow_missing=True)
    there = np.ones(ROWS, bool)
    there[5:10] = there[20:] = False
    assert merged.left_out == ROWS - there.sum()
    with open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_array_equal(dump.valid, there)
        assert dump.count_left_out() == 8
        np.testing.assert_array_equal(dump["maps"][:], np.where(there[:, None, None], MAPS, np.nan))
        for row, boxes in enumerate(BOXES):
            np.testing.assert_array_equal(dump["boxes"][row], boxes if there[row] else boxes[:0])
        assert dump.reason[5] == "its range is missing"
        assert dump.reason[0] == ""


@pytest.mark.parametrize("allow_missing", [False, True])
def test_without_any_range_there_is_nothing_to_put_together(tmp_path, allow_missing):
    write_ranges(tmp_path / "a.dump", without=range(5))
    with pytest.raises(DumpError, match=r"none of its 5 ranges is there yet$"):
        merge(tmp_path / "a.dump", tmp_path / "a.h5", allow_missing=allow_missing)


def cut(folder, path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 8)


def take_away(folder, path):
    path.unlink()


def link(folder, path):
    other = folder.with_name("elsewhere.h5")
    path.rename(other)
    path.symlink_to(other)


def swap(folder, path):
    """Put the same range of another run in its place, as large as it is."""
    write_ranges(folder.with_name("other.dump"), seed=4)
    name = path.name.partition(".")[0]
    [other] = folder.with_name("other.dump").glob(f"{name}.*.h5")
    shutil.copy(other, path)


def exchange(folder, path):
    """Put another range of this run in its place."""
    first = min(folder.glob("*.h5"))
    shutil.copy(first, path)


def take_another_receipt(folder, path):
    write_ranges(folder.with_name("other.dump"), seed=4)
    name = path.name.partition(".")[0]
    shutil.copy(folder.with_name("other.dump") / f"{name}.json", folder / f"{name}.json")


def tear_receipt(folder, path):
    receipt = folder / f"{path.name.partition('.')[0]}.json"
    receipt.write_bytes(receipt.read_bytes()[:50])


@pytest.mark.parametrize("allow_missing", [False, True])
@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (cut, "bytes, received"),
        (take_away, "expected the file of rows 5 to 9: No such file"),
        (link, "expected a regular file"),
        (swap, "expected rows 5 to 9, received another range, or one of another plan"),
        (exchange, r"expected (rows 5 to 9|[\d,]+ bytes), received"),
        (take_another_receipt, "received one where the plan is another"),
        (tear_receipt, "expected a record of kprobe, received one that "),
    ],
)
def test_a_range_that_is_not_what_its_receipt_says_is_an_error(
    tmp_path, harm, message, allow_missing
):
    folder = tmp_path / "a.dump"
    write_ranges(folder)
    [path] = folder.glob("000000000005-*.h5")
    harm(folder, path)
    with pytest.raises(DumpError, match=message):
        merge(folder, tmp_path / "a.h5", allow_missing=allow_missing)
    assert not [*tmp_path.glob("a.h5*")]


@pytest.mark.parametrize("attrs", [{"seed": 4}, {"model": "n.keras"}])
def test_a_file_that_says_other_things_is_of_another_plan(tmp_path, attrs):
    plan = write_ranges(tmp_path / "a.dump", without={2})
    publish(tmp_path / "a.dump", plan, plan.ranges[2], **attrs)
    with pytest.raises(DumpError, match="expected what the plan says"):
        merge(tmp_path / "a.dump", tmp_path / "a.h5")


def test_an_old_dump_stays_unless_it_may_be_replaced(tmp_path):
    write_ranges(tmp_path / "a.dump")
    write(tmp_path / "a.h5", seed=9)
    before = (tmp_path / "a.h5").read_bytes()
    with pytest.raises(DumpError, match="exists"):
        merge(tmp_path / "a.dump", tmp_path / "a.h5")
    assert (tmp_path / "a.h5").read_bytes() == before


FEW_FILES = """
import resource, sys
from pathlib import Path
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ranges.merge import merge_ranges
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
merge_ranges(Path(sys.argv[1]), OutputSpec(path=Path(sys.argv[2])))
"""


def test_no_more_files_are_open_than_a_few(tmp_path, monkeypatch, light_python):
    monkeypatch.setattr("written.RANGE_ROWS", 1)
    write_ranges(tmp_path / "a.dump")
    assert len([*(tmp_path / "a.dump").glob("*.h5")]) == ROWS > 20 > RANGE_ROWS
    done = light_python.run("-c", FEW_FILES, tmp_path / "a.dump", tmp_path / "a.h5")
    assert done.returncode == 0, done.stderr
    write(tmp_path / "whole.h5")
    assert blank_times(tmp_path / "a.h5") == blank_times(tmp_path / "whole.h5")
