import json

import pytest

import kprobe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("merge") / "a.dump"
    settings = {"random": 6, "batch_size": 2}
    kprobe.dump("sample_models/digits_cnn.keras", ["digit"], output=folder, shard="1/2", **settings)
    return folder


def test_missing_ranges_are_named_and_can_be_left_out(folder, tmp_path, warm_python):
    done = warm_python.run("-m", "kprobe", "merge", folder, "-o", tmp_path / "a.h5")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"kprobe: {folder}: 1 of 3 ranges are missing: rows 2 to 3; run them, or leave them out "
        "with --allow-missing"
    ]
    command = ("merge", folder, "-o", tmp_path / "a.h5", "--allow-missing", "--json")
    done = warm_python.run("-m", "kprobe", *command)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert (told["samples"], told["left_out"], told["ranges"]) == (6, 2, 2)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        assert dump.valid.tolist() == [True, True, False, False, True, True]


def test_a_directory_of_ranges_is_no_dump_and_that_is_said(folder, warm_python):
    done = warm_python.run("-m", "kprobe", "show", folder)
    assert done.returncode == 2
    assert done.stderr == (
        f"kprobe: {folder}: expected a dump, received a directory; `kprobe merge {folder}` makes "
        "one of ranges\n"
    )
