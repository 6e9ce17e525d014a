"""Which files a checkpoint is, whichever way it is named. No TensorFlow is needed for that."""

from __future__ import annotations

import os

import pytest

from kprobe.errors import ModelError
from kprobe.gate.opened_checkpoint import open_checkpoint
from kprobe.models.weights.checkpoint import find_checkpoint


@pytest.fixture
def make(tmp_path):
    def touch(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return touch


def parts(prefix):
    return f"{prefix}.index", f"{prefix}.data-00000-of-00002", f"{prefix}.data-00001-of-00002"


@pytest.mark.parametrize("end", ["", ".index", ".data-00000-of-00002", ".data-00001-of-00002"])
@pytest.mark.parametrize("name", ["w", "ck-12", "model.ckpt", "weights.h5", "w.index"])
def test_a_prefix_and_each_of_its_files_mean_the_checkpoint(make, name, end):
    folder = make(*parts(name), f"{name}0.data-00000-of-00001")
    found = find_checkpoint(folder / f"{name}{end}")
    assert found == folder / name
    members = open_checkpoint(found).members
    assert {member.name for member in members} == {*parts(name)}


@pytest.mark.parametrize("name", ["w", "w.h5", "w.data-0-of-1", ".index", "none/w", "a\0b"])
def test_any_other_path_is_none(make, name):
    folder = make("w.h5", "w.data-0-of-1", "w.data-00000-of-00001")
    assert find_checkpoint(f"{folder}/{name}") is None


def test_a_directory_means_its_latest_checkpoint(make):
    folder = make(*parts("ck-1"), *parts("ck-2"))
    (folder / "checkpoint").write_text(
        'model_checkpoint_path: "ck-1"\nall_model_checkpoint_paths: "ck-2"\n'
    )
    assert find_checkpoint(folder) == folder / "ck-1"


def test_a_directory_means_its_only_checkpoint(make):
    folder = make(*parts("ck-7"))
    assert find_checkpoint(folder) == folder / "ck-7"


def test_no_path_is_no_directory(make, monkeypatch):
    monkeypatch.chdir(make(*parts("ck-7")))
    assert find_checkpoint("") is None


def test_a_savedmodel_means_its_variables(make):
    folder = make("saved_model.pb", *parts("variables/variables"))
    assert find_checkpoint(folder) == folder / "variables" / "variables"


def test_of_several_none_is_chosen(make):
    folder = make(*parts("ck-1"), *parts("ck-2"))
    with pytest.raises(ModelError) as caught:
        find_checkpoint(folder)
    assert str(caught.value) == (
        f"weights: {folder} holds several checkpoints: ck-1, ck-2; give one of them, for example "
        f"{folder}/ck-2"
    )


def test_a_directory_without_one_is_an_error(make):
    with pytest.raises(ModelError, match="is a directory without a checkpoint"):
        find_checkpoint(make("w.h5"))


@pytest.mark.parametrize("path", ["{outside}/ck-1", "../outside/ck-1", "..", "", "ck-1\0"])
def test_a_note_leads_to_no_other_directory(make, path):
    folder = make(*parts("outside/ck-1"), *parts("in/ck-1"), *parts("in/ck-2"))
    note = path.format(outside=folder / "outside")
    (folder / "in" / "checkpoint").write_text(f'model_checkpoint_path: "{note}"\n')
    if note.endswith("ck-1"):  # it was moved
        assert find_checkpoint(folder / "in") == folder / "in" / "ck-1"
    else:
        with pytest.raises(ModelError, match="several checkpoints: ck-1, ck-2"):
            find_checkpoint(folder / "in")


def test_a_note_that_is_a_pipe_or_a_link_is_not_read(make):
    folder = make(*parts("ck-1"), *parts("ck-2"), "outside/note")
    (folder / "outside" / "note").write_text('model_checkpoint_path: "ck-1"\n')
    note = folder / "checkpoint"
    note.symlink_to(folder / "outside" / "note")
    with pytest.raises(ModelError, match="several checkpoints"):
        find_checkpoint(folder)
    note.unlink()
    os.mkfifo(note)
    with pytest.raises(ModelError, match="several checkpoints"):
        find_checkpoint(folder)
