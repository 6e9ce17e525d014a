"""Models as code on the command line: FILE.py:CALLABLE, --arg, --weights, --keras."""

from __future__ import annotations

import json
import sys

import h5py
import keras
import numpy as np
import pytest
import tf_keras

import kprobe

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
# Keras's, when it saves a variable.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

# What expects Keras 2, in a layer that can't be rebuilt from a config, since it holds a function.
OLD = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import backend as K
from tensorflow.keras import layers as KL

class Apply(KL.Layer):
    def __init__(self, function, factor, **options):
        super().__init__(**options)
        self.function, self.factor = function, factor

    def build(self, shape):
        self.shift = self.add_weight(name="shift", shape=(int(shape[-1]),), initializer="zeros")

    def call(self, x):
        return self.function(x + self.shift) * self.factor

class Subclassed(keras.Model):
    pass

class Detector:
    def __init__(self, mode, units=5):
        assert KL.Layer.__module__.startswith("tf_keras"), KL.Layer.__module__
        x = KL.Input((6,), name="x")
        hidden = KL.Dense(units, name="hidden")(x)
        applied = Apply(lambda t: K.relu(t), 3.0, name="applied")(hidden)
        self.keras_model = keras.Model(x, KL.Dense(2, name="out")(applied), name=mode)
"""
WITHOUT_EAGER = "import tensorflow.compat.v1 as v1\nv1.disable_eager_execution()\n" + OLD
NETWORK = """
import keras

class Applied(keras.layers.Layer):
    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)

def make_model(units=3, activation=None, name="network"):
    x = keras.Input((6,), name="x")
    parts = [keras.Input((6,), name="i"), keras.layers.Dense(units, name="d")]
    inner = keras.Sequential(parts, name="inner")
    hidden = Applied(lambda t: keras.ops.relu(t) + 1, name="applied")(inner(x))
    out = keras.layers.Dense(2, activation=activation, name="out")(hidden)
    return keras.Model(x, out, name=name)

def make_flat():
    x = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(3, activation="relu", name="hidden")(x)
    return keras.Model(x, keras.layers.Dense(2, name="out")(hidden))

def fails():
    raise FileNotFoundError("no backbone\\nhere")

def nothing():
    make_flat()

def path():
    return "model.h5"

def wants(depth, units=3):
    return make_flat()
"""


@pytest.fixture(autouse=True)
def code(folder):
    """Write the code into the working directory."""
    (folder / "old_swirl.py").write_text(OLD)
    (folder / "tf1_swirl.py").write_text(WITHOUT_EAGER)
    (folder / "net_swirl.py").write_text(NETWORK)
    np.save("x.npy", X)
    yield
    for name in ("old_swirl", "tf1_swirl", "net_swirl"):
        sys.modules.pop(name, None)


def read(path="a.h5"):
    with kprobe.open_dump(path) as dump:
        return {name: dump[name][:] for name in dump.columns}, dict(dump.attrs)


def make_weights(library, units=5):
    """Weights of a Detector in the old layout; its arrays, in order."""
    layers = [library.layers.Dense(units, name="hidden"), library.layers.Dense(2, name="out")]
    model = library.Sequential([library.Input((6,)), *layers])
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=weight.shape).astype("f4") for weight in model.get_weights()]
    model.set_weights(arrays)
    return model, arrays


def test_code_that_expects_keras_2_gets_it(kprobe_process, warm_python_of_keras_2):
    _, (kernel, bias, *_) = make_weights(tf_keras)
    shift = np.linspace(-1, 1, 5).astype("f4")
    with h5py.File("w.h5", "w") as file:
        layers = {"hidden": [kernel, bias], "applied": [shift]}
        file.attrs["layer_names"] = [*layers]
        for name, arrays in layers.items():
            names = [f"{name}/{number}:0" for number in range(len(arrays))]
            file.create_group(name).attrs["weight_names"] = names
            for weight_name, array in zip(names, arrays, strict=True):
                file[name][weight_name] = array
    command = (
        "dump", "old_swirl.py:Detector", "--arg", "mode=inference", "--keras", "2",
        "-l", "applied", "-i", "x.npy", "--weights", "w.h5", "-o", "a.h5",
    )  # fmt: skip
    done = warm_python_of_keras_2.run("-m", "kprobe", *command)
    assert done.returncode == 2
    assert done.stderr == (
        "kprobe: w.h5 has no weights for out; "
        "`--random-weights` leaves these layers with the weights they have\n"
    )
    done = kprobe_process(*command, "--random-weights")
    assert done.returncode == 0, done.stderr
    assert "kprobe: w.h5: weights of 2 layers, by name; left as they were: out\n" in done.stderr
    values, attrs = read()
    expected = np.maximum(X @ kernel + bias + shift, 0) * 3
    np.testing.assert_allclose(values["applied"], expected, rtol=1e-4, atol=1e-5)
    assert attrs["keras"].startswith("tf_keras 2")
    assert json.loads(attrs["options"])["arguments"] == {"mode": "'inference'"}


def test_the_same_code_gets_keras_3_otherwise(kprobe_warm):
    done = kprobe_warm("dump", "old_swirl.py:Detector", "--arg", "mode=x", "-l", "out")
    assert done.returncode == 2
    *traceback, line = done.stderr.splitlines()
    assert line.startswith("kprobe: old_swirl.py:Detector raised AssertionError: keras.src.")
    assert traceback[0] == "Traceback (most recent call last; shortened):"
    assert len(traceback) == 3


GRAPH_MODE = """
import numpy as np
import kprobe

model = kprobe.load_model(
    "tf1_swirl.py:Detector", keras=2, arguments={"mode": "inference"}, weights="w.h5",
    random_weights=True,
)
import tensorflow as tf
import tf_keras
assert not tf.executing_eagerly()
K = tf_keras.backend
function = K.function(model.inputs, [model.get_layer("hidden").output])
np.save("hidden.npy", function([np.load("x.npy")])[0])
for code, options in (
    ("tf1_swirl.py:Detector", {"arguments": {"mode": "a"}, "weights": "w.weights.h5"}),
    ("tf1_swirl.py:Subclassed", {}),
):
    try:
        kprobe.load_model(code, **options)
    except kprobe.KprobeError as error:
        print(*error.lines)
"""


def test_code_that_switches_eager_execution_off_is_loaded_with_its_weights(
    folder, warm_python_of_keras_2
):
    model, (kernel, bias, *_) = make_weights(tf_keras)
    model.save_weights("w.h5")
    model.save_weights("w.weights.h5")
    done = warm_python_of_keras_2.run("-c", GRAPH_MODE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "w.weights.h5: a model whose code switched eager execution off takes weights of the old "
        "HDF5 layout only; save them with `save_weights('w.h5')` of Keras 2\n"
        "the model (Subclassed) is subclassed or isn't built, and its code switched eager "
        "execution off, so that it has no inputs to start from; let the code return "
        "`keras.Model(inputs, model(inputs))`\n"
    )
    np.testing.assert_allclose(np.load("hidden.npy"), X @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_every_command_works_on_code(kprobe_warm, kprobe_here):
    net = ("net_swirl.py:make_model", "--arg", "units=7", "--arg", "name=mine")
    done = kprobe_warm("ls", *net, "--json")
    assert [(e["address"], e["class"], e["parameters"]) for e in json.loads(done.stdout)] == [
        ("x", "InputLayer", 0),
        ("inner", "Sequential", 49),
        ("inner/i", "InputLayer", 0),
        ("inner/d", "Dense", 49),
        ("applied", "Applied", 0),
        ("out", "Dense", 16),
    ]
    done = kprobe_warm("ls", *net, "applied", "--ops", "--type", "Relu")
    assert done.stdout.splitlines()[1].split()[0] == "applied//Relu"
    done = kprobe_warm("find", *net, "MatMul", "--from", "applied")
    assert done.stdout.splitlines()[1].split()[1] == "inner/d//MatMul"
    np.save("fed.npy", np.full((4, 7), -2, "f4"))
    done = kprobe_here(
        "dump", *net, "-l", "applied,relu=applied//Relu,at:-1", "--feed", "inner/d=fed.npy",
        "-o", "a.h5",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    values, attrs = read()
    np.testing.assert_array_equal(values["applied"], np.ones((4, 7)))
    np.testing.assert_array_equal(values["relu"], np.zeros((4, 7)))
    assert attrs["model"] == "net_swirl.py:make_model"
    assert len(attrs["model_sha256"]) == 64


def write_old(path, **layers):
    """Write weights as Keras 2 does: the kernel and the bias of each layer, by its name."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.3.1"
        file.attrs["layer_names"] = [*layers]
        for layer, arrays in layers.items():
            names = [f"{layer}/kernel:0", f"{layer}/bias:0"]
            file.create_group(layer).attrs["weight_names"] = names
            for name, array in zip(names, arrays, strict=True):
                file[layer][name] = array


def draw(*shape):
    rng = np.random.default_rng(len(shape) + shape[-1])
    return rng.normal(size=shape).astype("f4"), rng.normal(size=shape[-1]).astype("f4")


HIDDEN, OUT = draw(6, 3), draw(3, 2)


@pytest.mark.parametrize(
    ("layers", "options", "line"),
    [
        ({"hidden": HIDDEN, "out": OUT}, (), "w.h5: weights of 2 layers, by name"),
        ({"out": OUT, "hidden": HIDDEN}, (), "w.h5: weights of 2 layers, by name"),
        (
            {"dense_7": HIDDEN, "dense_8": OUT},
            (),
            "w.h5: weights of 2 layers, in order: hidden from dense_7, out from dense_8",
        ),
        (
            {"hidden": HIDDEN, "logits": OUT},
            (),
            "w.h5: weights of 2 layers, in order: out from logits",
        ),
        (
            {"hidden": HIDDEN, "out": OUT, "logits": draw(2, 9)},
            (),
            "w.h5: weights of 2 layers, by name; not the model's: logits",
        ),
        (
            {"hidden": HIDDEN, "logits": draw(3, 9)},
            ("--random-weights",),
            "w.h5: weights of 1 layer, by name; left as they were: out; not the model's: logits",
        ),
        (
            {"hidden": HIDDEN, "out": draw(3, 9)},
            ("--random-weights",),
            "w.h5: weights of 1 layer, by name; left as they were: out",
        ),
    ],
)
def test_weights_are_matched_by_name_or_in_order(kprobe_here, layers, options, line):
    write_old("w.h5", **layers)
    done = kprobe_here(
        "dump", "net_swirl.py:make_flat", "--weights", "w.h5", *options, "-l", "hidden,out",
        "-i", "x.npy", "-o", "a.h5",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert f"kprobe: {line}\n" in done.stderr
    values, _ = read()
    hidden = np.maximum(X @ HIDDEN[0] + HIDDEN[1], 0)
    np.testing.assert_allclose(values["hidden"], hidden, rtol=1e-4, atol=1e-5)
    if not options:
        np.testing.assert_allclose(values["out"], hidden @ OUT[0] + OUT[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("layers", "lines"),
    [
        (
            {"hidden": HIDDEN, "out": draw(3, 9)},
            [
                "w.h5: out expects weights of shape (3, 2) (2,), received (3, 9) (9,); "
                "`--random-weights` leaves these layers with the weights they have"
            ],
        ),
        (
            {"hidden": draw(5, 3), "logits": OUT},
            [
                "w.h5: hidden expects weights of shape (6, 3) (3,), received (5, 3) (3,)",
                "w.h5 has no weights for out; it has some for logits",
                "hint: `--random-weights` leaves these layers with the weights they have",
            ],
        ),
    ],
)
def test_weights_that_do_not_fit_are_named_with_their_shapes(kprobe_here, layers, lines):
    write_old("w.h5", **layers)
    done = kprobe_here("dump", "net_swirl.py:make_flat", "--weights", "w.h5", "-l", "out")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [f"kprobe: {line}" for line in lines]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "nothing",
            "kprobe: net_swirl.py:nothing: expected a model of keras or tf_keras, or an object "
            "that holds one as .keras_model or .model, received None; does it end with `return "
            "model`?\n",
        ),
        (
            "path",
            "kprobe: net_swirl.py:path: expected a model of keras or tf_keras, or an object "
            "that holds one as .keras_model or .model, received an object of type str; return the "
            "model\n",
        ),
        (
            "wants",
            "kprobe: net_swirl.py:wants needs the argument depth; give --arg depth=VALUE\n",
        ),
        (
            "make_modl",
            "kprobe: net_swirl.py:make_modl: net_swirl.py has no make_modl; nearest: make_model\n",
        ),
    ],
)
def test_code_that_makes_no_model_is_answered_in_a_line(kprobe_here, name, expected):
    done = kprobe_here("dump", f"net_swirl.py:{name}", "-l", "out")
    assert (done.exit_code, done.stderr) == (2, expected)


def test_what_the_code_raises_is_shown_where_it_does(kprobe_warm, folder):
    number = NETWORK.splitlines().index('    raise FileNotFoundError("no backbone\\nhere")') + 1
    done = kprobe_warm("dump", "net_swirl.py:fails", "-l", "out")
    assert done.returncode == 2
    assert done.stderr == (
        "Traceback (most recent call last; shortened):\n"
        f'  File "{folder}/net_swirl.py", line {number}, in fails\n'
        '    raise FileNotFoundError("no backbone\\nhere")\n'
        "kprobe: net_swirl.py:fails raised FileNotFoundError: no backbone; "
        "-v shows the traceback\n"
    )


def test_the_dump_is_named_after_what_is_called(kprobe_here, folder):
    done = kprobe_here("dump", "net_swirl.py:make_model", "-l", "out", "--random", "2")
    assert done.exit_code == 0, done.stderr
    assert (folder / "make_model.activations.h5").exists()
    assert (
        "no weights are given: the model is used as net_swirl.py:make_model left it" in done.stderr
    )


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_an_architecture_and_its_weights(kprobe_here, library, folder):
    model, (kernel, bias, *_) = make_weights(library)
    (folder / "model.json").write_text(model.to_json())
    model.save_weights("w.weights.h5")
    assert [line.split()[:2] for line in kprobe_here("ls", "model.json").stdout.splitlines()[1:]][
        -2:
    ] == [["hidden", "Dense"], ["out", "Dense"]]
    done = kprobe_here("dump", "model.json", "-l", "hidden", "-o", "a.h5")
    assert done.exit_code == 2
    assert done.stderr == (
        "kprobe: model.json holds an architecture without weights; give them with --weights FILE; "
        "--random-weights takes random ones\n"
    )
    done = kprobe_here("dump", "model.json", "-l", "hidden", "--random-weights", "-o", "a.h5")
    assert "kprobe: model.json has no weights: they are random" in done.stderr
    done = kprobe_here(
        "dump", "model.json", "-l", "hidden", "--weights", "w.weights.h5", "-i", "x.npy",
        "-o", "b.h5",
    )  # fmt: skip
    assert "kprobe: w.weights.h5: weights of 2 layers, " in done.stderr
    np.testing.assert_allclose(read("b.h5")[0]["hidden"], X @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_an_architecture_that_would_run_code_is_refused(kprobe_here, folder):
    x = tf_keras.Input((4,), name="x")
    model = tf_keras.Model(x, tf_keras.layers.Lambda(lambda t: t * 2, name="double")(x))
    (folder / "model.json").write_text(model.to_json())
    done = kprobe_here("dump", "model.json", "-l", "double", "--random-weights")
    assert done.exit_code == 4
    assert "layer 'double' has a Lambda, which runs Python code" in done.stderr
    done = kprobe_here(
        "dump", "model.json", "-l", "double", "--random-weights", "--unsafe", "--random", "2"
    )
    assert done.exit_code == 0, done.stderr


def test_the_weights_are_checked_before_tensorflow_is_loaded(kprobe_here):
    done = kprobe_here("dump", "net_swirl.py:make_model", "-l", "out", "--weights", "none.h5")
    assert done.stderr == "kprobe: weights: there is no file none.h5; check the path\n"
    assert "net_swirl" not in sys.modules


@pytest.mark.parametrize(
    ("text", "fault"),
    [("units", "expected KEY=VALUE, received 'units'"), ("1=2", "expected KEY=VALUE")],
)
def test_an_argument_is_a_key_and_a_value(kprobe_here, text, fault):
    done = kprobe_here("ls", "net_swirl.py:make_model", "--arg", text)
    assert done.exit_code == 2
    assert fault in done.stderr


def test_values_are_literals_or_text(kprobe_here):
    common = ("dump", "net_swirl.py:make_model", "-l", "out", "--dry-run")
    for value in ("relu", "None", "'tanh'"):
        assert kprobe_here(*common, "--arg", f"activation={value}").exit_code == 0
    done = kprobe_here(*common, "--arg", "units=4", "--arg", "units=5")
    assert "units is given twice" in done.stderr
    done = kprobe_here(*common, "--arg", "unit=4")
    assert done.stderr == (
        "kprobe: net_swirl.py:make_model takes no argument unit: it takes units, activation, name\n"
    )
