"""What `ls` lists of a model's file is what `dump` takes of the model: the same addresses.

The models are those of all tests that have files, and some with layers inside layers. Each is
listed from its file alone, and loaded and traced.
"""

from __future__ import annotations

from pathlib import Path

import backbones
import keras
import numpy as np
import pytest
import tf_keras
from probing import count_anew

import kprobe
from kprobe.addresses.resolve import match_pattern, resolve
from kprobe.cli.commands.dump import dump as dump_command
from kprobe.models.file import read_model_file
from kprobe.models.listing import list_layers
from kprobe.models.load import load_source
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "models" / "old"
# Keras's, when it saves a variable.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]


def compare(path, objects=()):
    """Hold what a file lists against what its loaded model has."""
    listed = list_layers(read_model_file(path))
    model = load_source(path, custom_objects=objects)
    traced = trace(model, read_signature(model), lambda given: arrange_inputs(model, given))
    assert listed
    # What has no tensor to dump is answered with the reason, and its weights have addresses.
    answered = {call.address for call in traced.dropped}
    for entry in listed:
        if entry.address not in answered:
            resolve([entry.address], traced.calls)
    for call in traced.calls:
        assert match_pattern(call.address, listed), (path, call.address)


def build_documents(k):
    """A model inside a wrapper, and wrappers around layers of their own."""
    ls = k.layers
    words = k.Input((4,), dtype="int32", name="words")
    embedded = ls.Embedding(20, 5, mask_zero=True, name="emb")(words)
    sentence = k.Model(words, ls.SimpleRNN(6, name="rnn")(embedded), name="sent")
    doc = k.Input((3, 4), dtype="int32", name="doc")
    x = ls.TimeDistributed(sentence, name="td")(doc)
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    forward = ls.LSTM(4, activation="relu", return_sequences=True, name="l")
    x = ls.Bidirectional(forward, name="birnn")(x)
    x = ls.TimeDistributed(ls.Dense(3, name="inner"), name="td2")(x)
    return k.Model(doc, ls.Dense(2, name="o")(ls.GlobalMaxPooling1D(name="pool")(x)))


def build_attention(k):
    """Attention, whose layers have no config, and a wrapper that is called twice."""
    ls = k.layers
    x = k.Input((3, 4), name="x")
    attended = ls.MultiHeadAttention(2, 2, name="mha")(x, x)
    twice = ls.TimeDistributed(ls.Dense(4, name="inner"), name="twice")
    return k.Model(x, twice(twice(attended)))


def build_cells(k):
    """Cells of a user's choice, and a stack of them."""
    ls = k.layers
    x = k.Input((3, 4), name="x")
    y = ls.RNN(ls.SimpleRNNCell(3, name="one"), return_sequences=True, name="rnn")(x)
    cells = [ls.GRUCell(2, name="low"), ls.GRUCell(2, name="high")]
    return k.Model(x, ls.RNN(cells, name="stacked")(y))


@pytest.mark.parametrize(
    ("k", "build", "suffix"),
    [
        (keras, build_documents, ".keras"),
        (tf_keras, build_documents, ".h5"),
        (keras, build_attention, ".keras"),
        (keras, build_attention, ".h5"),
        (tf_keras, build_attention, ".keras"),
        (tf_keras, build_attention, ".h5"),
        (keras, build_cells, ".h5"),
        (tf_keras, build_cells, ".keras"),
    ],
)
def test_layers_inside_layers_are_listed_as_they_are_dumped(k, build, suffix, tmp_path):
    count_anew(k)
    model = build(k)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    count_anew(k)
    compare(path)


def test_of_a_backbone_the_same_is_listed_and_dumped(tmp_path):
    for _ in range(2):  # the second has layers with other names than the first
        backbones.ViT(8, 2).save(tmp_path / "m.keras")
    compare(tmp_path / "m.keras", [backbones.__file__])


# Not k3_big.h5, whose operations Keras itself doesn't load.
SAVED = ["k2_big.h5", "k2_big.keras", "k3_big.keras"]
SAVED += [f"{k}_plain.{suffix}" for k in ("k2", "k3") for suffix in ("h5", "keras")]


@pytest.mark.parametrize("name", SAVED)
def test_of_the_saved_models_the_same_is_listed_and_dumped(saved, name):
    compare(saved / name)


@pytest.mark.parametrize("name", ["digits_cnn.keras", "siamese.keras", "shapes_roi.keras"])
def test_of_the_sample_models_the_same_is_listed_and_dumped(samples, name):
    compare(samples / name, [str(samples / "roi_layer.py")] if "roi" in name else [])


NAMES = sorted(
    path.name
    for path in OLD.glob("*.h5")
    if path.with_suffix(".npz").exists() and "lambdas" not in path.name and "rnn" not in path.name
)


@pytest.mark.parametrize("name", NAMES)
def test_of_old_models_the_same_is_listed_and_dumped(name):
    compare(OLD / name)


def test_an_input_has_one_name_and_is_stored_where_it_is_named(tmp_path):
    """In Keras 3 the symbol of an input without a name has another one than its layer."""
    layers = keras.layers
    first, second = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([first, second], layers.Add(name="sum")([first, second]))
    chain = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="d")])
    keyed = keras.Model({"k": (i := keras.Input((3,), name="k"))}, layers.Dense(2)(i))
    for each in (model, chain, keyed):
        names = read_signature(each)
        traced = trace(each, names, lambda given, each=each: arrange_inputs(each, given))
        assert [call.address for call in traced.calls if call.is_input] == list(names)
    one, two = (layer.name for layer in model.layers[:2])
    rows = {one: np.ones((2, 3), "f4"), two: np.full((2, 3), 4, "f4")}
    kprobe.dump(model, None, inputs=rows, output=tmp_path / "all.h5")
    kprobe.dump(model, ["sum", one], inputs=rows, output=tmp_path / "named.h5")
    with kprobe.open_dump(tmp_path / "all.h5") as dump:
        # Every layer call: an input layer isn't called.
        assert dump.columns == ["sum"]
        assert (dump["sum"][:] == 5).all()
    with kprobe.open_dump(tmp_path / "named.h5") as dump:
        assert (dump[one][:] == rows[one]).all()


def test_the_help_says_that_input_layers_are_not_among_every_call():
    [said] = [option.help for option in dump_command.params if option.name == "every"]
    assert said == "Every layer call. Input layers aren't called: name them to store them, too."
