import json

import pytest
from written import RANGE_ROWS, make_contents, write_ranges

from kprobe.dumps.ranges.range_plan import agree_on_plan, plan_ranges, read_plan
from kprobe.errors import DumpError


def test_what_is_read_is_what_was_written(tmp_path):
    ours = plan_ranges(make_contents(text="dög 😀 \udcff", number=0.1), RANGE_ROWS)
    assert agree_on_plan(tmp_path, ours) is ours
    theirs = read_plan(tmp_path)
    assert theirs.id == ours.id
    assert theirs.find_differences(ours) == []
    assert theirs.ranges == [range(5), range(5, 10), range(10, 15), range(15, 20), range(20, 23)]
    assert [*theirs.attrs] == [*ours.attrs]


def test_ranges_of_another_size_are_of_the_same_run(tmp_path):
    first = agree_on_plan(tmp_path, plan_ranges(make_contents(), RANGE_ROWS))
    second = agree_on_plan(tmp_path, plan_ranges(make_contents(), 7))
    assert second.id == first.id
    assert second.range_rows == RANGE_ROWS


def test_another_run_is_told_from_it(tmp_path):
    write_ranges(tmp_path / "a.dump")
    contents = make_contents(0, 20, seed=4)
    with pytest.raises(DumpError) as caught:
        agree_on_plan(tmp_path / "a.dump", plan_ranges(contents, RANGE_ROWS))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/a.dump: its ranges are of another run, and this one can't")
    assert "seed: 3 then, 4 now" in said
    assert "23 samples then, 20 now" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "format is 'other'"),
        ({"format_version": 2}, "a newer version"),
        ({"rows": -1}, "rows is -1"),
        ({"rows": True}, "rows is True"),
        ({"rows": 24}, "the id is of another plan"),
        ({"range_rows": 0}, "range_rows is 0"),
        ({"columns": [3]}, "columns is"),
        ({"attrs": {"seed": None}}, "attribute"),
        ({"id": "0" * 64}, "the id is of another plan"),
    ],
)
def test_a_damaged_plan_is_refused(tmp_path, change, message):
    write_ranges(tmp_path / "a.dump")
    path = tmp_path / "a.dump" / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DumpError, match=message):
        read_plan(tmp_path / "a.dump")


@pytest.mark.parametrize(
    "change",
    [{"dtype": "O"}, {"shape": [-2]}, {"shape": [1] * 40}, {"name": "a/b"}, {"sha256": "../x"}],
)
def test_a_damaged_column_is_refused(tmp_path, change):
    write_ranges(tmp_path / "a.dump")
    path = tmp_path / "a.dump" / "plan.json"
    values = json.loads(path.read_text())
    values["columns"][0] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(DumpError, match="expected a plan of kprobe, received one where"):
        read_plan(tmp_path / "a.dump")


@pytest.mark.parametrize(
    ("make", "received"),
    [
        (lambda path: None, "a path where there is nothing"),
        (lambda path: path.touch(), "a file"),
        (lambda path: path.mkdir(), "one without a plan.json"),
    ],
)
def test_what_is_no_directory_of_ranges_is_told(tmp_path, make, received):
    make(tmp_path / "a.dump")
    with pytest.raises(DumpError) as caught:
        read_plan(tmp_path / "a.dump")
    assert str(caught.value).endswith(f"expected a directory of ranges, received {received}")
