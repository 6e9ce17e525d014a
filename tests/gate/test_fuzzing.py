"""Whatever bytes a file has, the gate answers; and what it accepts, others can read."""

from __future__ import annotations

import json
import zipfile
from collections import Counter

import pytest
from mutations import make_mutation, make_seeds

from kprobe.gate.files.archive import list_members, read_member
from kprobe.gate.files.config_json import parse_config
from kprobe.gate.inspect import inspect
from kprobe.gate.opened import open_file


@pytest.fixture(scope="module")
def seeds():
    return make_seeds()


def read_with_others(path):
    """Read what was accepted as Keras does, and compare it with what the gate reads."""
    opened = open_file(path)
    if path.suffix == ".json":
        content = path.read_bytes()
    elif path.suffix == ".keras":
        members = list_members(opened)
        with zipfile.ZipFile(path) as archive:
            assert {*archive.namelist()} == {*members}
            for name, member in members.items():
                assert archive.read(name) == read_member(opened, member)
            content = archive.read("config.json")
    else:
        return
    assert parse_config(content) == (json.loads(content), [])


def try_mutations(seeds, folder, numbers):
    """Give how many were accepted, and how many broke each rule."""
    found = Counter()
    for number in numbers:
        ending, content = make_mutation(seeds, number)
        path = folder / f"model.{ending}"
        path.write_bytes(content)
        rules = {fault.rule for fault in inspect(open_file(path)).faults}
        if not rules:
            read_with_others(path)
        found.update(rules or {"accepted"})
    return found


def test_the_seeds_are_accepted(seeds, tmp_path):
    for ending, content in seeds:
        path = tmp_path / f"model.{ending}"
        path.write_bytes(content)
        assert inspect(open_file(path)).faults == ()
        read_with_others(path)


def test_any_bytes_are_answered(seeds, tmp_path):
    found = try_mutations(seeds, tmp_path, range(200))
    # What is tried reaches the readers of archives, configs and HDF5, and some changes do no harm.
    assert {"accepted", "archive-damaged", "config-json", "hdf5-damaged"} < {*found}


@pytest.mark.slow
@pytest.mark.parametrize("start", range(200, 5200, 500))
def test_many_more_bytes_are_answered(seeds, tmp_path, start):
    assert try_mutations(seeds, tmp_path, range(start, start + 500)).total() >= 500
