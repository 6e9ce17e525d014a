"""Find what of a config runs code, reads files or computes what the config chooses.

By the names of classes, whichever modules they claim to come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.gate.names import allowed_tensorflow as tensorflow
from kprobe.gate.names.allowed import UNSAFE_CLASSES
from kprobe.gate.names.walk import strip_package
from kprobe.gate.shown import show_name, show_value

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOKUP_CLASSES = frozenset({"IndexLookup", "IntegerLookup", "StringLookup", "TextVectorization"})
# What arrays in configs may consist of. NumPy takes "S999999999" for a dtype, too.
_DTYPES = frozenset(
    {
        *("bfloat16", "bool", "complex128", "complex64", "float16", "float32", "float64"),
        *("float8_e4m3fn", "float8_e5m2", "int16", "int32", "int4", "int64", "int8", "object"),
        *("str", "string", "uint16", "uint32", "uint64", "uint8"),
    }
)


def find_code(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the rules that a dict of a config breaks by itself, and how it does."""
    for key, item in value.items():
        # Lambda, and the cell wrappers of tf_keras, say so of a function kept as bytecode.
        if key.endswith("_type") and item == "lambda":
            yield "code-lambda", f"holds Python bytecode ({show_name(key)} 'lambda')"
    names = {strip_package(value.get(key)) for key in ("class_name", "registered_name")} - {None}
    if not names:
        return
    for name in ("Lambda", "__lambda__", *UNSAFE_CLASSES):
        if name in names:
            rule, harm = UNSAFE_CLASSES[name]
            which = "".join(f" {show_value(path)}" for path in find_loaded(value))
            yield rule, f"has a {name}, which {harm}{which}"
            return
    config = value.get("config")
    config = config if isinstance(config, dict) else {}
    if (fault := _judge_operation(names, config)) is not None:
        yield "names-operation", fault
    for path in _list_files(names, config):
        its = "its vocabulary from " if names & _LOOKUP_CLASSES else ""
        yield "config-files", f"reads {its}the file {show_value(path)}"
    if names & {"__numpy__", "__tensor__"} and not _is_of(config.get("dtype"), _DTYPES):
        received = show_value(config.get("dtype"))
        yield "config-values", f"has values of dtype {received}, which Keras writes none of"


def find_loaded(value: dict[str, Any]) -> list[object]:
    """Find the SavedModel that an object loads: its path, or whatever its config has for that."""
    names = {strip_package(value.get(key)) for key in ("class_name", "registered_name")}
    rules = {UNSAFE_CLASSES[name][0] for name in names if name in UNSAFE_CLASSES}
    config = value.get("config")
    if "code-savedmodel" not in rules:
        return []
    return [config.get("filepath") if isinstance(config, dict) else None]


def list_files(value: dict[str, Any]) -> list[str]:
    """List the files that an object reads by itself, by the names that its config has for them."""
    config = value.get("config")
    names = {strip_package(value.get(key)) for key in ("class_name", "registered_name")}
    paths = _list_files(names, config) if isinstance(config, dict) else ()
    return [path for path in paths if isinstance(path, str)]


def _list_files(names: set[str | None], config: dict[str, Any]) -> Iterator[object]:
    if names & _LOOKUP_CLASSES:
        if (path := config.get("vocabulary")) is not None and not _is_inline(path):
            yield path
    elif names & tensorflow.FEATURE_COLUMNS:
        for key in tensorflow.FEATURE_FILES:
            if (path := config.get(key)) is not None:
                yield path


def _judge_operation(names: set[str | None], config: dict[str, Any]) -> str | None:
    """Say what is wrong with a layer that computes what its config names."""
    if names & {"TFOpLambda", "SlicingOpLambda"}:
        return _judge_tensor_function(config.get("function"))
    if "TensorFlowOpLayer" in names:
        return _judge_node(config.get("node_def"))
    if "ClassMethod" in names:
        symbol, method = config.get("cls_symbol"), config.get("method_name")
        if symbol == "RaggedTensor" and _is_of(method, tensorflow.CLASS_METHODS):
            return None
        received = f"tf.{show_name(symbol)}.{show_name(method)}"
        return f"expected a constructor of RaggedTensor, received {received}"
    if names & {"InstanceMethod", "InstanceProperty"}:
        attribute = config.get("attr_name")
        if not _is_of(attribute, tensorflow.INSTANCE_ATTRIBUTES):
            return f"uses the attribute {show_value(attribute)} of its input"
    return None


def _judge_tensor_function(symbol: object) -> str | None:
    if isinstance(symbol, str) and tensorflow.allows_tensor_function(symbol):
        return None
    received = f"tf.{show_name(symbol)}" if isinstance(symbol, str) else "one without a name"
    return f"expected a function of tensors, received {received}"


def _judge_node(node: object) -> str | None:
    operation = node.get("op") if isinstance(node, dict) else None
    if _is_of(operation, tensorflow.TENSOR_OPERATIONS):
        return None
    received = f"the operation {show_name(operation)}" if operation else "one without a name"
    return f"expected a function of tensors, received {received}"


def _is_of(name: object, names: frozenset[str]) -> bool:
    return isinstance(name, str) and name in names


def _is_inline(vocabulary: object) -> bool:
    """Tell a vocabulary that stands in the config from one that is read."""
    if isinstance(vocabulary, dict):
        return vocabulary.get("class_name") in ("__numpy__", "__tensor__", "__tuple__")
    return isinstance(vocabulary, list)
