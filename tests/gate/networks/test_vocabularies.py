"""An archive has the vocabularies that its config leaves to files in it, however deep they lie."""

from __future__ import annotations

import zipfile

import keras
import numpy as np
import pytest
import tf_keras

from kprobe.errors import ModelError
from kprobe.models.file import read_model_file
from kprobe.pipeline.checking import check_models

WORDS = np.array(["a", "b", "c"])


def adapt(layer, values=WORDS):
    layer.adapt(values)
    return layer


def make_model(k):
    """Make a model of all layers with vocabularies: one shared, one inside, one in its config."""
    texts, numbers = k.Input((1,), dtype="string"), k.Input((1,), dtype="int64")
    shared = adapt(k.layers.StringLookup(name="shared"))
    inner = k.Sequential([k.Input((1,), dtype="string"), shared], name="inner")
    other = k.Sequential([k.Input((1,), dtype="string"), shared], name="other")
    outputs = [
        inner(texts),
        other(texts),
        adapt(k.layers.TextVectorization(name="words", output_sequence_length=2))(texts),
        adapt(k.layers.IntegerLookup(name="numbers"), np.array([5, 6]))(numbers),
        k.layers.StringLookup(name="inline", vocabulary=["x", "y"])(texts),
    ]
    return k.Model([texts, numbers], outputs)


@pytest.fixture(scope="module", params=[keras, tf_keras], ids=["keras", "tf_keras"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabularies") / "model.keras"
    make_model(request.param).save(path)
    return path


def cut(path, folder, leave_out):
    """Copy an archive without some of its members."""
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(folder / "cut.keras", "w") as rest:
        for name in whole.namelist():
            if not leave_out(name):
                rest.writestr(name, whole.read(name))
    return folder / "cut.keras"


def test_all_that_keras_writes_is_enough(path):
    (result,) = check_models([path])
    assert result.lines == []


@pytest.mark.parametrize("missing", ["/string_lookup", "/text_vectorization", "/integer_lookup"])
def test_none_may_be_missing(path, missing, tmp_path):
    left = cut(path, tmp_path, lambda name: missing in name)
    (result,) = check_models([left])
    assert [reason.rule for reason in result.reasons] == ["archive-damaged"]
    assert result.reasons[0].text.endswith("received 2 of 3")
    with pytest.raises(ModelError) as refused:
        read_model_file(left, allow=None)
    assert refused.value.hint == "copy or save the model file again"


def test_what_is_there_twice_counts_once(path, tmp_path):
    left = cut(path, tmp_path, lambda name: "assets/" in name and "_lookup_layer" not in name)
    (result,) = check_models([left])
    assert result.lines == [
        "expected the vocabulary of layers 'numbers', 'shared', 'words' in its config or in "
        "assets/…/vocabulary.txt, received 1 of 3 [archive-damaged]"
    ]
