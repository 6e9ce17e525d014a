"""What the public advisories of Keras from 2024 to 2026 tell of, and its kin: names in configs.

A payload makes the marker, and nothing else.
"""

from __future__ import annotations

import base64
import io
import json
import marshal
import pathlib
import pickle

import h5py
import numpy as np
from gate.hostile.case import Case
from gate.hostile.zip_writer import Member, write_zip

URL = "http://127.0.0.1:9/marker"


def _layer(class_name, module="keras.layers", registered_name=None, **config):
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "odd", **config},
        "registered_name": registered_name,
    }


def _function(name, module="builtins", registered_name="function"):
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": registered_name,
    }


def _touching(marker):
    """Give the bytecode of a function of one argument that makes the marker, as Keras keeps it."""
    made = compile(f"lambda x: __import__('pathlib').Path({str(marker)!r}).touch()", "x", "eval")
    code = marshal.dumps(next(each for each in made.co_consts if hasattr(each, "co_code")))
    return base64.b64encode(code).decode()


class _Touch:
    def __init__(self, marker):
        self._marker = marker

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self._marker),)


def write_keras(folder, *layers, **rest):
    """Write an archive of Keras 3: an input, a layer of weights, and what is given."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/dense/vars/0"] = np.ones((3, 2), "f4")
        file["layers/dense/vars/1"] = np.ones(2, "f4")
    first = [
        _layer("InputLayer", name="i", batch_shape=[None, 3], dtype="float32"),
        _layer("Dense", name="dense", units=2),
    ]
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [*first, *layers]},
        "registered_name": None,
        **rest,
    }
    members = [
        Member("metadata.json", b'{"keras_version": "3.9.0"}'),
        Member("config.json", json.dumps(config).encode()),
        Member("model.weights.h5", weights.getvalue()),
    ]
    return write_zip(folder / "model.keras", members)


def write_h5(folder, *layers, version="2.15.0"):
    """Write HDF5 of Keras 2: a layer of weights, and what is given."""
    first = {"name": "dense", "units": 2, "batch_input_shape": [None, 3]}
    layers = [{"class_name": "Dense", "config": first}, *layers]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
        group = file.create_group("model_weights/dense")
        file["model_weights"].attrs["layer_names"] = [b"dense"]
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/kernel:0"] = np.ones((3, 2), "f4")
        group["dense/bias:0"] = np.ones(2, "f4")
    return folder / "model.h5"


def _keras(make, **rest):
    return lambda folder, marker: write_keras(folder, make(marker), **rest)


def _both(name, make, rule, source):
    """Give the case in the formats of both Kerases."""
    return (
        Case(f"advisory-{name}", _keras(make), rule, source),
        Case(
            f"advisory-{name}-in-hdf5",
            lambda folder, marker: write_h5(folder, make(marker), version="3.9.0"),
            rule,
            source,
        ),
    )


def _lambda_of_keras_3(marker):
    code = {"code": _touching(marker), "defaults": None, "closure": None}
    return _layer("Lambda", function={"class_name": "__lambda__", "config": code})


def _lambda_of_keras_2(marker):
    code = [_touching(marker), None, None]
    config = {"name": "odd", "function": code, "function_type": "lambda", "arguments": {}}
    return {"class_name": "Lambda", "config": config}


def _lambda_of(name, module, **arguments):
    """Make a Lambda that names a function instead of holding one."""
    function = _function(name, module)
    return lambda marker: _layer("Lambda", function=function, arguments=arguments)


def _activation(name, module):
    return lambda marker: _layer("Dense", units=2, activation=_function(name, module))


def _of_class(class_name, module, **config):
    return lambda marker: _layer(class_name, module, **config)


def _initializer(class_name, module, config):
    made = {"module": module, "class_name": class_name, "config": config, "registered_name": None}
    return lambda marker: _layer("Dense", units=2, kernel_initializer=made)


def _disable_safe_mode(folder, marker):
    off = _lambda_of("enable_unsafe_deserialization", "keras.config")(marker)
    off["config"]["name"] = "first"
    return write_keras(folder, off, _lambda_of_keras_3(marker))


def _in_a_call(folder, marker):
    """An object among the arguments of a call, which a loader builds, too."""
    call = {"args": [], "kwargs": {"x": _function("system", "os"), "training": None}}
    return write_keras(folder, {**_layer("Dropout", rate=0.5), "inbound_nodes": [call]})


def _torch(marker):
    module = base64.b64encode(pickle.dumps(_Touch(marker))).decode()
    return _layer("TorchModuleWrapper", module=module)


def _secret(marker):
    path = marker.parent / "secret.txt"
    path.write_text("secret\n")
    return str(path)


def _vocabulary(class_name):
    return lambda marker: _layer(class_name, vocabulary=_secret(marker))


def _feature(marker):
    column = {
        "class_name": "VocabularyFileCategoricalColumn",
        "config": {"key": "a", "vocabulary_file": _secret(marker), "vocabulary_size": 1},
    }
    return {"class_name": "DenseFeatures", "config": {"name": "odd", "feature_columns": [column]}}


def _old(name, make, rule, source):
    return Case(
        f"advisory-{name}", lambda folder, marker: write_h5(folder, make(marker)), rule, source
    )


def _operation(marker):
    config = {"name": "odd", "node_def": {"name": "w", "op": "WriteFile"}, "constants": {}}
    return {"class_name": "TensorFlowOpLayer", "config": config}


def _checkpoint(folder, _marker):
    """A directory that Keras takes for one of Orbax, and writes the assets of where they say."""
    path = folder / "checkpoint"
    path.mkdir()
    for name in ("_CHECKPOINT_METADATA", "_METADATA"):
        (path / name).write_text("{}")
    return path


# Tar archives that `get_file` fetches and unpacks: members that lead elsewhere, and links.
UNPACKING = "CVE-2024-55459, CVE-2025-12060 and CVE-2025-12638"
GET_FILE = {"origin": URL, "fname": "marker"}
CASES = (
    Case("advisory-honest", lambda folder, marker: write_keras(folder), None),
    Case("advisory-honest-in-hdf5", lambda folder, marker: write_h5(folder), None),
    # Bytecode.
    Case("advisory-lambda", _keras(_lambda_of_keras_3), "code-lambda", "CVE-2024-3660"),
    _old("lambda-in-hdf5", _lambda_of_keras_2, "code-lambda", "CVE-2024-3660"),
    Case(
        "advisory-lambda-in-hdf5-of-keras-3",
        lambda folder, marker: write_h5(folder, _lambda_of_keras_2(marker), version="3.9.0"),
        "code-lambda",
        "CVE-2025-9905",
    ),
    Case("advisory-safe-mode-off", _disable_safe_mode, "code-lambda", "CVE-2025-9906"),
    *_both(
        "lambda-as-activation",
        lambda marker: _layer("Dense", units=2, activation=_lambda_of_keras_3(marker)),
        "code-lambda",
        "CVE-2024-3660",
    ),
    # Functions and classes by name.
    *_both("system", _activation("system", "os"), "names-function", "CVE-2025-1550"),
    *_both("eval", _activation("eval", "builtins"), "names-function", "CVE-2025-1550"),
    *_both("run", _activation("run", "subprocess"), "names-function", "CVE-2025-1550"),
    *_both("pickle", _activation("loads", "pickle"), "names-function", "CVE-2025-1550"),
    *_both("unknown", _activation("go", "evil"), "names-custom", "CVE-2025-1550"),
    *_both("popen", _of_class("Popen", "subprocess", args="true"), "names-class", "CVE-2025-1550"),
    *_both(
        "initializer", _initializer("Popen", "subprocess", {"args": "true"}), "names-class",
        "CVE-2025-1550",
    ),
    Case("advisory-in-a-call", _in_a_call, "names-function", "CVE-2025-1550"),
    Case(
        "advisory-in-compile-config-of-a-layer",
        _keras(lambda marker: _layer("Dense", units=2, compile_config=_function("system", "os"))),
        "names-function",
        "CVE-2025-1550",
    ),
    # Keras's own functions, which load or fetch.
    *_both("get-file", _lambda_of("get_file", "keras.utils", **GET_FILE), "code-lambda",
           "CVE-2025-8747"),
    *_both("get-file-as-activation", _activation("get_file", "keras.utils"), "names-function",
           "CVE-2025-8747"),
    *_both("load-model", _activation("load_model", "keras.models"), "names-function",
           "CVE-2025-8747"),
    *_both("unsafe-deserialization",
           _activation("enable_unsafe_deserialization", "keras.config"), "names-function",
           "CVE-2025-9906"),
    *_both("unpacking", _lambda_of("get_file", "keras.src.utils.file_utils", **GET_FILE,
                                   extract=True, archive_format="tar"), "code-lambda",
           UNPACKING),
    *_both("unpacking-as-activation",
           _activation("extract_archive", "keras.src.utils.file_utils"), "names-function",
           UNPACKING),
    *_both("func-load", _activation("func_load", "keras.src.utils.python_utils"),
           "names-function", "CVE-2025-8747"),
    *_both("deserialize", _activation("deserialize_keras_object", "keras.saving"),
           "names-function", "CVE-2025-8747"),
    *_both("numpy-load", _activation("load", "numpy"), "names-function", "CVE-2025-8747's kin"),
    *_both("tensorflow", _activation("write_file", "tensorflow.io"), "names-function",
           "CVE-2025-8747's kin"),
    *_both("callback", _of_class("ModelCheckpoint", "keras.callbacks", filepath="marker"),
           "names-class", "CVE-2025-1550's kin"),
    # Files.
    *(Case(f"advisory-vocabulary-of-{name.lower()}", _keras(_vocabulary(name)), "config-files",
           "CVE-2025-12058") for name in ("StringLookup", "IntegerLookup", "TextVectorization")),
    _old("vocabulary-in-hdf5", _vocabulary("StringLookup"), "config-files", "CVE-2025-12058"),
    *(Case(f"advisory-vocabulary-at-{place}", _keras(_of_class("StringLookup", "keras.layers",
           vocabulary=f"{place}://127.0.0.1/v.txt")), "config-files", "CVE-2025-12058")
      for place in ("http", "gs", "hdfs", "file")),
    _old("feature-column", _feature, "config-files", "CVE-2025-12058's kin"),
    # Other models, and pickles.
    *_both("torch", _torch, "code-torch", "CVE-2025-49655"),
    *_both("saved-model", _of_class("TFSMLayer", "keras.layers", filepath="marker"),
           "code-savedmodel", "CVE-2026-1462"),
    *(Case(f"advisory-{name.lower()}", _keras(_of_class(name, "keras.layers", call_fn=_function(
           "system", "os"), params={})), "code-wrapped", "CVE-2025-1550's kin")
      for name in ("JaxLayer", "FlaxLayer")),
    # Places to write to: no layer's name is one here, as no model is saved.
    Case("advisory-name-that-is-a-path", _keras(_of_class(
        "Dense", "keras.layers", name="../../outside/marker", units=2)), None, "CVE-2026-12479",
        loads=False),
    Case("advisory-checkpoint-of-orbax", _checkpoint, "file-type", "Keras's loader of Orbax"),
    # Operations that a config chooses.
    _old("operation", _operation, "names-operation", "TensorFlow's SECURITY.md"),
    _old("tensor-function", lambda marker: {"class_name": "TFOpLambda", "config": {
        "name": "odd", "function": "io.write_file"}}, "names-operation",
        "TensorFlow's SECURITY.md"),
    # Sizes that a config chooses.
    Case("advisory-dtype-of-a-gigabyte", _keras(_initializer("Constant", "keras.initializers", {
        "value": {"class_name": "__numpy__", "config": {"value": [""], "dtype": "S999999999"}}})),
        "config-values", "CVE-2026-0897's kin"),
)  # fmt: skip
