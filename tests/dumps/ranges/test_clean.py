import pytest
from written import ROWS, blank_times, make_contents, merge, publish, write, write_ranges

from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ranges.clean import clean_folder
from kprobe.dumps.ranges.receipts import choose_file
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError


def test_what_no_receipt_vouches_for_is_taken_away(tmp_path):
    folder = tmp_path / "a.dump"
    plan = write_ranges(folder, without={1})
    kept = {path.name for path in folder.iterdir()}
    unpublished = write(choose_file(folder, plan.ranges[1]), 5, 10)
    left = [
        unpublished.name,
        f".plan.json.{'0' * 16}",
        f".000000000000-000000000005.json.{'a' * 16}",
        f"000000000005-000000000010.{'b' * 16}.h5.partial",
    ]
    for name in left[1:]:
        (folder / name).write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    told = clean_folder(folder, dry_run=True)
    assert sorted(told.files) == sorted(left)
    assert {*left} <= {path.name for path in folder.iterdir()}
    cleaned = clean_folder(folder)
    assert cleaned == told
    assert (cleaned.busy, cleaned.others) == ([], 1)
    assert {path.name for path in folder.iterdir()} == kept | {"notes.txt"}


def test_a_receipt_that_vouches_for_nothing_goes_too_so_that_the_range_can_be_run_again(tmp_path):
    folder = tmp_path / "a.dump"
    plan = write_ranges(folder)
    [gone] = folder.glob("000000000005-*.h5")
    gone.unlink()
    [cut] = folder.glob("000000000015-*.h5")
    cut.write_bytes(cut.read_bytes()[:-1])
    (folder / "000000000020-000000000023.json").write_text("{")
    with pytest.raises(DumpError, match="`kprobe clean` takes it away"):
        merge(folder, tmp_path / "a.h5")
    clean_folder(folder)
    for number in (1, 3, 4):
        publish(folder, plan, plan.ranges[number])
    merge(folder, tmp_path / "a.h5")
    assert blank_times(tmp_path / "a.h5") == blank_times(write(tmp_path / "whole.h5"))


def test_what_a_process_is_writing_stays(tmp_path, light_python):
    folder = tmp_path / "a.dump"
    plan = write_ranges(folder, without={1})
    busy = choose_file(folder, plan.ranges[1])
    with Writer(OutputSpec(path=busy), make_contents(5, 10)):
        done = light_python.run(
            "-c",
            "import sys; from pathlib import Path\n"
            "from kprobe.dumps.ranges.clean import clean_folder\n"
            "print(clean_folder(Path(sys.argv[1])).busy)",
            folder,
        )
        assert done.stdout == f"['{busy.name}.partial']\n", done.stderr
    assert ROWS > 10
