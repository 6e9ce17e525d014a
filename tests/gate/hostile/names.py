"""What configs name: code, other files, and classes and functions that models aren't made of.

A payload makes the marker, or would read a file that isn't there.
"""

from __future__ import annotations

import io
import json
import re

import h5py
import numpy as np
from gate.hostile.case import Case
from gate.hostile.zip_writer import Member, write_zip


def layer(class_name, module=..., registered_name=..., name="a", **config):
    made = {"class_name": class_name, "config": {"name": name, "trainable": True, **config}}
    if module is not ...:
        made["module"] = module
    if registered_name is not ...:
        made["registered_name"] = registered_name
    return made


def function(name, module="builtins"):
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    }


def dense(**config):
    return layer("Dense", "keras.layers", None, units=3, **config)


BYTECODE = ["4wEAAAAAAAAA\n", None, None]
LAMBDA = {"class_name": "__lambda__", "config": {"code": BYTECODE[0]}}
NODE = {"name": "w", "op": "WriteFile", "input": ["p", "x"]}
TYPE = {"class_name": "__typespec__", "config": [], "registered_name": None}

OPS = "tensorflow.python.ops"
HOSTILE = {
    "a Lambda layer": layer("Lambda", function=BYTECODE, function_type="lambda"),
    "a Lambda layer of Keras 3": layer("Lambda", "keras.layers", None, function=LAMBDA),
    "a registered Lambda": layer("Custom>Lambda"),
    "a Lambda under a registered name": layer("L", "keras.layers.core", "Lambda"),
    "a Lambda under another layer's module": layer("Lambda", "tf_keras.src.layers.core"),
    "a lambda in an argument": dense(activation=LAMBDA),
    "a lambda deep in a wrapper": layer("TimeDistributed", layer=dense(activation=LAMBDA)),
    "bytecode in a cell": layer(
        "RNN", cell=layer("ResidualWrapper", residual_fn=BYTECODE, residual_fn_type="lambda")
    ),
    "Python's eval": dense(activation=function("eval")),
    "a function of the standard library": dense(activation=function("system", "os")),
    "a function of an unknown module": dense(activation=function("go", "evil")),
    "a function that isn't a name": dense(activation=function(["x"])),
    "a layer of the standard library": layer("system", "os", None),
    "a class of the standard library": dense(
        kernel_initializer={"module": "subprocess", "class_name": "Popen", "config": {"args": "x"}}
    ),
    "an initializer of an unknown module": dense(
        kernel_initializer={"module": "evil", "class_name": "Ones", "config": {}}
    ),
    "keras's downloads": dense(activation=function("get_file", "keras.utils")),
    "keras's downloads as a layer": layer("get_file", "keras.utils", None),
    "keras's loader": layer("load_model", "keras.models", None),
    "keras's switch for safe mode": dense(
        activation=function("enable_unsafe_deserialization", "keras.config")
    ),
    "an application that fetches weights": layer("VGG16", "keras.applications", None),
    "a module that a real one imports": dense(
        activation=function("import_module", "keras.src.ops.core.importlib")
    ),
    "a module that isn't one of keras's": dense(activation=function("go", "keras.ops.core.go")),
    "a function that makes any object": dense(
        activation=function("deserialize_keras_object", "tf_keras.src.losses")
    ),
    "a module imported by keras's own": dense(activation=function("tf.io.gfile", "keras.layers")),
    "a class inside a module's import": layer("tf.Module", "tf_keras.src.layers", None),
    "a lookalike of keras": dense(activation=function("go", "keras_evil.activations")),
    "tf.py_function": layer("TFOpLambda", function="py_function"),
    "tf.io.write_file": layer("TFOpLambda", function="io.write_file"),
    "tf.io.read_file of TensorFlow 1": layer("TFOpLambda", function="compat.v1.io.read_file"),
    "tf.raw_ops": layer("SlicingOpLambda", function="raw_ops.WriteFile"),
    "tf.load_op_library": layer("TFOpLambda", function="load_op_library"),
    "tf.print, which writes files": layer("TFOpLambda", function="print"),
    "keras by way of TensorFlow": layer("TFOpLambda", function="keras.utils.get_file"),
    "a class as a function": layer("TFOpLambda", function="random.Generator"),
    "no function at all": layer("TFOpLambda", function=None),
    "an operation that writes": layer("TensorFlowOpLayer", node_def=NODE),
    "an operation in binary": layer("TensorFlowOpLayer", node_def="\n\x01w"),
    "any class method": layer("ClassMethod", cls_symbol="io.gfile.GFile", method_name="write"),
    "any method": layer("InstanceMethod", attr_name="__init__"),
    "any attribute": layer("InstanceProperty", attr_name="__class__"),
    "a SavedModel": layer("TFSMLayer", "keras.layers", None, filepath="/tmp/x"),
    "a pickle": layer("TorchModuleWrapper", "keras.layers", None),
    "a vocabulary file": layer("StringLookup", vocabulary="/etc/passwd"),
    "a file that TensorFlow reads": dense(activation=function("read_file", f"{OPS}.gen_io_ops")),
    "Python that TensorFlow runs": dense(activation=function("py_func", f"{OPS}.script_ops")),
    "a module that TensorFlow's imports": dense(
        activation=function("import_module", f"{OPS}.nn_ops.importlib")
    ),
    "an activation that is registered as something else": dense(
        activation={**function("relu", f"{OPS}.gen_nn_ops"), "registered_name": "os"}
    ),
    "another class of TensorFlow's": dense(
        kernel_initializer={
            "module": f"{OPS}.lookup_ops",
            "class_name": "TextFileInitializer",
            "config": {"filename": "/etc/passwd"},
        }
    ),
    "what an initializer's module imports": dense(
        kernel_initializer={"module": f"{OPS}.init_ops_v2", "class_name": "np", "config": {}}
    ),
    "an initializer that is registered as something else": dense(
        kernel_initializer={
            "module": f"{OPS}.init_ops_v2",
            "class_name": "Zeros",
            "config": {},
            "registered_name": "np",
        }
    ),
    "a lookalike of tensorflow": dense(
        activation=function("relu", "tensorflow_evil.python.ops.gen_nn_ops")
    ),
    "an application as an initializer": dense(
        kernel_initializer={
            "module": "keras.applications.inception_resnet_v2",
            "class_name": "InceptionResNetV2",
            "config": {},
        }
    ),
    "a layer that isn't text": layer("ROI", module=["os"], registered_name=None),
    "a function of a module that isn't text": dense(activation=function("relu", ["os"])),
    "an input type of another module": layer(
        "InputLayer", type_spec={**TYPE, "spec_name": "Popen", "module": "subprocess"}
    ),
    "a nested model's compile_config": {
        **layer("Sequential", "keras", None, layers=[]),
        "compile_config": {"loss": function("system", "os")},
    },
    "a class name that isn't text": dense(kernel_initializer={"class_name": ["x"], "config": {}}),
    "a module name that isn't text": dense(
        kernel_initializer={"module": {"x": 1}, "class_name": "Ones", "config": {}}
    ),
}
NODE_ADD = {"name": "add", "op": "AddV2", "input": ["x", "y"]}
SPEC = {**TYPE, "spec_name": "TensorSpec", "module": "tensorflow.python.framework.tensor"}
ELLIPSIS = {"class_name": "__ellipsis__", "config": {}}
HONEST = {
    "an activation by name": dense(activation="relu", kernel_initializer="he_normal"),
    "an activation as a function": dense(activation=function("relu")),
    "an activation of its module": dense(activation=function("relu", "keras.activations")),
    "a function of a submodule": dense(activation=function("gelu", "keras.src.ops.nn")),
    "a function of Keras 2.12": dense(
        activation=function("mean_squared_error", "keras.src.metrics.metrics")
    ),
    "an initializer": dense(
        kernel_initializer={"module": "keras.initializers", "class_name": "Zeros", "config": {}}
    ),
    "an initializer of TensorFlow 1": dense(
        kernel_initializer={"class_name": "GlorotUniformV2", "config": {"seed": None}},
        bias_initializer={"class_name": "UniformUnitScaling", "config": {}},
    ),
    "an initializer by its alias": dense(
        kernel_initializer={"class_name": "uniform", "config": {}}
    ),
    "a policy of TensorFlow 2.1": dense(
        dtype={
            "class_name": "PolicyV1",
            "config": {
                "name": "mixed_float16",
                "loss_scale": {"class_name": "DynamicLossScale", "config": {}},
            },
        }
    ),
    "columns of features": layer(
        "DenseFeatures",
        feature_columns=[
            {"class_name": "NumericColumn", "config": {"key": "k", "normalizer_fn": None}},
            {
                "class_name": "EmbeddingColumn",
                "config": {
                    "ckpt_to_load_from": None,
                    "initializer": {"class_name": "TruncatedNormal", "config": {}},
                },
            },
        ],
    ),
    "an old initializer": dense(kernel_initializer={"class_name": "VarianceScaling", "config": {}}),
    "TensorFlow's initializer": dense(
        bias_initializer={
            "module": f"{OPS}.init_ops_v2",
            "class_name": "Constant",
            "config": {"value": 0.5},
            "registered_name": "Constant",
        }
    ),
    "TensorFlow's initializer of old": dense(
        kernel_initializer={
            "module": f"{OPS}.init_ops",
            "class_name": "VarianceScaling",
            "config": {},
            "registered_name": "VarianceScaling",
        }
    ),
    "TensorFlow's softmax": dense(activation=function("softmax_v2")),
    "the scale of InceptionResNetV2": layer(
        "CustomScaleLayer", "keras.src.applications.inception_resnet_v2", "CustomScaleLayer"
    ),
    "a private class": layer("SeedGenerator", "keras.src.random.seed_generator", "SeedGenerator"),
    "tf.keras of older days": layer("Dense", "tensorflow.python.keras.layers.core", "Dense"),
    "an operation": layer("Mean", "keras.src.ops.numpy", "Mean"),
    "a layer of an application": layer(
        "LayerScale", "keras.src.applications.convnext", "LayerScale"
    ),
    "arithmetic": layer("TFOpLambda", function="__operators__.add"),
    "a function of tensors": layer("TFOpLambda", function="compat.v1.nn.relu"),
    "a reshape": layer("TFOpLambda", function="reshape"),
    "a wrapped operation": layer("TensorFlowOpLayer", node_def=NODE_ADD),
    "a ragged property": layer("InstanceProperty", attr_name="flat_values"),
    "an ellipsis": layer("GetItem", "keras.src.ops.numpy", "GetItem", key=ELLIPSIS),
    "an input type": layer("InputLayer", type_spec=SPEC),
    "a given vocabulary": layer("StringLookup", vocabulary=["a", "b"]),
}


# The rules that they break; the others name a class.
BROKEN = {
    "code-lambda": [
        *("a Lambda layer", "a Lambda layer of Keras 3", "a registered Lambda"),
        *("a Lambda under a registered name", "a Lambda under another layer's module"),
        *("a lambda in an argument", "a lambda deep in a wrapper", "bytecode in a cell"),
    ],
    "names-function": [
        *("Python's eval", "a function of the standard library", "a function that isn't a name"),
        *("keras's downloads", "keras's switch for safe mode", "a module that a real one imports"),
        *("a module that isn't one of keras's", "a function that makes any object"),
        *("a module imported by keras's own", "a file that TensorFlow reads"),
        *("Python that TensorFlow runs", "a module that TensorFlow's imports"),
        "an activation that is registered as something else",
        *("a function of a module that isn't text", "a nested model's compile_config"),
    ],
    "names-custom": [
        *("a function of an unknown module", "an initializer of an unknown module"),
        *("a lookalike of keras", "a lookalike of tensorflow"),
    ],
    "names-operation": [
        *("tf.py_function", "tf.io.write_file", "tf.io.read_file of TensorFlow 1", "tf.raw_ops"),
        *("tf.load_op_library", "tf.print, which writes files", "keras by way of TensorFlow"),
        *("a class as a function", "no function at all", "an operation that writes"),
        *("an operation in binary", "any class method", "any method", "any attribute"),
    ],
    "code-savedmodel": ["a SavedModel"],
    "code-torch": ["a pickle"],
    "config-files": ["a vocabulary file"],
}
RULE = {name: rule for rule, names in BROKEN.items() for name in names}


def made_of(module, class_name, registered_name=None, **config):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
    }


def values(form, dtype):
    return {"class_name": form, "config": {"value": ["a"], "dtype": dtype}}


def column(class_name, **config):
    return layer("DenseFeatures", feature_columns=[{"class_name": class_name, "config": config}])


POPEN = made_of("subprocess", "Popen", args=["touch", "marker"])
SYSTEM = function("system", "os")
LOOKUPS = {
    "StringLookup": "string_lookup",
    "IntegerLookup": "integer_lookup",
    "TextVectorization": "text_vectorization",
}
LOADING = layer(
    "Lambda",
    "keras.layers",
    None,
    function=function("load_model", "keras.models"),
    arguments={"safe_mode": False},
)
# What is worse for what they are allowed, or hides in other places.
MORE = {
    "names-class": {
        "another class of a module that is listed": layer(
            "ops", "keras.src.layers.core.dense", None
        ),
        "a class that Keras doesn't have": layer("Sys", "keras.layers", None),
        "a class of another module of Keras": layer("Dense", "keras.utils", None),
        "a layer that is registered as a module": layer("Dense", "keras.layers", "sys", units=3),
        "a class in Cyrillic": layer("D\u0435nse", "keras.layers", None, units=3),
        "a module with a line break": layer("Dense", "keras.layers\n", None, units=3),
        "a module with a dot too many": layer("Dense", "keras..layers", None, units=3),
        "a class inside of a class": layer("Dense.from_config", "keras.layers", None),
        "a callback": layer("CSVLogger", "keras.callbacks", None, filename="marker"),
        "a loader of data": layer("OrderedEnqueuer", "keras.utils", None),
        "a process in a dtype": dense(dtype=POPEN),
        "a process in a constraint": dense(bias_constraint=POPEN),
        "a process for a quantizer": dense(quantization_config=POPEN),
        "a process for a cell": layer("RNN", "keras.layers", None, cell=POPEN),
        "a process for a backward layer": layer(
            "Bidirectional", "keras.layers", None, backward_layer=POPEN
        ),
        "a process among arguments": layer("Flatten", "keras.layers", None)
        | {"inbound_nodes": [{"args": [POPEN], "kwargs": {}}]},
        "a process in a build config": layer("Flatten", "keras.layers", None)
        | {"build_config": {"input_shape": POPEN}},
        "a process for a learning rate": {
            **layer("Sequential", "keras", None, layers=[]),
            "compile_config": {
                "optimizer": made_of("keras.optimizers", "SGD", learning_rate=POPEN)
            },
        },
        "a type of input that makes any object": layer(
            "InputLayer", type_spec={**TYPE, "spec_name": "TypeSpec", "module": "importlib"}
        ),
        "a type of input of a module of one's own": layer(
            "InputLayer",
            type_spec={**TYPE, "spec_name": "EvilSpec", "module": "tensorflow.python.evil"},
        ),
        "a distribution": layer("DeviceMesh", "keras.distribution", None),
    },
    "names-function": {
        "a function that is registered as another": dense(
            activation={**function("relu", "keras.activations"), "registered_name": "get"}
        ),
        "a command to split texts": layer(
            "TextVectorization", "keras.layers", None, split=SYSTEM, vocabulary=["a"]
        ),
        "a command among arguments": layer("Flatten", "keras.layers", None)
        | {"inbound_nodes": [{"args": [], "kwargs": {"data_format": SYSTEM}}]},
        "a function that takes functions": dense(activation=function("map", "keras.ops")),
        "Python's import": dense(activation=function("__import__")),
        "what fetches files": dense(activation=function("get_file", "keras.src.utils.file_utils")),
        "what unpacks archives": dense(
            activation=function("extract_archive", "keras.src.utils.file_utils")
        ),
    },
    "names-custom": {
        "what makes any object, in the place of a regularizer": dense(
            kernel_regularizer={
                "class_name": "deserialize_keras_object",
                "config": {"config": {"class_name": "x", "config": {}}, "safe_mode": False},
            }
        ),
        "a module for an initializer": dense(kernel_initializer={"class_name": "tf", "config": {}}),
        "a class with colours in its name": layer("Evil\x1b[2J\u202e", "mine", None),
        "a class with a name of a book": layer("x" * 5000, "y" * 5000, None),
        "a package of layers": layer(
            "Tokenizer", "keras_hub.src.tokenizers", "keras_hub>Tokenizer"
        ),
        "a function by its name alone": dense(activation="deserialize"),
        "a module by its name alone": dense(kernel_regularizer="tf"),
        "an unknown function": dense(activation=function("swirl")),
        "a class of the program itself": layer("ROI", "__main__", "Custom>ROI"),
    },
    "names-operation": {
        "a sampler that reads a file": layer(
            "TFOpLambda", function="random.fixed_unigram_candidate_sampler"
        ),
        "the same, by its older name": layer(
            "TFOpLambda", function="compat.v1.nn.fixed_unigram_candidate_sampler"
        ),
        "a symbol in a module of a namespace": layer("TFOpLambda", function="nn.rnn_cell.os"),
        "a seed of the process": layer("TFOpLambda", function="random.set_seed"),
    },
    "code-savedmodel": {
        "a SavedModel of an older Keras": layer("ReloadedLayer", "tf_keras.src.export.export_lib"),
        "a SavedModel on a network": layer(
            "TFSMLayer", "keras.src.export.tfsm_layer", None, filepath="gs://evil/model"
        ),
    },
    "code-wrapped": {
        "a function of JAX": layer("JaxLayer", "keras.layers", None, call_fn=LAMBDA),
        "a module of Flax": layer("FlaxLayer", "keras.layers", None),
        "a module of TensorFlow": layer("ModuleWrapper", "tf_keras.src.engine.functional"),
    },
    "config-files": {
        "a vocabulary on a network": layer(
            "StringLookup", "keras.layers", None, vocabulary="http://127.0.0.1:9/marker"
        ),
        "a vocabulary of numbers in a file": layer(
            "IntegerLookup", "keras.layers", None, vocabulary="/proc/self/environ"
        ),
        "a vocabulary of texts in a file": layer(
            "TextVectorization", "keras.layers", None, vocabulary="/proc/self/environ"
        ),
        "a vocabulary that is bytes": layer(
            "StringLookup",
            "keras.layers",
            None,
            vocabulary={"class_name": "__bytes__", "config": {"value": "/etc/passwd"}},
        ),
        "a column that reads a vocabulary": column(
            "VocabularyFileCategoricalColumn", key="k", vocabulary_file="/etc/passwd"
        ),
        "a column that reads a checkpoint": column(
            "EmbeddingColumn", ckpt_to_load_from="/etc/passwd", initializer=None
        ),
    },
    "config-values": {
        "a gigabyte for a letter": dense(kernel_constraint=values("__numpy__", "S999999999")),
        "an array of arrays": dense(kernel_constraint=values("__numpy__", "999999999f8")),
        "a tensor of no type": dense(kernel_constraint=values("__tensor__", ["float32"])),
    },
}
# With one kind allowed, all else is refused as before.
ALLOWED = {
    "a command in a Lambda": (
        layer("Lambda", "keras.layers", None, function=SYSTEM),
        "names-function",
        "lambda",
    ),
    "Keras's loader in a Lambda": (LOADING, "names-function", "lambda"),
    "a Lambda of a module of one's own": (
        layer("Lambda", "evil", None, function=LAMBDA),
        "names-custom",
        "lambda",
    ),
    "a Lambda of the standard library": (
        layer("Lambda", "os", None, function=LAMBDA),
        "names-class",
        "lambda",
    ),
    "a Lambda that is registered as a module": (
        layer("Lambda", "keras.layers", "sys", function=LAMBDA),
        "names-class",
        "lambda",
    ),
    "a pickle where lambdas are allowed": (HOSTILE["a pickle"], "code-torch", "lambda,files"),
    "a Lambda where pickles are allowed": (
        HOSTILE["a Lambda layer of Keras 3"],
        "code-lambda",
        "torch,savedmodel,files,operations,external",
    ),
    "Python where operations are allowed": (
        HOSTILE["tf.py_function"],
        "names-operation",
        "operations",
    ),
    "a pickle of a module of one's own": (
        layer("TorchModuleWrapper", "evil", None),
        "names-custom",
        "torch",
    ),
}


def write_keras(folder, made, version="3.15.0", assets=()):
    """Write an archive of Keras 3 with one layer besides its input."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        if made["class_name"] == "Dense":
            file["layers/dense/vars/0"] = np.ones((4, 3), "f4")
            file["layers/dense/vars/1"] = np.ones(3, "f4")
    source = made_of("keras.layers", "InputLayer", batch_shape=[None, 4], dtype="float32", name="x")
    config = made_of("keras", "Sequential", name="s", layers=[source, made])
    members = [
        Member("metadata.json", json.dumps({"keras_version": version}).encode()),
        Member("config.json", json.dumps(config).encode()),
        Member("model.weights.h5", weights.getvalue()),
        *(Member(f"assets/{name}/vocabulary.txt", b"a\nb") for name in assets),
    ]
    return write_zip(folder / "model.keras", members)


def write_h5(folder, made, version="2.15.0"):
    """Write HDF5 of Keras 2 with one layer besides its input."""
    source = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4], "name": "x"}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [source, made]}}
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
        group = file.create_group("model_weights/a")
        file["model_weights"].attrs["layer_names"] = [b"a"]
        group.attrs["weight_names"] = np.zeros(0, "S1")
        if made["class_name"] == "Dense":
            group.attrs["weight_names"] = [b"a/kernel:0", b"a/bias:0"]
            group["a/kernel:0"] = np.ones((4, 3), "f4")
            group["a/bias:0"] = np.ones(3, "f4")
    return folder / "model.h5"


def _case(name, made, rule, *arguments, write=write_keras):
    slug = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    ending = "" if write is write_keras else "-in-hdf5"
    return Case(
        f"names-{slug}{ending}",
        lambda folder, marker: write(folder, made),
        rule,
        "names in configs",
        arguments,
    )


def _look_up(kind, rule, *assets, inside=False):
    """Give the case of a layer whose vocabulary isn't in its config."""
    made = layer(kind, "keras.layers", None, vocabulary=None)
    if inside:
        both = [{**made, "config": {**made["config"], "name": name}} for name in "ab"]
        made = {**made_of("keras", "Sequential", name="inner", layers=both)}
    return Case(
        f"names-{'inner-' * inside}{kind.lower()}-{'without' if rule else 'with'}-its-vocabulary",
        lambda folder, marker: write_keras(folder, made, assets=assets),
        rule,
        "names in configs",
    )


CASES = (
    *(_case(name, made, RULE.get(name, "names-class")) for name, made in HOSTILE.items()),
    *(
        _case(name, made, RULE.get(name, "names-class"), write=write_h5)
        for name, made in [*HOSTILE.items()][::4]
    ),
    *(_case(name, made, rule) for rule, cases in MORE.items() for name, made in cases.items()),
    *(_case(name, made, rule, "--allow", kinds) for name, (made, rule, kinds) in ALLOWED.items()),
    *(_case(f"honest-{name}", made, None, write=write_h5) for name, made in HONEST.items()),
    # What they look up in was taken out of the archive, or stands in it.
    *(_look_up(kind, "archive-damaged") for kind in LOOKUPS),
    *(_look_up(kind, None, f"layers/{place}") for kind, place in LOOKUPS.items()),
    _look_up("TextVectorization", "archive-damaged", "text_vectorization", inside=True),
)
