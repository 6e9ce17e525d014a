"""What a config may name, against what Keras and TensorFlow themselves have under these names."""

from __future__ import annotations

import inspect

import keras
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.python.framework import op_def_registry

from kprobe.gate import allowed

KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
# What TensorFlow calls an argument that is a function, which a config would choose.
FUNCTION_ARGUMENTS = {"body", "cell", "cond", "fn", "func", "function", "loop_fn", "op"}
NAMESPACES = [
    *("audio", "bitwise", "dtypes", "image", "linalg", "math", "math.special", "nn"),
    *("quantization", "ragged", "random", "sets", "signal", "sparse", "strings"),
]


def list_layers(k):
    return {
        name: thing
        for name, thing in vars(k.layers).items()
        if inspect.isclass(thing) and issubclass(thing, k.layers.Layer)
    }


def list_functions(module):
    return {name: thing for name, thing in vars(module).items() if inspect.isfunction(thing)}


@KERASES
def test_every_layer_of_keras_is_judged(k):
    layers = list_layers(k)
    assert len(layers) > 100
    known = allowed.LAYER_CLASSES | set(allowed.UNSAFE_CLASSES)
    assert {layer.__name__ for layer in layers.values()} <= known
    assert not allowed.LAYER_CLASSES & set(allowed.UNSAFE_CLASSES)
    for layer in layers.values():
        if layer.__name__ not in allowed.UNSAFE_CLASSES:
            assert allowed.allows_class(layer.__module__, layer.__name__), layer


@KERASES
@pytest.mark.parametrize("part", ["activations", "losses"])
def test_the_functions_that_models_are_made_of_are_allowed(k, part):
    functions = list_functions(getattr(k, part))
    machinery = {"deserialize", "get", "serialize"}
    assert len(functions) > 15
    for name, function in functions.items():
        allows = allowed.allows_function(function.__module__, function.__name__)
        assert allows == (name not in machinery), name


@KERASES
@pytest.mark.parametrize(
    "part", ["utils", "saving", "applications", "config", "models", "datasets"]
)
def test_what_reads_files_or_the_network_is_no_function_of_a_model(k, part):
    module = getattr(k, part, None)
    for name, function in list_functions(module).items() if module else ():
        assert not allowed.allows_function(function.__module__, function.__name__), name
        assert not allowed.allows_function(f"{k.__name__}.{part}", name), name


@pytest.mark.parametrize(
    ("module", "below"),
    [
        ("keras.src.layers.core.dense", "layers.core.dense"),
        ("tf_keras.src.layers", "layers"),
        ("tensorflow.keras.layers", "layers"),
        ("tensorflow.python.keras.layers", "layers"),
        ("keras.layers", "layers"),
        ("keras", ""),
        ("keras.src", ""),
        ("kerasx.layers", None),
        ("mykeras.layers", None),
        ("tensorflow", None),
        ("os", None),
        ("", None),
    ],
)
def test_only_keras_s_own_modules_are_below_its_root(module, below):
    assert allowed.split_module(module) == below


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "System"),
        ("keras.utils", "CustomObjectScope"),
        ("keras.src.utils.file_utils", "Path"),
        ("keras.layers", "dense"),
        ("keras.layers", "Dense.call"),
        ("keras.layers", "Dense\n"),
        ("keras.layers", "D\u00e9nse"),
        ("keras.applications", "ResNet50"),
    ],
)
def test_no_other_class_is_allowed(module, name):
    assert not allowed.allows_class(module, name)


@pytest.mark.parametrize("root", [tf, tf.compat.v1], ids=["v2", "v1"])
def test_no_other_tensor_function_takes_a_function(root):
    judged, taking = 0, set()
    for namespace in ["", *NAMESPACES]:
        place = root
        for part in filter(None, namespace.split(".")):
            place = getattr(place, part, None)
        for name, thing in vars(place).items() if place else ():
            symbol = f"{namespace}.{name}".lstrip(".")
            if callable(thing) and allowed.allows_tensor_function(symbol):
                assert not inspect.isclass(thing), symbol
                judged += 1
                if set(inspect.signature(thing).parameters) & FUNCTION_ARGUMENTS:
                    taking.add(symbol)
    assert judged > 400
    assert taking == set()


@pytest.mark.parametrize(
    ("symbol", "allows"),
    [
        ("math.add", True),
        ("compat.v1.nn.relu", True),
        ("concat", True),
        ("random.set_seed", False),
        ("random.Generator", False),
        ("map_fn", False),
        ("py_function", False),
        ("numpy_function", False),
        ("io.read_file", False),
        ("math.", False),
        ("math.a-b", False),
        ("compat.v1.py_func", False),
        ("", False),
    ],
)
def test_a_symbol_is_allowed_where_it_only_computes(symbol, allows):
    assert allowed.allows_tensor_function(symbol) is allows


def test_every_allowed_operation_is_tensorflow_s_and_has_no_state():
    for name in allowed.TENSOR_OPERATIONS:
        definition = op_def_registry.get(name)
        assert definition is not None, name
        assert not definition.is_stateful, name


def test_the_attributes_of_ragged_tensors_are_theirs():
    for name in allowed.INSTANCE_ATTRIBUTES:
        assert hasattr(tf.RaggedTensor, name) or hasattr(tf.SparseTensor, name), name
    for name in allowed.CLASS_METHODS:
        assert inspect.ismethod(getattr(tf.RaggedTensor, name)), name


@pytest.mark.parametrize("kind", [tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec])
def test_a_type_of_an_input_is_one_of_tensorflow_s(kind):
    assert allowed.allows_type_spec(kind.__module__, kind.__name__)
    assert not allowed.allows_type_spec("mine", kind.__name__)
    assert not allowed.allows_type_spec(kind.__module__, kind.__name__.removesuffix("Spec"))
