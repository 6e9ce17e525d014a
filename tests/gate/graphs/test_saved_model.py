"""SavedModels and frozen graphs are looked at file by file, and value by value."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import numpy as np
import pytest
from collection import read_cases
from gate.hostile.saved_models import describe, make_index, make_model, write

import kprobe
from kprobe.gate import opened_directory
from kprobe.gate.graphs import checkpoint_index, saved_model
from kprobe.gate.graphs.checkpoint_index import find_index_faults
from kprobe.gate.graphs.saved_model import find_frozen_graph_faults, find_saved_model_faults
from kprobe.gate.opened import adopt_file, open_file
from kprobe.gate.opened_directory import open_directory
from kprobe.gate.rules import RULES, Fault

CASES = read_cases(name=("saved-model-", "frozen-graph-"))


def find(path, allow=()):
    if path.is_dir():
        return [*find_saved_model_faults(open_directory(path), allow)]
    return [*find_frozen_graph_faults(open_file(path), allow)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_of_the_collection_is_refused_by_its_rule_or_opened(case, tmp_path):
    (tmp_path / "sent").mkdir()
    faults = find(case.make(tmp_path / "sent", tmp_path / "marker"))
    assert [fault.rule for fault in faults][:1] == [case.rule] * (case.rule is not None), faults
    for fault in faults:
        said = f"{fault.owner} {fault.text}"
        assert len(said) < 250
        assert said.isprintable()
    assert not (tmp_path / "marker").exists()


def test_every_rule_of_saved_models_has_a_case():
    rules = {name for name in RULES if name.startswith("savedmodel-")}
    assert {case.rule for case in CASES} == {*rules, None}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.rule is None], ids=lambda case: case.name
)
def test_what_passes_is_loaded_by_tensorflow(case, tmp_path):
    model = kprobe.load_model(case.make(tmp_path, tmp_path / "marker"))
    rows = np.ones((2, 3), "f4")
    np.testing.assert_array_equal(kprobe.function(model, "y")(rows)["y"], rows * 2)


def test_operations_that_are_allowed_are_left_out_and_nothing_else(tmp_path):
    case = next(case for case in CASES if case.name == "saved-model-writes")
    path = case.make(tmp_path, tmp_path / "marker")
    assert [fault.rule for fault in find(path)] == ["savedmodel-operations"]
    assert find(path, ("operations",)) == []
    (path / "setup.py").touch()
    assert [fault.rule for fault in find(path, ("operations",))] == ["savedmodel-members"]


def test_changed_bytes_give_faults_or_nothing_and_never_another_error():
    chance = random.Random(0)
    graph = make_model()[1].graph_def.SerializeToString(deterministic=True)
    index = make_index([(0, b"", b"\x08\1"), (0, b"w", describe()), (1, b"x", describe())])
    refused = 0
    for whole in (graph, index):
        for _ in range(500):
            content = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            if whole is index:
                refused += bool([*find_index_faults(bytes(content), [24])])
                continue
            descriptor = os.memfd_create("graph")
            os.write(descriptor, content)
            refused += bool([*find_frozen_graph_faults(adopt_file(descriptor, "graph.pb"))])
    assert refused > 500


def test_a_directory_may_not_have_files_without_end(tmp_path, monkeypatch):
    path = write(tmp_path, make_model()[0])
    (path / "assets").mkdir()
    for number in range(5):
        (path / "assets" / f"{number}").touch()
    assert find(path) == []
    for module in (opened_directory, saved_model):
        monkeypatch.setattr(module, "MAX_MEMBERS", 5)
    assert find(path) == [Fault("savedmodel-members", "has more than 5 files")]
    assert len(open_directory(path).members) == 6


def test_an_index_may_not_have_entries_without_end(monkeypatch):
    index = make_index([(0, b"", b"\x08\1"), (0, b"w", describe()), (0, b"x", describe())])
    assert [*find_index_faults(index, [24])] == []
    monkeypatch.setattr(checkpoint_index, "MAX_ENTRIES", 1)
    (fault,) = find_index_faults(index, [24])
    assert fault.text == "has a damaged index of its variables: it has more than 1 entries"


def test_a_directory_without_a_graph_is_told(tmp_path):
    (tmp_path / "README.md").touch()
    assert find(tmp_path) == [Fault("savedmodel-damaged", "has no saved_model.pb")]


def test_a_directory_is_the_one_that_was_opened(tmp_path):
    saved, _ = make_model()
    path = write(tmp_path, saved)
    opened = open_directory(path)
    assert opened.size == (path / "saved_model.pb").stat().st_size
    path.rename(tmp_path / "moved")
    path.mkdir()
    assert [each.name for each in Path(opened.name).iterdir()] == ["saved_model.pb"]
    assert opened.open_member("saved_model.pb").size == opened.size
    assert opened.open_member("../moved/saved_model.pb") is not None  # names are the caller's
    assert opened.open_member("assets/words.txt") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "saved_model.pb").write_bytes(b"a"),
        lambda path: (path / "assets" / "more").touch(),
        lambda path: (path / "assets" / "words.txt").unlink(),
        lambda path: (path / "assets").rename(path / "assets.extra"),
    ],
)
def test_what_is_changed_meanwhile_is_told(tmp_path, change):
    saved, _ = make_model()
    path = write(tmp_path, saved)
    (path / "assets").mkdir()
    (path / "assets" / "words.txt").write_text("a")
    opened = open_directory(path)
    assert opened.find_change() is None
    change(path)
    assert opened.find_change().rule == "file-changed"


def test_only_a_directory_is_opened_as_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for name, kind in (("pipe", "a pipe"), ("file", "a file")):
        fault = Fault("file-kind", f"expected a directory, received {kind}")
        assert open_directory(tmp_path / name) == fault
    with pytest.raises(FileNotFoundError):
        open_directory(tmp_path / "gone")


def test_links_inside_are_not_followed_when_a_file_is_opened(tmp_path):
    saved, _ = make_model()
    path = write(tmp_path, saved)
    (path / "assets").symlink_to(tmp_path)
    (path / "link.pb").symlink_to("saved_model.pb")
    opened = open_directory(path)
    assert [stat.S_ISLNK(member.mode) for member in opened.members] == [True, True, False]
    assert opened.open_member("link.pb") is None
    assert opened.open_member("assets/model") is None
    assert opened.open_member("assets/model/saved_model.pb") is None


@pytest.mark.parametrize("start", [b"node {\n", b"# made by hand\nnode {", b"  library: {"])
def test_a_graph_as_text_is_told(tmp_path, start):
    (tmp_path / "graph.pbtxt").write_bytes(start)
    (fault,) = find(tmp_path / "graph.pbtxt")
    assert fault == Fault("savedmodel-damaged", "is a graph as text, which isn't read")
