"""Archives: what passes is what Python's `zipfile` reads, and what doesn't breaks one rule."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from collection import read_cases
from gate.hostile.zip_writer import Member, read_sample, write_zip

from kprobe.gate.files.archive import (
    ArchiveLimits,
    find_archive_faults,
    list_members,
    read_member,
)
from kprobe.gate.files.file_type import find_type_faults
from kprobe.gate.opened import open_file

CASES = read_cases(name="archive-")


def find_rules(path, **options):
    opened = open_file(path)
    faults = [*find_type_faults(opened)] or [*find_archive_faults(opened, **options)]
    for fault in faults:
        assert len(fault.text) < 200
        assert fault.text.isprintable()
    return [fault.rule for fault in faults]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_archive_breaks_the_rule_that_it_is_to_break(tmp_path, case):
    path = case.make(tmp_path, tmp_path / "marker")
    assert {*find_rules(path)} == {case.rule} - {None}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.rule is None], ids=lambda case: case.name
)
def test_what_passes_is_what_zipfile_reads(tmp_path, case):
    path = case.make(tmp_path, tmp_path / "marker")
    opened = open_file(path)
    members = list_members(opened)
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == sorted(members)
        for name, member in members.items():
            assert read_member(opened, member) == archive.read(name)


# What other people pack folders with, in a folder that holds a model's members.
PACKERS = {
    "zip": "zip -qr ../model.keras .",
    "zip without packing": "zip -qr0 ../model.keras .",
    "zip into a pipe": "zip -qr - . | cat > ../model.keras",
    "7z": "7z a -tzip ../model.keras . > /dev/null",
    "7z at its hardest": "7z a -tzip -mx=9 ../model.keras . > /dev/null",
    "bsdtar": "bsdtar --format zip -cf ../model.keras *",
    "Python": f"{sys.executable} -m zipfile -c ../model.keras *",
}


@pytest.mark.tools
@pytest.mark.parametrize("name", PACKERS)
def test_what_ordinary_tools_pack_passes(tmp_path, name):
    folder = tmp_path / "members"
    (folder / "assets" / "layers" / "lookup").mkdir(parents=True)
    (folder / "assets" / "layers" / "lookup" / "vocabulary.txt").write_text("a\nb")
    for member in read_sample():
        (folder / member.name).write_bytes(member.content)
    subprocess.run(PACKERS[name], shell=True, check=True, cwd=folder)
    opened = open_file(tmp_path / "model.keras")
    assert [*find_archive_faults(opened)] == []
    members = list_members(opened)
    for member in read_sample():
        assert read_member(opened, members[member.name]) == member.content


def test_the_limits_are_those_that_are_given(tmp_path):
    path = write_zip(tmp_path / "a.keras", [*read_sample(), Member("assets/a", bytes(999), 8)])
    unpacked = sum(len(each.content) for each in read_sample()) + 999
    for limits, rules in (
        (ArchiveLimits(members=4), []),
        (ArchiveLimits(members=3), ["archive-size"]),
        (ArchiveLimits(size=unpacked), []),
        (ArchiveLimits(size=unpacked - 1), ["archive-size"]),
        (ArchiveLimits(small=999, expansion=2), []),
        (ArchiveLimits(small=998, expansion=2), ["archive-size"]),
        (ArchiveLimits(small=998, expansion=999), []),
    ):
        assert find_rules(path, limits=limits) == rules, limits


def test_a_file_that_is_cut_while_it_is_read_is_told(tmp_path):
    path = write_zip(tmp_path / "a.keras", read_sample())
    opened = open_file(path)
    with path.open("r+b") as file:
        file.truncate(50_000)
    assert [fault.rule for fault in find_archive_faults(opened)] == ["archive-damaged"]


def test_an_archive_that_is_cut_anywhere_has_faults(tmp_path):
    whole = write_zip(tmp_path / "a.keras", [Member("config.json", b"{}")]).read_bytes()
    for content in (*(whole[:i] for i in range(len(whole))), b"PK\5\6\0\0", whole[-30:]):
        (tmp_path / "b").write_bytes(content)
        (fault,) = find_archive_faults(open_file(tmp_path / "b"))
        assert fault.rule in ("archive-damaged", "archive-layout")


def test_no_more_than_a_block_is_unpacked_at_a_time(tmp_path):
    import tracemalloc

    path = write_zip(tmp_path / "a.keras", [*read_sample(), Member("assets/a", bytes(8 << 20), 8)])
    opened = open_file(path)
    tracemalloc.start()
    try:
        assert not [*find_archive_faults(opened)]
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()
