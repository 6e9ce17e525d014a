"""Every private name of TensorFlow and the Kerases is there, or else is said to be gone, by name.

To try a new release, run this file first: each test is one name.
"""

from __future__ import annotations

import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kprobe.compat import keras_names, tensorflow_names
from kprobe.compat.private_names import PrivateAttribute, PrivateName
from kprobe.errors import KprobeError

LIBRARIES = {"keras": keras, "tensorflow": tf, "tf_keras": tf_keras}


def list_names(kind):
    return [
        pytest.param(value, LIBRARIES[library], id=f"{library}-{name}")
        for module in (tensorflow_names, keras_names)
        for name, value in vars(module).items()
        if isinstance(value, kind)
        for library in value.libraries
    ]


@pytest.mark.parametrize(("name", "library"), list_names(PrivateName))
def test_a_release_has_the_private_name(name, library):
    name.find(library)


def make_model(k):
    inputs = k.Input((3, 4), name="rows")
    masked = k.layers.Masking(name="masked")(inputs)
    return k.Model(inputs, k.layers.Dense(2, name="dense")(masked))


@functools.cache
def restore(folder):
    module = tf.Module()
    module.run = tf.function(lambda x, n=2: x * n)
    concrete = module.run.get_concrete_function(tf.TensorSpec([None], tf.float32))
    tf.saved_model.save(module, str(folder), signatures=concrete)
    return tf.saved_model.load(str(folder))


def make_graph():
    graph = tf.Graph()
    with graph.as_default():
        tf.add(1, 2, name="sum")
    return graph


def trace_graph():
    return tf.function(lambda: 1).get_concrete_function().graph


def trace_function():
    inner = tf.function(lambda: tf.constant(1))
    outer = tf.function(lambda: inner()).get_concrete_function()
    return next(iter(tensorflow_names.FUNCTIONS.find(outer.graph).values()))


def make_variable_of_session():
    """A variable that tf_keras initialised as it does with eager execution off."""
    with tf.Graph().as_default():
        variable = tf_keras.backend.variable(np.ones(2, "f4"))
        keras_names.INITIALIZED_SESSION.find()()
        return variable


# What has each attribute, for each library that is said to have it.
OWNERS = {
    "APPLY_SCORES": lambda k, folder: k.layers.Attention(),
    "ARGUMENT_NAMES": lambda _, folder: restore(folder).signatures["serving_default"],
    "CACHED_GRAPH": lambda _, folder: trace_function(),
    "CALL_FLAT": lambda _, folder: restore(folder).signatures["serving_default"],
    "CAPTURE": lambda _, folder: trace_graph(),
    "CAPTURES": lambda _, folder: trace_graph(),
    "CLONE": lambda _, folder: tf.function(lambda: 1),
    "COMPUTE_ATTENTION": lambda k, folder: k.layers.MultiHeadAttention(1, 2),
    "CONTROL_FLOW_CONTEXT": lambda _, folder: make_graph().get_operations()[0],
    "CONTROL_OUTPUTS": lambda _, folder: trace_graph(),
    "DEFAULT_VALUES": lambda _, folder: restore(folder).run,
    "FLATTEN_LAYERS": lambda k, folder: make_model(k),
    "FUNCTION_CALL_OPTIONS": lambda _, folder: tensorflow_names.EAGER_CONTEXT.find()(),
    "FUNCTIONAL": lambda k, folder: k.Sequential([k.Input((2,)), k.layers.Dense(1)]),
    "FUNCTIONS": lambda _, folder: make_graph(),
    "HISTORY": lambda k, folder: make_model(k).inputs[0],
    "INBOUND_NODES": lambda k, folder: make_model(k).layers[-1],
    "INITIALIZED": lambda _, folder: make_variable_of_session(),
    "INPUT_STRUCTURE": lambda k, folder: make_model(k),
    "NAME": lambda k, folder: make_model(k).layers[-1],
    "VARIABLE_NAME": lambda _, folder: tf.Variable(1.0),
    "VARIABLE_PATH": lambda k, folder: make_model(k).layers[-1].kernel,
    "MASK": lambda k, folder: k.layers.Masking()(np.zeros((1, 2, 3), "f4")),
    "NESTED_INPUTS": lambda k, folder: make_model(k),
    "NODES_BY_DEPTH": lambda k, folder: make_model(k),
    "OPERATION_NUMBER": lambda _, folder: make_graph().get_operations()[0],
    "OUTER_GRAPH": lambda _, folder: trace_graph(),
    "POSITIONAL_ARGUMENTS": lambda _, folder: restore(folder).signatures["serving_default"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("restored")


@pytest.mark.parametrize(("attribute", "library"), list_names(PrivateAttribute))
def test_a_releases_objects_have_the_private_attribute(attribute, library, folder, request):
    name = request.node.callspec.id.partition("-")[2]
    attribute.find(OWNERS[name](library, folder))


# How kprobe calls what it finds: how many arguments by position, then those by name. What it puts
# in the place of a function is called in the same way.
CALLS = {
    "CALL_CONCRETE_FUNCTION": (2, ()),
    "CALL_OPTIONS": (0, ("executor_type", "config_proto")),
    "CANONICALIZE_INPUTS": (4, ()),
    "CONVERT_OLD_WEIGHTS": (4, ()),
    "DESERIALIZE": (1, ("custom_objects",)),
    "DESERIALIZE_OLD": (1, ("custom_objects",)),
    "DISABLE_EAGER_EXECUTION": (0, ()),
    "EAGER_CONTEXT": (0, ()),
    "EAGER_MODE": (0, ()),
    "FIRST_NAME": (3, ()),
    "FIRST_MODEL_NAME": (3, ()),
    "FUNCTION_DEF_TO_GRAPH": (1, ()),
    "INITIALIZED_SESSION": (0, ()),
    "IS_MEMORY_SUFFICIENT": (1, ()),
    "LOAD_OLD_MODEL": (1, ("custom_objects", "compile")),
    "LOAD_OLD_WEIGHTS": (2, ()),
    "LOAD_SAVED_LAYERS": (1, ("compile",)),
    "LOAD_STATE-keras": (8, ()),
    "LOAD_STATE-tf_keras": (6, ()),
    "MAKE_ASSET_STORE": (4, ()),
    "MAKE_WEIGHT_STORE": (4, ()),
    "OPTIMIZE_GRAPH": (2, ("verbose",)),
    "READ_NAMES_OF_OLD_WEIGHTS": (2, ()),
    "READ_OLD_WEIGHTS": (1, ()),
    "SAFE_MODE": (1, ()),
    "SAVE_STATE": (5, ()),
    "SESSION": (0, ()),
    "VARIABLE_ACCESSED": (1, ()),
    "WHILE_LOOP": (3, ()),
}
# Classes that are compared with or changed, and messages and data that have no signature.
NOT_CALLED = {
    "COMPOSITE_TENSOR",
    "FUNCTION",
    "FUNCTIONAL_MODEL",
    "LAYER_OF_GRAPH_MODE",
    "PROFILE",
    "RESTORED_FUNCTION",
    "RESTORED_MODEL",
    "SHAPES_OF_NUMBERS",
    "TENSOR_PROTO",
    "WEIGHT_STORE",
}


@pytest.mark.parametrize(("name", "library"), list_names(PrivateName))
def test_a_release_takes_the_arguments_that_kprobe_gives(name, library, request):
    library_name, _, constant = request.node.callspec.id.partition("-")
    if constant in NOT_CALLED:
        return
    count, by_name = CALLS.get(f"{constant}-{library_name}") or CALLS[constant]
    check_call(name.find(library), count, by_name)


def check_call(function, count, by_name):
    signature = inspect.signature(function)
    try:
        signature.bind(*range(count), **dict.fromkeys(by_name))
    except TypeError as error:
        raise AssertionError(f"{function.__name__}{signature}: {error}") from None


def test_another_signature_would_be_noticed():
    def mode(a, *, b):
        pass

    with pytest.raises(AssertionError, match=r"^mode\(a, \*, b\): missing a required .*'b'"):
        check_call(mode, 1, ())


GONE = {
    "a function": PrivateName("python.framework.ops", "disable_v4", "stops it"),
    "a module": PrivateName("python.frameworks.ops", "disable", "stops it"),
    "a member of a class": PrivateName("python.framework.ops", "Graph.nodes.all", "stops it"),
}
PLACES = {
    "a function": "tensorflow.python.framework.ops.disable_v4",
    "a module": "tensorflow.python.frameworks.ops.disable",
    "a member of a class": "tensorflow.python.framework.ops.Graph.nodes.all",
}


@pytest.mark.parametrize("kind", GONE)
@pytest.mark.parametrize("use", ["find", "patched"])
def test_a_name_that_is_gone_is_said_with_its_purpose(kind, use):
    with pytest.raises(KprobeError) as caught:
        GONE[kind].find() if use == "find" else GONE[kind].patched(None)
    assert str(caught.value) == (
        f"tensorflow {tf.__version__} has no {PLACES[kind]}: kprobe needs it: it stops it; "
        "install tensorflow 2.21, which kprobe is tested with"
    )


def test_an_attribute_that_is_gone_is_said_with_its_purpose():
    gone = PrivateAttribute("_mask", "a layer", "finds it", ("keras", "tf_keras"))
    for library in (keras, tf_keras):
        with pytest.raises(KprobeError) as caught:
            gone.find(library.layers.Dense(1))
        assert str(caught.value).startswith(
            f"{library.__name__} {library.__version__} has no _mask of a layer: kprobe needs it: "
            "it finds it"
        )
    assert gone.read(keras.layers.Dense(1), "none") == "none"
    assert not gone.is_in(keras.layers.Dense(1))


def test_a_fault_inside_a_librarys_module_isnt_taken_for_a_missing_name(tmp_path, monkeypatch):
    package = tmp_path / "faulty"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        PrivateName("inner", "x", "divides", ("faulty",)).find()
