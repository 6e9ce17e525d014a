"""Whatever a stranger's file holds, what is said of it is one short line of plain text."""

from __future__ import annotations

import importlib
import pkgutil
import random

import gate.hostile
import pytest

from kprobe.cli.rendering.checked import show_checked
from kprobe.errors import KprobeError
from kprobe.gate.refuse import check_safe
from kprobe.models.file import read_model_file
from kprobe.pipeline.checking import check_models

# The parts of the collection: each module of it that has cases.
PARTS = {
    module.name: cases
    for module in pkgutil.iter_modules(gate.hostile.__path__)
    if (cases := getattr(importlib.import_module(f"gate.hostile.{module.name}"), "CASES", ()))
}
# How many of a part are looked at here: each of them is tried by its part's own tests.
FEW = 15


@pytest.fixture(params=PARTS)
def paths(request, tmp_path):
    """Write a few files of a part, always the same."""
    hostile = [case for case in PARTS[request.param] if case.rule is not None]
    chosen = random.Random(0).sample(hostile, min(FEW, len(hostile)))
    made = []
    for number, case in enumerate(chosen):
        (folder := tmp_path / str(number)).mkdir()
        made.append(case.make(folder, tmp_path / "marker"))
    return made


def test_a_refusal_is_one_short_line(paths, tmp_path):
    refused = 0
    for path in paths:
        try:
            check_safe(read_model_file(path))
        except KprobeError as error:
            told = str(error)
            assert len(told) < 300
            assert told.isprintable()
            refused += 1
    assert refused > len(paths) // 2
    assert not (tmp_path / "marker").exists()


def test_what_is_checked_is_told_in_short_lines(paths, tmp_path, capsys):
    results = check_models(paths)
    assert not any(results)
    for told in (results, *([result] for result in results)):
        show_checked(told, whole=False)
        lines = capsys.readouterr().out.splitlines()
        assert all(len(line) < 500 and line.isprintable() for line in lines)
        assert len(lines) < 40
    assert not (tmp_path / "marker").exists()
