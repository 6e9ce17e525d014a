"""What a config may name of TensorFlow, against what TensorFlow has under these names."""

from __future__ import annotations

import importlib
import inspect

import list_names
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from kprobe.gate.names import allowed_tensorflow

# What TensorFlow calls an argument that is a function or a file, which a config would choose.
FUNCTION_ARGUMENTS = {
    "vocab_file",
    "filename",
    "path",
    "body",
    "cell",
    "cond",
    "fn",
    "func",
    "function",
    "loop_fn",
    "op",
}
NAMESPACES = [
    *("audio", "bitwise", "dtypes", "image", "linalg", "math", "math.special", "nn"),
    *("quantization", "ragged", "random", "sets", "signal", "sparse", "strings"),
]


@pytest.mark.parametrize("root", [tf, tf.compat.v1], ids=["v2", "v1"])
def test_no_other_tensor_function_takes_a_function_or_a_file(root):
    judged, taking = 0, set()
    for namespace in ["", *NAMESPACES]:
        place = root
        for part in filter(None, namespace.split(".")):
            place = getattr(place, part, None)
        for name, thing in vars(place).items() if place else ():
            symbol = f"{namespace}.{name}".lstrip(".")
            if callable(thing) and allowed_tensorflow.allows_tensor_function(symbol):
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
        ("nn.fixed_unigram_candidate_sampler", False),
        ("compat.v1.random.fixed_unigram_candidate_sampler", False),
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
    assert allowed_tensorflow.allows_tensor_function(symbol) is allows


def test_whatever_tensorflow_has_in_these_namespaces_is_listed_or_left_out_with_a_reason():
    known = {*list_names.read_list("tensor_functions"), *list_names.read_list("left_out")}
    symbols = {("symbol", name) for name in list_names.list_tensor_functions()}
    assert len(symbols) > 500
    assert symbols - known == set()


def test_every_allowed_operation_is_tensorflow_s_and_has_no_state():
    for name in allowed_tensorflow.TENSOR_OPERATIONS:
        definition = op_def_registry.get(name)
        assert definition is not None, name
        assert not definition.is_stateful, name


def test_the_attributes_of_ragged_tensors_are_theirs():
    for name in allowed_tensorflow.INSTANCE_ATTRIBUTES:
        assert hasattr(tf.RaggedTensor, name) or hasattr(tf.SparseTensor, name), name
    for name in allowed_tensorflow.CLASS_METHODS:
        assert inspect.ismethod(getattr(tf.RaggedTensor, name)), name


@pytest.mark.parametrize("kind", [tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec])
def test_a_type_of_an_input_is_one_of_tensorflow_s(kind):
    assert allowed_tensorflow.allows_type_spec(kind.__module__, kind.__name__)
    assert not allowed_tensorflow.allows_type_spec("mine", kind.__name__)
    assert not allowed_tensorflow.allows_type_spec(
        kind.__module__, kind.__name__.removesuffix("Spec")
    )


OPS = "tensorflow.python.ops"
INITIALIZERS = [
    tf.constant_initializer(0.5),
    tf.random_normal_initializer(0.0, 0.02),
    tf.random_uniform_initializer(-0.1, 0.1),
    tf.zeros_initializer(),
    tf.ones_initializer(),
    tf.compat.v1.initializers.glorot_uniform(),
    tf.compat.v1.initializers.he_normal(),
    tf.compat.v1.orthogonal_initializer(),
]
ACTIVATIONS = [
    *(tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.selu, tf.nn.leaky_relu, tf.nn.swish, tf.nn.gelu),
    *(tf.nn.softmax, tf.nn.log_softmax, tf.nn.softplus, tf.nn.softsign, tf.nn.crelu, tf.nn.tanh),
    *(tf.nn.sigmoid, tf.nn.l2_normalize, tf.tanh, tf.sigmoid, tf.sin, tf.cos, tf.abs, tf.exp),
    *(tf.square, tf.sqrt, tf.identity, tf.math.erf, tf.math.log_sigmoid, tf.math.rsqrt, tf.sign),
]


@pytest.mark.parametrize("made", INITIALIZERS, ids=lambda made: type(made).__name__)
def test_tensorflow_s_own_initializers_are_allowed(made):
    kind = type(made)
    assert allowed_tensorflow.allows_initializer(kind.__module__, kind.__name__)


@pytest.mark.parametrize("function", ACTIVATIONS, ids=lambda function: function.__name__)
def test_tensorflow_s_own_activations_are_allowed(function):
    assert allowed_tensorflow.allows_activation(function.__module__, function.__name__)


def test_whatever_is_allowed_makes_one_tensor_of_one():
    """Nothing else can be in the tables: each is called as a layer calls it."""
    tables = allowed_tensorflow.ACTIVATIONS
    given = tf.constant([[0.25, 0.5]])
    for module, names in tables.items():
        for name in names:
            function = vars(importlib.import_module(module))[name]
            assert inspect.isfunction(function), name
            made = function(given)
            assert isinstance(made, tf.Tensor), name
            assert made.dtype == tf.float32, name
    for module, names in allowed_tensorflow.INITIALIZERS.items():
        for name in names:
            kind = vars(importlib.import_module(module))[name]
            assert inspect.isclass(kind), name
            assert kind.__module__ == module, name
            assert {"__call__", "get_config", "from_config"} <= set(dir(kind)), name


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (f"{OPS}.init_ops_v2", "_RandomGenerator"),
        (f"{OPS}.init_ops_v2", "np"),
        (f"{OPS}.init_ops_v2", "Constant.from_config"),
        (f"{OPS}.io_ops", "Constant"),
        (f"{OPS}.init_ops_v2.math_ops", "Constant"),
        ("evil.tensorflow.python.ops.init_ops_v2", "Constant"),
        ("tensorflow", "Constant"),
    ],
)
def test_nothing_else_of_tensorflow_is_an_initializer(module, name):
    assert not allowed_tensorflow.allows_initializer(module, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (f"{OPS}.gen_io_ops", "read_file"),
        (f"{OPS}.io_ops", "read_file"),
        (f"{OPS}.script_ops", "py_func"),
        (f"{OPS}.math_ops", "np"),
        (f"{OPS}.math_ops", "dispatch"),
        (f"{OPS}.nn_ops", "with_space_to_batch"),
        (f"{OPS}.gen_io_ops", "relu"),
        (f"{OPS}.nn_ops", "relu6 "),
        (f"{OPS}", "nn_ops.relu6"),
        ("tensorflow.python.ops.nn_ops.os", "relu6"),
        ("tensorflow.raw_ops", "Relu"),
        ("tensorflow", "sin"),
    ],
)
def test_nothing_else_of_tensorflow_is_an_activation(module, name):
    assert not allowed_tensorflow.allows_activation(module, name)
