"""What is accepted of the collection is loaded, as Keras and TensorFlow load it themselves."""

from __future__ import annotations

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from collection import read_cases

import kprobe

# Converted models are only checked, and most honest names stand in configs that aren't whole.
CASES = [
    case
    for case in read_cases()
    if case.rule is None
    and (case.loads and not case.weights)
    and not case.name.startswith(("names-", "onnx-", "tflite-"))
]
ROWS = np.float32([[1, 2, 3], [-4, 0.5, 0]])


def load_plainly(path, k, folder):
    """Load a Keras file as others do, who need its ending."""
    if path.suffix == ".json":
        return k.models.model_from_json(path.read_text())
    if path.suffix not in (".h5", ".keras"):
        path = shutil.copy(path, folder / "named.keras")
    return k.models.load_model(path, compile=False)


def compute_plainly(path):
    """Compute the output of the collection's graphs."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        if path.is_dir():
            tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        else:
            graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
            tf.import_graph_def(graph, name="")
        return session.run("y:0", {"x:0": ROWS})


# Keras 3 says so where a single input isn't in a list.
@pytest.mark.filterwarnings(r"ignore:[\s\S]*The structure of `inputs` doesn't match")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_accepted_is_loaded_as_others_load_it(case, tmp_path):
    path = case.make(tmp_path, tmp_path / "marker")
    model = kprobe.load_model(path, random_weights=path.suffix == ".json")
    if path.is_dir() or path.suffix == ".pb":
        (found,) = kprobe.function(model, ["y"])(ROWS).values()
        np.testing.assert_array_equal(found, compute_plainly(path))
        return
    k = tf_keras if isinstance(model, tf_keras.Model) else keras
    plain = load_plainly(path, k, tmp_path)
    if path.suffix == ".json":  # both have random ones
        plain.set_weights(model.get_weights())
    assert [layer.name for layer in model.layers] == [layer.name for layer in plain.layers]
    for own, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)
    if len(plain.layers) > 100:  # seconds, and its values are as those of fewer
        return
    rows = [np.ones([2, *map(int, each.shape[1:])], "float32") for each in model.inputs]
    given = rows if len(rows) > 1 else rows[0]
    found, expected = (tf.nest.flatten(each(given)) for each in (model, plain))
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)
