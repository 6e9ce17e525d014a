"""What may be replaced or continued, and what is left as it is; where no dump can be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.partial import check_output, write_whole
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer
from kprobe.errors import DumpError

if TYPE_CHECKING:
    from warm import WarmPython

CONTENTS = Contents(
    columns=[Column("row", (), np.dtype(np.int64), {"addresses": ["row"]})],
    samples=[f"sample {row}" for row in range(10)],
)


def write_dump(path: Path, **options: Any) -> None:
    with Writer(OutputSpec(path=path, **options), CONTENTS) as writer:
        writer.write(0, {"row": np.arange(10)})
        writer.finish()


def test_an_existing_dump_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_dump(path)
    content = path.read_bytes()
    with pytest.raises(DumpError, match="exists already") as caught:
        write_dump(path)
    assert caught.value.hint == "replace it with overwrite=True"
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_partial_file_under_the_final_name_is_not_continued(
    tmp_path: Path, overwrite: bool
) -> None:
    path = tmp_path / "a.h5"
    with Writer(OutputSpec(path=path), CONTENTS) as writer:
        writer.write(0, {"row": np.arange(4)})
    writer.partial.rename(path)
    again = Writer(OutputSpec(path=path, resume=True, overwrite=overwrite), CONTENTS)
    if overwrite:
        assert not again.is_done()
        return
    with pytest.raises(DumpError, match=r"a\.h5: isn't complete") as caught:
        again.is_done()
    assert caught.value.faults == (
        f"{path}: isn't complete, and can be continued as {path}.partial only",
    )
    assert caught.value.hint == "rename it, or start anew with overwrite=True"


def make_thing(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("precious")
    elif kind == "empty":
        path.touch()
    elif kind == "model":
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = "{}"
    elif kind == "damaged":
        with h5py.File(path, "w") as file:
            file.attrs["format"] = "kprobe dump"
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "pipe":
        os.mkfifo(path)


@pytest.mark.parametrize("kind", ["text", "empty", "model", "damaged", "pipe"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_dump_is_never_replaced(tmp_path: Path, kind: str, overwrite: bool) -> None:
    path = tmp_path / "a.h5"
    make_thing(path, kind)
    before = path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_size
    with pytest.raises(DumpError) as caught:
        write_dump(path, overwrite=overwrite)
    assert caught.value.faults == (
        f"{path}: exists and is not a dump of kprobe, and is not replaced",
    )
    assert caught.value.hint == "choose another output"
    assert (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_size) == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["", ".partial", ".partial.new"])
@pytest.mark.parametrize("target", ["a real one", "nothing", "/dev/null"])
def test_nothing_is_written_through_a_link(tmp_path: Path, suffix: str, target: str) -> None:
    # Not even to a dump that may be replaced: who made the link says where it leads.
    write_dump(tmp_path / "a real one")
    before = (tmp_path / "a real one").read_bytes()
    link = tmp_path / f"a.h5{suffix}"
    link.symlink_to(target)
    for check in (check_output, write_dump):
        if check is check_output and suffix == ".partial.new":
            continue  # it is looked at when it is made
        with pytest.raises(DumpError) as caught:
            check(tmp_path / "a.h5", overwrite=True)  # type: ignore[operator]
        assert caught.value.faults == (
            f"{link}: expected a place for a file, received a link, and none is written through",
        )
    assert link.readlink() == Path(target)
    assert (tmp_path / "a real one").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"a real one", link.name}


@pytest.mark.parametrize("suffix", [".partial", ".partial.new"])
def test_what_is_written_in_place_has_no_other_name(tmp_path: Path, suffix: str) -> None:
    with Writer(OutputSpec(path=tmp_path / "b.h5"), CONTENTS) as writer:
        writer.write(0, {"row": np.arange(4)})
    before = writer.partial.read_bytes()
    (tmp_path / f"a.h5{suffix}").hardlink_to(writer.partial)
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(DumpError, match=r"expected a file with no other name, received one"):
            write_dump(tmp_path / "a.h5", **options)
    assert writer.partial.read_bytes() == before


def test_a_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to("far")
    write_dump(tmp_path / "near" / "a.h5")
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["a.h5"]


@pytest.mark.parametrize("kind", ["text", "model", "pipe"])
def test_a_partial_file_that_is_no_dump_is_never_taken(tmp_path: Path, kind: str) -> None:
    partial = tmp_path / "a.h5.partial"
    make_thing(partial, kind)
    before = partial.lstat()
    with pytest.raises(DumpError, match=r"a\.h5\.partial: .*(no|a pipe or a device)"):
        write_dump(tmp_path / "a.h5", overwrite=True)
    after = partial.lstat()
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (
        before.st_mtime_ns,
        before.st_size,
        before.st_ino,
    )
    assert list(tmp_path.iterdir()) == [partial]


def test_an_empty_partial_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.h5.partial").touch()
    write_dump(tmp_path / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_name_that_ends_with_a_slash_is_refused(tmp_path: Path) -> None:
    for check in (check_output, write_dump):
        with pytest.raises(DumpError, match="expected the name of a file, received one that ends"):
            check(f"{tmp_path}/a.h5/", overwrite=True)  # type: ignore[operator]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["n" * 250, "n" * 300, "n" * 300 + "/a.h5"])
def test_a_name_that_is_too_long_is_refused_before_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(DumpError, match="can't be written: File name too long"):
        check_output(tmp_path / name, overwrite=False)


def test_an_overwritten_output_stays_whole_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_dump(path)
    content = path.read_bytes()
    with Writer(OutputSpec(path=path, overwrite=True), CONTENTS) as writer:
        writer.write(0, {"row": np.arange(10)})
        writer.commit(10)
        assert path.read_bytes() == content
        writer.finish()
    with open_dump(path) as dump:
        assert dump.complete


def test_an_output_that_appears_during_the_run_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with Writer(OutputSpec(path=path, overwrite=True), CONTENTS) as writer:
        writer.write(0, {"row": np.arange(10)})
        path.write_text("precious")
        with pytest.raises(DumpError, match="exists and is not a dump"):
            writer.finish()
    assert path.read_text() == "precious"
    with open_dump(tmp_path / "a.h5.partial") as dump:
        assert dump.complete


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/a.h5", "there is no directory"),
        ("directory", "expected the name of a file, received a directory; name a file in it"),
        ("file/a.h5", "there is no directory"),
        ("n" * 250, "can't be written: File name too long"),
        ("taken", "can't be written: Is a directory"),
    ],
)
def test_a_place_that_can_not_hold_the_output_is_refused(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "taken.partial").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(DumpError, match=message):
        write_dump(tmp_path / name, overwrite=True)


def test_a_directory_without_permission_is_refused(tmp_path: Path) -> None:
    place = Path("/proc") if os.geteuid() == 0 else tmp_path
    tmp_path.chmod(0o500)
    with pytest.raises(DumpError, match=r"can't be written: (Permission|No such file)"):
        write_dump(place / "a.h5")


def test_a_second_process_on_the_same_output_is_refused(
    tmp_path: Path, light_python: WarmPython
) -> None:
    path = tmp_path / "a.h5"
    second = (
        "import sys\n"
        "from kprobe.dumps.contents import Contents\n"
        "from kprobe.dumps.output import OutputSpec\n"
        "from kprobe.dumps.writing.writer import Writer\n"
        "from kprobe.errors import DumpError\n"
        "output = OutputSpec(path=sys.argv[1], overwrite=True)\n"
        "try:\n"
        "    Writer(output, Contents(columns=[], samples=[])).__enter__()\n"
        "except DumpError as error:\n"
        "    print(error)\n"
    )
    with Writer(OutputSpec(path=path), CONTENTS) as writer:
        writer.write(0, {"row": np.arange(10)})
        writer.commit(10)
        assert light_python.run("-c", second, path).stdout == (
            f"{path}.partial: another process is writing it; wait for it, or choose another "
            "output\n"
        )
        with h5py.File(tmp_path / "a.h5.partial", "r") as file:  # reading is not refused
            np.testing.assert_array_equal(file["row"][...], np.arange(10))
        writer.finish()


def test_a_whole_file_takes_the_place_of_no_other(tmp_path):
    # Whatever lies beside it, and where a name has as many bytes as names may have.
    (tmp_path / "kept").write_text("kept")
    path = tmp_path / ("ü" * 125 + ".png")
    (tmp_path / "b.png.partial").symlink_to("kept")
    (tmp_path / "c.png").symlink_to("kept")
    for each in (path, tmp_path / "b.png"):
        write_whole(each, b"new")
        assert each.read_bytes() == b"new"
    with pytest.raises(DumpError, match=r"c\.png: .*, received a link, and none is written"):
        write_whole(tmp_path / "c.png", b"new")
    assert (tmp_path / "kept").read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 5
