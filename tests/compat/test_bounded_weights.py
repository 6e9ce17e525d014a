"""A file makes no more weights than it holds, also where its config doesn't tell their shapes."""

from __future__ import annotations

import json
import zipfile

import keras
import pytest
import tf_keras

from kprobe.compat.bounded_weights import weights_bounded
from kprobe.errors import UnsafeModelError
from kprobe.models.load import load_source

# numpy says so of Keras, which copies the values of a variable to save them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_weights_are_counted_and_no_more_are_made(library):
    plain = library.layers.Layer.add_weight
    with weights_bounded(library, 4 * 3 + 3 + 3 * 5 + 1) as made:
        library.layers.Dense(3).build((None, 4))
        assert (made.count, made.is_too_much) == (15, False)
        layer = library.layers.Layer()
        layer.add_weight(name="w", shape=(3, 5), initializer="zeros")
        layer.add_weight(name="scalar", initializer="zeros", shape=())
        with pytest.raises(MemoryError):
            library.layers.Dense(3).build((None, 4))
        assert made.is_too_much
    assert library.layers.Layer.add_weight is plain


def test_what_no_rule_tells_is_refused_before_it_is_made(tmp_path):
    x = keras.Input((3, 4))
    tiled = keras.ops.tile(x, [1, 1, 2])
    wide = keras.ops.einsum("abc,abc->ac", tiled, tiled)
    model = keras.Model(x, keras.layers.Dense(3)(wide))
    path, changed = tmp_path / "model.keras", tmp_path / "changed.keras"
    model.save(path)
    assert load_source(path).count_params() == model.count_params()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(changed, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                layers = config["config"]["layers"]
                tile = next(layer for layer in layers if layer["class_name"] == "Tile")
                tile["config"]["repeats"] = [1, 1, 10**7]
                layers[-1].pop("build_config")  # for which Keras would build it first
                content = json.dumps(config)
            other.writestr(name, content)
    with pytest.raises(UnsafeModelError, match=r"weights of 1\.2e\+08 numbers or more") as raised:
        load_source(changed)
    assert raised.value.rule == "weights-shapes"
