"""What a Keras is given to load: the file that was checked, of which nothing is copied."""

from __future__ import annotations

import tempfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kprobe.errors import ShortageError
from kprobe.models.load import load_source

# Of the weights, in bytes: eight times 512 by 512 numbers of 4 bytes.
HELD = 8 << 20
WORDS = ["a", "b", "c"]


def make_watching(library, look):
    """Make a layer that calls something while a model's weights are loaded."""

    def load_own_variables(self, store):
        look()
        super(type(self), self).load_own_variables(store)

    body = {"__module__": "watching", "load_own_variables": load_own_variables}
    return type("Watching", (library.layers.Dense,), body)


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def saved(request, tmp_path_factory):
    """A model of 8 MB with a vocabulary in a file of its own, and another of the same kind."""
    library = pytest.importorskip(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    values = []
    for seed, name in enumerate(("model", "other")):
        words = library.Input((1,), dtype="string")
        given = library.Input((512,))
        lookup = library.layers.StringLookup(name="words")
        lookup.set_vocabulary(WORDS)
        held = given
        for number in range(8):
            layer = make_watching(library, None) if number == 4 else library.layers.Dense
            held = layer(512, use_bias=False, name=f"dense_{number}")(held)
        model = library.Model([words, given], [lookup(words), held])
        random = np.random.default_rng(seed)
        values.append([random.random((512, 512), "float32") for _ in range(8)])
        for number in range(8):
            model.get_layer(f"dense_{number}").set_weights([values[-1][number]])
        with warnings.catch_warnings(action="ignore"):  # Keras's, when it saves a variable
            model.save(folder / f"{name}.keras")
    return library, folder, values


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def list_large(*folders):
    """List files above a hundredth of the weights: in folders, and open without a name."""
    found = [each for folder in folders for each in folder.rglob("*") if not each.is_symlink()]
    links = [each for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    found += [each for each in links if str(each.readlink()).endswith("(deleted)")]
    return [each for each in found if each.is_file() and each.stat().st_size > HELD / 100]


def check_values(model, values):
    for number, value in enumerate(values):
        [held] = model.get_layer(f"dense_{number}").get_weights()
        np.testing.assert_array_equal(held, value)
    assert model.get_layer("words").get_vocabulary() == ["[UNK]", *WORDS]


def test_no_copy_is_made_of_a_stored_archive(saved, temporary):
    library, folder, values = saved
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 4  # a Keras unpacks what has more than three
    before = list_large(folder)
    seen = []
    watching = make_watching(library, lambda: seen.append(list_large(folder, temporary)))
    tracemalloc.start()
    try:
        model = load_source(path, custom_objects={"Watching": watching})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    check_values(model, values[0])
    assert seen == [before]
    assert not [*temporary.iterdir()]
    assert most < HELD


def test_what_is_compressed_is_unpacked_to_a_file_without_a_name(saved, temporary, tmp_path):
    library, folder, values = saved
    path = tmp_path / "deflated.keras"
    with (
        zipfile.ZipFile(folder / "model.keras") as stored,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name in stored.namelist():
            archive.writestr(name, stored.read(name))
    seen = []
    watching = make_watching(library, lambda: seen.extend(list_large(tmp_path)))
    before = list_large(tmp_path)
    model = load_source(path, custom_objects={"Watching": watching})
    check_values(model, values[0])
    [unnamed] = [each for each in seen if each not in before]
    assert unnamed.parent == Path("/proc/self/fd")
    assert list_large(tmp_path) == before
    assert not [*temporary.iterdir()]


def test_what_else_is_loaded_meanwhile_is_given_its_own(saved):
    library, folder, values = saved
    others = []

    def load_other():
        plain = make_watching(library, lambda: None)
        others.append(
            library.models.load_model(folder / "other.keras", custom_objects={"Watching": plain})
        )

    watching = make_watching(library, load_other)
    model = load_source(folder / "model.keras", custom_objects={"Watching": watching})
    check_values(model, values[0])
    [other] = others
    check_values(other, values[1])


def test_without_a_folder_for_temporary_files_that_is_said(saved, tmp_path, monkeypatch):
    _, folder, _ = saved
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ShortageError) as caught:
        load_source(folder / "model.keras", unsafe=True)
    assert str(caught.value) == (
        f"{folder}/model.keras: can't be loaded without a folder for temporary files: No such "
        "file or directory; set TMPDIR to one"
    )
