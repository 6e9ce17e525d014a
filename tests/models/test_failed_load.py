"""Where a library can't load a file, the cause is told, which Keras puts last."""

from __future__ import annotations

import json
import zipfile

import h5py
import keras
import pytest
import tf_keras

from kprobe.errors import ModelError
from kprobe.models.failed_load import describe_cause
from kprobe.models.load import load_source

# NumPy says so of every model that Keras 3 saves.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def change(path, key, value, version=None):
    """Change the config of a file's only layer."""

    def edit(text):
        config = json.loads(text)
        config["config"]["layers"][1]["config"][key] = value
        return json.dumps(config)

    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = edit(file.attrs["model_config"])
            if version:
                file.attrs["keras_version"] = version
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, edit(content) if name == "config.json" else content)


ACTIVATION = "Unknown activation function: 'my_act'."
IDENTIFIER = "Could not interpret activation function identifier: my_act"
CASES = [
    (tf_keras, ".h5", "activation", "my_act", ACTIVATION, "my_act"),
    (tf_keras, ".keras", "activation", "my_act",
     "Unknown activation function 'my_act' cannot be deserialized.", "my_act"),
    (keras, ".h5", "activation", "my_act", IDENTIFIER, "my_act"),
    (keras, ".keras", "activation", "my_act", IDENTIFIER, "my_act"),
    (keras, ".keras", "activation", "my_" + "long_" * 18,
     f"{IDENTIFIER[:-6]}my_long … {('my_' + 'long_' * 18)[-58:]}", "my_" + "long_" * 18),
    (keras, ".keras", "future", 3,
     "Unrecognized keyword arguments passed to Conv2D: {'future': 3}", None),
    (tf_keras, ".h5", "future", 3, "('Keyword argument not understood:', 'future')", None),
]  # fmt: skip


@pytest.mark.parametrize(("k", "ending", "key", "value", "said", "name"), CASES)
def test_the_cause_and_the_layer_are_told(k, ending, key, value, said, name, tmp_path):
    path = tmp_path / f"m{ending}"
    layer = k.layers.Conv2D(2, 3, name="conv")
    k.Sequential([k.Input((8, 8, 3)), layer]).save(path)
    change(path, key, value, "2.10.0" if (k, ending) == (tf_keras, ".h5") else None)
    # Of a file that isn't trusted, the gate tells what is missing.
    with pytest.raises(ModelError) as caught:
        load_source(path, unsafe=True)
    fault = f"{path} can't be loaded by {k.__name__} {k.__version__}: TypeError: layer 'conv': "
    assert caught.value.faults == (fault + said,)
    if name is None and k is tf_keras:
        assert caught.value.hint == "`keras=3` tries the other Keras"
    elif name is None:  # tf_keras reads nothing that Keras 3 wrote
        assert caught.value.hint == (
            "make the model by code, FILE.py:CALLABLE, and give it the file's weights with "
            f"`weights='{path}'`"
        )
    else:
        assert (
            caught.value.hint == f'give what is missing with `custom_objects={{"{name}": {name}}}`'
        )


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_file_that_is_not_there_is_to_be_put_there(k, tmp_path):
    path, words = tmp_path / "m.keras", tmp_path / "elsewhere" / "words.txt"
    lookup = k.layers.StringLookup(vocabulary=["a", "b"], name="lookup")
    k.Sequential([k.Input((1,), dtype="string"), lookup]).save(path)
    change(path, "vocabulary", str(words))
    with pytest.raises(ModelError, match="layer 'lookup': Vocabulary file") as no:
        load_source(path, allow={"files"})
    assert no.value.hint == (
        "put that file there, or save the model again as .keras, which keeps vocabularies in it"
    )
    words.parent.mkdir()
    words.write_text("b\na\n")
    assert load_source(path, allow={"files"}).layers[-1].get_vocabulary()[1:] == ["b", "a"]


def test_a_long_message_keeps_both_ends():
    text = describe_cause(ValueError("begin " + "x" * 5000 + " end"))
    assert text.startswith("ValueError: begin xxx")
    assert text.endswith("xxx end")
    assert len(text) < 140


def test_what_fails_is_one_line_with_its_cause_though_keras_tells_a_screenful(tmp_path):
    name = "l" * 150
    said = f"<class 'Dense'> could not be made using config={{'name': '{name}', {'x' * 5000}"
    error = TypeError(
        f"{said}.\n\nException encountered: Unknown activation: 'my_act'. {'y' * 5000}"
    )
    text = describe_cause(error)
    assert text.startswith("TypeError: layer 'llll")
    assert "': Unknown activation: 'my_act'. yyy" in text
    assert len(text) < 190


@pytest.mark.parametrize(
    "text",
    [
        "Exception encountered: " * 3000,
        "using config={'name': '" + "a" * 100_000,
        "Unknown " + "a " * 50_000 + "'x'",
        "Could not interpret " + " " * 50_000 + "identifier",
    ],
)
def test_no_message_takes_long(text):
    assert len(describe_cause(TypeError(text))) < 140
