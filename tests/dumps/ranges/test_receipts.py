from written import publish, write_ranges

from kprobe.dumps.ranges.receipts import list_receipts


def test_who_comes_second_with_a_range_takes_the_first_one(tmp_path):
    folder = tmp_path / "a.dump"
    plan = write_ranges(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    receipt = publish(folder, plan, plan.ranges[1])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert receipt.file in before


def test_what_was_published_is_told_from_what_was_not(tmp_path):
    plan = write_ranges(tmp_path / "a.dump", without={3})
    found, missing = list_receipts(tmp_path / "a.dump", plan)
    assert [receipt.rows for receipt in found] == [plan.ranges[n] for n in (0, 1, 2, 4)]
    assert missing == [plan.ranges[3]]
