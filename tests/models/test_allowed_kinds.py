"""One kind of thing that is allowed is loaded; the rest of the file is judged as before."""

from __future__ import annotations

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kprobe.errors import UnsafeModelError
from kprobe.gate.rules import KINDS
from kprobe.models.load import load_source


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


def test_another_model_is_loaded_where_savedmodels_are_allowed(tmp_path):
    inner = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    inner.export(tmp_path / "inner", verbose=False)
    layer = keras.layers.TFSMLayer(str(tmp_path / "inner"), call_endpoint="serve", name="inner")
    keras.Sequential([keras.Input((2,)), layer]).save(tmp_path / "m.keras")
    refuse_but(tmp_path / "m.keras", "savedmodel", "layer 'inner' has a TFSMLayer")
    model = load_source(tmp_path / "m.keras", allow={"savedmodel"})
    found = np.asarray(model(np.array([[-1.0, 2.0]], "float32")))
    assert found.tolist() == [[0, 2]]


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
