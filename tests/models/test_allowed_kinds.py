"""One kind of thing that is allowed is loaded; the rest of the file is judged as before."""

from __future__ import annotations

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kprobe.errors import ModelError, UnsafeModelError
from kprobe.gate.rules import KINDS
from kprobe.models.inner import open_inner
from kprobe.models.load import find_source, load_source
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.checking import check_models


def change_layer(path, name, **config):
    """Change the config of a layer in a .keras file."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    model = json.loads(members["config.json"])
    (made,) = (each for each in model["config"]["layers"] if each["config"]["name"] == name)
    made["config"] |= config
    members["config.json"] = json.dumps(model).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def refuse_but(path, kind, rule_text):
    """Try all other kinds, which must not open it."""
    for allow in ({*KINDS} - {kind}, ()):
        with pytest.raises(UnsafeModelError, match=rule_text) as caught:
            load_source(path, allow=allow)
        assert f"`allow='{kind}'` opens it all the same" in caught.value.hint


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_vocabulary_in_a_file_is_read_where_files_are_allowed(k, tmp_path):
    lookup = k.layers.StringLookup(vocabulary=["a", "b"], name="lookup")
    path, words = tmp_path / "m.keras", tmp_path / "words.txt"
    k.Sequential([k.Input((1,), dtype="string"), lookup]).save(path)
    words.write_text("b\na\n")
    change_layer(path, "lookup", vocabulary=str(words))
    refuse_but(path, "files", "layer 'lookup' reads its vocabulary from the file")
    model = load_source(path, allow={"files"})
    found = np.asarray(model(tf.constant([["a"], ["b"], ["c"]])))
    assert found.ravel().tolist() == [2, 1, 0]


class Reading(tf.Module):
    """A graph that reads a file, which no model does."""

    def __init__(self, path):
        super().__init__()
        self.path = str(path)

    @tf.function(input_signature=[tf.TensorSpec((None, 2))])
    def serve(self, x):
        return x + tf.cast(tf.strings.length(tf.io.read_file(self.path)), tf.float32)


@pytest.fixture(scope="module")
def outer(tmp_path_factory):
    """Files of models whose layer loads another one: one that computes, one that reads a file."""
    folder = tmp_path_factory.mktemp("outer")
    (folder / "text.txt").write_text("seven c")
    inner = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    inner.export(folder / "plain", verbose=False)
    tf.saved_model.save(Reading(folder / "text.txt"), str(folder / "reading"))
    for name in ("plain", "reading"):
        x = keras.Input((2,))
        layer = keras.layers.TFSMLayer(str(folder / name), call_endpoint="serve", name="inner")
        keras.Model(x, layer(x)).save(folder / f"{name}.keras")
    return folder


X = np.array([[-1.0, 2.0]], "float32")


def test_another_model_is_loaded_where_savedmodels_are_allowed(outer, caplog):
    told = f"layer 'inner' has a TFSMLayer, which loads and runs the SavedModel '{outer}/plain'"
    refuse_but(outer / "plain.keras", "savedmodel", "layer 'inner' has a TFSMLayer, which loads")
    model = load_source(outer / "plain.keras", allow={"savedmodel"})
    assert np.asarray(model(X)).tolist() == [[0, 2]]
    assert [record.getMessage() for record in caplog.records] == [f"{outer}/plain.keras: {told}"]


def test_another_model_passes_the_same_gate(outer, caplog, tmp_path):
    path = outer / "reading.keras"
    reads = "the graph has the operation ReadFile"
    for allow in ({"savedmodel"}, {"savedmodel", "files", "lambda"}):
        with pytest.raises(UnsafeModelError, match="layer 'inner' loads another model") as no:
            load_source(path, allow=allow)
        assert reads in no.value.faults[0]
        assert "`allow='operations'` opens it all the same" in no.value.hint
        (result,) = check_models([path], allow=[*allow])
        assert [reason.rule for reason in result.reasons] == ["savedmodel-operations"]
    for opened in ({"allow": {"savedmodel", "operations"}}, {"unsafe": True}):
        caplog.clear()
        model = load_source(path, **opened)
        assert np.asarray(model(X)).tolist() == [[6, 9]]
        said = [record.getMessage() for record in caplog.records]
        assert any("runs the SavedModel" in line for line in said)
        assert any(line.startswith(f"{outer}/reading: {reads}") for line in said) == (
            "allow" in opened
        )
    (result,) = check_models([path], allow=["savedmodel", "operations"])
    assert result.accepted
    assert any(reads in line for line in result.would_run)


def test_links_and_strays_in_another_model_are_refused(outer, tmp_path):
    copied, path = tmp_path / "inner", tmp_path / "m.keras"
    shutil.copytree(outer / "plain", copied)
    shutil.copy(outer / "plain.keras", path)
    change_layer(path, "inner", filepath=str(copied))
    assert check_models([path], allow="savedmodel")[0].accepted
    stray = copied / "assets" / "link"
    stray.parent.mkdir(exist_ok=True)
    stray.symlink_to(outer / "text.txt")
    with pytest.raises(UnsafeModelError, match="loads another model"):
        load_source(path, allow={"savedmodel"})
    assert check_models([path], allow="savedmodel")[0].reasons[0].rule == "savedmodel-members"
    stray.unlink()
    stray.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(UnsafeModelError, match="above the limit"):
        find_source(ModelSpec(model=path, allow="savedmodel", max_model_bytes=path.stat().st_size))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("plain", None),
        ("./nothing/../plain/", None),
        ("link/../plain", None),
        ("nothing", "'nothing': expected the directory of a SavedModel, received none"),
        ("m.keras", "'m.keras': expected the directory"),
        ("elsewhere/inside", "has no saved_model.pb"),
        ("gs://evil/model", "received an address"),
        (3, "expected the path of a SavedModel, received 3"),
        (None, "expected the path of a SavedModel, received None"),
        ("plain\0", "expected the directory"),
    ],
)
def test_a_path_means_what_it_means_to_tensorflow(place, said, outer, tmp_path, monkeypatch):
    """It begins in the working directory, and links before ".." aren't followed."""
    elsewhere = tmp_path / "elsewhere" / "inside"
    elsewhere.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(outer / "plain", "plain")
    (tmp_path / "link").symlink_to(elsewhere)
    shutil.copy(outer / "plain.keras", "m.keras")
    change_layer("m.keras", "inner", filepath=place)
    (result,) = check_models(["m.keras"], allow="savedmodel")
    assert result.accepted == (said is None)
    if said is None:
        model = load_source("m.keras", allow={"savedmodel"})
        assert np.asarray(model(X)).tolist() == [[0, 2]]
    else:
        with pytest.raises(ModelError, match=said):
            load_source("m.keras", allow={"savedmodel"})


def test_no_file_loads_very_many_models(outer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(9):
        (tmp_path / str(number)).symlink_to(outer / "plain")
    layer = {"class_name": "TFSMLayer", "config": {"name": "a", "filepath": "0"}}
    objects = {"layers": [layer, layer]}
    assert len(open_inner(tmp_path / "m", objects, {"savedmodel"})) == 1
    many = [{**layer, "config": {"name": "a", "filepath": str(each)}} for each in range(9)]
    assert len(open_inner(tmp_path / "m", {"layers": many[:8]}, {"savedmodel"})) == 8
    with pytest.raises(UnsafeModelError, match="one of more than 8 such models"):
        open_inner(tmp_path / "m", {"layers": many}, {"savedmodel"})


def test_bytecode_in_hdf5_is_run_where_lambdas_are_allowed(tmp_path):
    """Keras 3 refuses it there whatever its `safe_mode` says, unless that is off everywhere."""
    x = keras.Input((2,), name="x")
    double = keras.layers.Lambda(lambda t: t * 2, output_shape=(2,), name="double")
    keras.Model(x, double(x)).save(tmp_path / "m.h5")
    refuse_but(tmp_path / "m.h5", "lambda", "layer 'double' has a Lambda")
    model = load_source(tmp_path / "m.h5", allow={"lambda"})
    found = np.asarray(model(np.array([[-1.0, 2.0]], "float32")))
    assert found.tolist() == [[-2, 4]]


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_given_class_opens_no_other_and_the_module_in_the_file_is_not_imported(
    k, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "swirl_evil.py").write_text("open('marker', 'w')\n")

    def make(name):
        made = type(name, (k.layers.ReLU,), {"__module__": "swirl_evil"})
        return k.saving.register_keras_serializable(package="swirl_own")(made)

    first, other = make("SwirlFirst"), make("SwirlOther")
    k.Sequential([k.Input((2,)), first(name="f")]).save("first.keras")
    k.Sequential([k.Input((2,)), first(name="f"), other(name="o")]).save("both.keras")
    for registered in [name for name in k.saving.get_custom_objects() if "swirl_own" in name]:
        monkeypatch.delitem(k.saving.get_custom_objects(), registered)
    for given in ({"SwirlFirst": first}, {"swirl_own>SwirlFirst": first}):
        assert isinstance(load_source("first.keras", custom_objects=given).layers[0], first)
        with pytest.raises(UnsafeModelError, match="layer 'o' is of class SwirlOther"):
            load_source("both.keras", custom_objects=given)
    for given in ({"SwirlOther": first}, {"another>SwirlFirst": first}):
        with pytest.raises(UnsafeModelError, match="layer 'f' is of class SwirlFirst"):
            load_source("first.keras", custom_objects=given)
    assert not (tmp_path / "marker").exists()
