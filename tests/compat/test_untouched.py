"""Whatever kprobe did, TensorFlow and the Kerases are as they were: every function in them."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import kprobe
from kprobe.compat.patching import patched
from kprobe.compat.tensorflow_names import (
    EAGER_CONTEXT,
    FUNCTION_CALL_OPTIONS,
    RESTORED_FUNCTION,
    SHAPES_OF_NUMBERS,
)
from kprobe.errors import KprobeError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

LIBRARIES = ("keras", "tensorflow", "tf_keras")
# Other kinds of value, such as counters, a library changes by itself.
KINDS = (
    classmethod,
    property,
    staticmethod,
    type,
    types.BuiltinFunctionType,
    types.FunctionType,
)


def take_state():
    """Give each function and class of the libraries, in modules and in their classes."""
    found = {}
    for module_name, module in [*sys.modules.items()]:
        if module_name.partition(".")[0] not in LIBRARIES:
            continue
        for name, value in [*vars(module).items()]:
            if not isinstance(value, KINDS):
                continue
            found[f"{module_name}.{name}"] = value
            if isinstance(value, type) and value.__module__.partition(".")[0] in LIBRARIES:
                for member, inner in [*vars(value).items()]:
                    if isinstance(inner, KINDS):
                        found[f"{module_name}.{name}.{member}"] = inner
    found["shapes of numbers"] = SHAPES_OF_NUMBERS.find()
    return found


def list_changes(before, after):
    """Say what is another, gone, or new: but for what modules imported meanwhile brought along.

    Keras puts some of its classes into modules that were there before.
    """
    owners = {name.rpartition(".")[0] for name in before}
    changed = [name for name, value in before.items() if after.get(name, KINDS) is not value]
    added = [
        name
        for name, value in after.items()
        if name not in before and name.rpartition(".")[0] in owners and not isinstance(value, type)
    ]
    return sorted([*changed, *added])


@pytest.fixture
def untouched():
    """Hold everything against what it was before the test, and the options of this thread."""
    before, options = take_state(), read_options()
    yield
    assert list_changes(before, take_state()) == []
    assert read_options() == options


def read_options():
    own = FUNCTION_CALL_OPTIONS.find(EAGER_CONTEXT.find()())
    return own.config_proto_serialized, tf.config.functions_run_eagerly(), tf.executing_eagerly()


def make_model(k):
    inputs = k.Input((3, 4), name="rows")
    around = k.layers.TimeDistributed(k.layers.Dense(2, name="inner"), name="around")
    # relu: for tanh Keras 2 registers kernels of a GPU, too, which takes a second.
    return k.Model(inputs, k.layers.GRU(2, activation="relu", name="gru")(around(inputs)))


ROWS = np.random.default_rng(0).normal(size=(5, 3, 4)).astype("f4")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


@KERASES
@pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
def test_a_dump_leaves_the_libraries_and_the_model_as_they_were(k, eager, tmp_path, untouched):
    model = make_model(k)
    layers = [*model.layers, model.get_layer("around").layer]
    held = [set(vars(layer)) for layer in layers]
    kprobe.dump(model, "around,gru", inputs=ROWS, output=tmp_path / "a.h5", eager=eager)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_allclose(dump["gru"][:], model(ROWS), rtol=1e-5, atol=1e-6)
    for layer, names in zip(layers, held, strict=True):
        assert "call" not in set(vars(layer)) - names


@KERASES
@pytest.mark.parametrize("eager", [False, True], ids=["traced", "eager"])
def test_a_model_that_fails_leaves_the_libraries_as_they_were(k, eager, tmp_path, untouched):
    failing = []

    class Faulty(k.layers.Dense):
        def call(self, inputs):
            for error in failing:
                raise error
            return super().call(inputs)

    symbol = k.Input((3, 4))
    model = k.Model(symbol, k.layers.TimeDistributed(Faulty(2), name="around")(symbol))
    for raised in (ValueError, SystemExit, KeyboardInterrupt):
        failing[:] = [raised("faulty")]
        expected = KprobeError if raised is not KeyboardInterrupt else KeyboardInterrupt
        with pytest.raises(expected, match="faulty"):
            kprobe.dump(model, "around", inputs=ROWS, output=tmp_path / "a.h5", eager=eager)


def save(k, path):
    model = make_model(k)
    model.save(path)
    return model


FILES = {
    "keras-archive": (keras, "a.keras"),
    "keras-hdf5": (keras, "a.h5"),
    "tf_keras-archive": (tf_keras, "a.keras"),
    "tf_keras-hdf5": (tf_keras, "a.h5"),
}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("unsafe", [False, True], ids=["safe", "unsafe"])
def test_loading_leaves_the_libraries_as_they_were(kind, unsafe, tmp_path, untouched):
    k, name = FILES[kind]
    model = save(k, tmp_path / name)
    loaded = kprobe.load_model(tmp_path / name, unsafe=unsafe)
    np.testing.assert_array_equal(loaded(ROWS), model(ROWS))


@pytest.mark.parametrize("kind", FILES)
def test_loading_that_fails_leaves_the_libraries_as_they_were(kind, tmp_path, untouched):
    k, name = FILES[kind]

    @k.utils.register_keras_serializable(package=f"untouched_{kind}")
    class Refusing(k.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1],), name="kernel")

        @classmethod
        def from_config(cls, config):
            raise RuntimeError("refused")

        def call(self, inputs):
            return inputs * self.kernel

    inputs = k.Input((4,))
    k.Model(inputs, Refusing()(inputs)).save(tmp_path / name)
    with pytest.raises(ModelError, match="refused"):
        kprobe.load_model(tmp_path / name, unsafe=True)


def test_a_saved_model_leaves_the_libraries_as_they_were(tmp_path, untouched):
    model = make_model(tf_keras)
    model.save(tmp_path / "saved", save_format="tf")
    kprobe.dump(tmp_path / "saved", "gru", inputs=ROWS, output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_allclose(dump["gru"][:], model(ROWS), rtol=1e-5, atol=1e-6)


CODE = """
import tensorflow as tf
import tf_keras

def build(fails=False):
    tf.compat.v1.disable_eager_execution()
    if fails:
        raise RuntimeError("this code fails")
    inputs = tf_keras.Input((4,), name="rows")
    return tf_keras.Model(inputs, tf_keras.layers.Dense(2, name="dense")(inputs))
"""
SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import tensorflow as tf

sys.path.insert(0, sys.argv[1])
from test_untouched import list_changes, take_state
import kprobe

def run(**arguments):
    try:
        kprobe.dump("network.py:build", "dense", inputs=np.ones((3, 4), "f4"), output="a.h5",
                    overwrite=True, arguments=arguments)
        return "done"
    except kprobe.KprobeError as error:
        return str(error)

before = take_state()
said = [run(), run(fails=True)]
print(said, tf.executing_eagerly(), list_changes(before, take_state()))
"""


def test_code_that_switches_eager_execution_off_leaves_the_rest_as_it_was(warm_python, tmp_path):
    (tmp_path / "network.py").write_text(CODE)
    done = warm_python.run("-c", SCRIPT, Path(__file__).parent, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert said.startswith("['done', 'network.py:build raised RuntimeError: this code fails")
    assert said.endswith(" False []")


def test_a_change_that_isnt_undone_would_be_noticed():
    before = take_state()
    restored = RESTORED_FUNCTION.find()
    loop = sys.modules["tensorflow.python.ops.while_loop"]
    changes = {
        "tf_keras.layers.Layer.__call__": patched("__call__", print, tf_keras.layers.Layer),
        "keras.layers.Dense.__call__": patched("__call__", lambda: 1, keras.layers.Dense),
        "tensorflow.python.ops.while_loop.while_loop": patched("while_loop", print, loop),
        f"{restored.__module__}.RestoredFunction.__call__": patched("__call__", print, restored),
        "shapes of numbers": SHAPES_OF_NUMBERS.patched("others"),
    }
    for place, change in changes.items():
        with change:
            assert place in list_changes(before, take_state())
    assert list_changes(before, take_state()) == []
