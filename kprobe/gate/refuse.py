"""Refuse a model file that would run code of its own when it is loaded or run.

Both Keras libraries build objects from names and modules in the file, and tf_keras runs the
bytecode in an HDF5 file whatever its `safe_mode` says. This check reads the config alone, and the
graphs of a SavedModel, so it comes before any loader, and before TensorFlow.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kprobe.errors import Hint, Setting, UnsafeModelError, join_hints
from kprobe.gate import allowed
from kprobe.gate import allowed_tensorflow as tensorflow
from kprobe.importing import is_importable, is_of_library
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

# The keys under which configs keep layers.
_LAYER_KEYS = frozenset({"layers", "layer", "forward_layer", "backward_layer", "cell", "cells"})
_LOOKUP_CLASSES = frozenset({"IndexLookup", "IntegerLookup", "StringLookup", "TextVectorization"})

# What the owner of a fault begins with, where it is a layer.
_LAYER = "layer "

UNSAFE_HINT = Hint(
    "`", Setting("unsafe", True), "` opens it all the same: only for files you trust"
)
SIGNATURE_HINT = Hint("`", Setting("signature", "NAME"), "` runs its graph alone, which is safe")


class Checked(Protocol):
    """What is looked at of a model file."""

    @property
    def objects(self) -> dict[str, Any]:
        """The configs of all objects that a loader builds."""

    @property
    def unsafe_operations(self) -> Sequence[str] | None:
        """What the graphs of a SavedModel do besides computing; None for other files."""


@dataclass(frozen=True)
class _Missing:
    """A class or a function of the user's own, which isn't given.

    Attributes:
        name: What it is called.
        module: The module that it is said to be of; None where none is told.
        fault: What is wrong with a layer that has it, to be put behind the layer's name.
    """

    name: str
    module: str | None
    fault: str


def check_safe(model_file: Checked, registered: Container[str] = ()) -> None:
    """Check that nothing in a model file makes a loader run code from it.

    Args:
        model_file: The file.
        registered: The names under which the user's own classes and functions are registered.

    Raises:
        UnsafeModelError: The file would run code, import modules or read other files, or it has
            objects that are neither Keras's own nor registered.
    """
    # The first fault of each owner: a Lambda layer holds a function that would be one more.
    unsafe: dict[str, str] = {}
    missing: dict[_Missing, dict[str, None]] = {}
    operations = model_file.unsafe_operations
    for item, owner, is_layer in _walk_objects(model_file.objects):
        for fault in _find_unsafe(item):
            unsafe.setdefault(owner, fault)
        origin = _judge_origin(item, is_layer, registered)
        if isinstance(origin, str):
            unsafe.setdefault(owner, origin)
        elif origin is not None:
            if operations is not None and origin.module is None:
                continue  # a SavedModel holds the graph of it, and nothing is imported for it
            missing.setdefault(origin, {})[owner] = None
    hints = [UNSAFE_HINT] if unsafe else []
    if operations is not None:
        if operations:
            hints = [UNSAFE_HINT]
        elif unsafe:
            hints = [SIGNATURE_HINT, UNSAFE_HINT]
    faults: dict[str, list[str]] = {}
    for owner, fault in unsafe.items():
        faults.setdefault(fault, []).append(owner)
    for origin, having in missing.items():
        if left := [owner for owner in having if owner not in unsafe]:
            faults.setdefault(origin.fault, []).extend(left)
    lacking = [origin for origin in missing if origin.fault in faults]
    if lacking:
        names = dict.fromkeys(origin.name for origin in lacking)
        hints.insert(0, hint_at_custom([*names], modules=[origin.module for origin in lacking]))
    lines = [_name_owners(owners, fault) for fault, owners in faults.items()]
    if lines or operations:
        raise UnsafeModelError(*lines, *(operations or ()), hint=join_hints(hints))


def hint_at_custom(
    names: Sequence[str], what: str = "it", modules: Sequence[str | None] = ()
) -> Hint:
    """Say how the user's own classes and functions are given.

    Args:
        names: What they are called, as far as is known.
        what: What is to be given.
        modules: The modules that they are said to be of, as far as that is told. Those that are
            there are named.
    """
    python = ", ".join(f'"{name}": {name if name.isidentifier() else "..."}' for name in names)
    there = dict.fromkeys(
        module if module is not None and is_importable(module) else "FILE.py" for module in modules
    )
    objects = Setting("custom_objects", tuple(there) or "FILE.py", f"{{{python or '...'}}}")
    return Hint(f"give {what} with `", objects, "`")


def list_registered_names(model_file: Checked) -> set[str]:
    """List the names by which a loader looks up the custom objects of a model.

    Args:
        model_file: The file.

    Returns:
        Such as "Custom>ROI" or "ROI". A loader that doesn't find one imports the module that
        the file names, so that each should be given to it as a custom object.
    """
    return {
        name
        for item, _, _ in _walk_objects(model_file.objects)
        if isinstance(name := _lookup_name(item), str)
    }


def list_owners(model_file: Checked, name: str) -> list[str]:
    """List the layers whose configs have a name among their values, as "layer 'dense'"."""
    owners: dict[str, None] = {}
    for item, owner, _ in _walk_objects(model_file.objects):
        if any(
            name == value or (isinstance(value, list) and name in value) for value in item.values()
        ):
            owners[owner] = None
    return [*owners]


def _walk_objects(config: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, bool]]:
    """Yield every dict of a config, the layer it belongs to, and whether it is a layer."""
    # Loaded with compile=False, the model's own compile_config is never looked at; those of
    # nested models are.
    root = {key: value for key, value in config.items() if key != "compile_config"}
    pending: list[tuple[Any, str, bool]] = [(root, "the model", True)]
    while pending:
        value, owner, is_layer = pending.pop()
        if isinstance(value, list):
            pending.extend((item, owner, is_layer) for item in reversed(value))
        elif isinstance(value, dict):
            is_layer = is_layer and "class_name" in value
            if is_layer and value is not root:
                owner = _name_layer(value) or owner
            yield value, owner, is_layer
            # A Sequential before Keras 2.2 has a list of layers for its config.
            for key, item in reversed(value.items()):
                holds_layers = key in _LAYER_KEYS or (
                    is_layer and key == "config" and isinstance(item, list)
                )
                pending.append((item, owner, holds_layers))


def _name_layer(item: dict[str, Any]) -> str | None:
    config = item.get("config")
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return f"{_LAYER}{name!r}" if isinstance(name, str) else None


def _name_owners(owners: Sequence[str], fault: str) -> str:
    """Say a fault of those that have it, once for all."""
    if len(owners) == 1:
        return f"{owners[0]}{'' if fault.startswith(':') else ' '}{fault}"
    layers = [owner.removeprefix(_LAYER) for owner in owners if owner.startswith(_LAYER)]
    others = [owner for owner in owners if not owner.startswith(_LAYER)]
    shown = f"{_LAYER.strip()}{'s' * (len(layers) > 1)} {list_names(layers)}"
    named = " and ".join([*others, shown])
    return f"{named}{fault}" if fault.startswith(":") else f"{named}: each {fault}"


def _find_unsafe(item: dict[str, Any]) -> Iterator[str]:
    """Find what runs code or reads files, whichever module it claims to come from."""
    for key, value in item.items():
        # Lambda, and the cell wrappers of tf_keras, say so of a function kept as bytecode.
        if key.endswith("_type") and value == "lambda":
            yield f"holds Python bytecode ({key} 'lambda')"
    names = [_bare(item.get(key)) for key in ("class_name", "registered_name")]
    for name in names:
        if name in allowed.UNSAFE_CLASSES:
            yield f"has a {name}, which {allowed.UNSAFE_CLASSES[name]}"
            return
    config = item.get("config")
    if not isinstance(config, dict):
        return
    if "TFOpLambda" in names or "SlicingOpLambda" in names:
        symbol = config.get("function")
        if not isinstance(symbol, str) or not tensorflow.allows_tensor_function(symbol):
            received = f"tf.{symbol}" if isinstance(symbol, str) else "one without a name"
            yield f": expected a function of tensors, received {received}"
    elif "TensorFlowOpLayer" in names:
        node = config.get("node_def")
        operation = node.get("op") if isinstance(node, dict) else None
        if operation not in tensorflow.TENSOR_OPERATIONS:
            received = f"the operation {operation}" if operation else "one without a name"
            yield f": expected a function of tensors, received {received}"
    elif "ClassMethod" in names:
        symbol, method = config.get("cls_symbol"), config.get("method_name")
        if symbol != "RaggedTensor" or method not in tensorflow.CLASS_METHODS:
            yield f": expected a constructor of RaggedTensor, received tf.{symbol}.{method}"
    elif "InstanceMethod" in names or "InstanceProperty" in names:
        attribute = config.get("attr_name")
        if attribute not in tensorflow.INSTANCE_ATTRIBUTES:
            yield f"uses the attribute {attribute!r} of its input"
    elif _LOOKUP_CLASSES.intersection(name for name in names if name):
        path = config.get("vocabulary")
        if isinstance(path, str):
            yield f"reads its vocabulary from the file {path!r}"


def _judge_origin(
    item: dict[str, Any], is_layer: bool, registered: Container[str]
) -> str | _Missing | None:
    """Judge where an object comes from.

    Returns:
        What is wrong with it; or what of the user's own is missing; or None.
    """
    class_name = item.get("class_name")
    if "class_name" not in item or _bare(class_name) in allowed.UNSAFE_CLASSES:
        return None
    if not isinstance(class_name, str):
        return f"has a class name that isn't text: {str(class_name)[:80]}"
    if class_name in allowed.DATA_FORMS:
        return None
    if class_name == "function":
        return _judge_function(item, registered)
    module = item.get("module")
    if class_name == "__typespec__":
        name = item.get("spec_name")
        if tensorflow.allows_type_spec(str(module), str(name)):
            return None
        return f"has an input type {name} of module {module}"
    key = _lookup_name(item)
    known = isinstance(key, str) and (key in registered or _bare(key) in registered)
    # Where a config says that it isn't registered, tf_keras imports the module all the same.
    named = module is None or item.get("registered_name", key) is not None
    if known and named:
        return None
    bare = _bare(class_name) or ""
    if module is None:
        if not is_layer or class_name in allowed.LAYER_CLASSES or _is_operation(item):
            return None
        return _Missing(_bare(key) or bare, None, f"is of class {bare}, which is not Keras's own")
    if not isinstance(module, str):
        return f"has a module name that isn't text: {str(module)[:80]}"
    if allowed.allows_class(module, class_name) or (
        tensorflow.allows_initializer(module, class_name)
        and item.get("registered_name") in (None, class_name)
    ):
        return None
    if allowed.split_module(module) is not None:
        return f"names {module}.{class_name}, which models aren't made of"
    is_one = f"is of class {bare} (module {module})" if is_layer else f"names {module}.{class_name}"
    fault = f"{is_one}, which is not Keras's own"
    # Nothing of a model is in such libraries: there, the import or the call is what is wanted.
    return fault if known or is_of_library(module) else _Missing(_bare(key) or bare, module, fault)


def _judge_function(item: dict[str, Any], registered: Container[str]) -> str | _Missing | None:
    name, module = item.get("config"), item.get("module")
    if not isinstance(name, str):
        return "holds a function that isn't a name"
    if name in registered or _bare(name) in registered:
        return None
    bare = _bare(name) or ""
    if module is None or module == "builtins":
        # Keras says `builtins` of every function. tf_keras then looks there after all.
        if hasattr(builtins, name) and not tensorflow.allows_tensor_function(name):
            return f"names Python's own function {name}"
        if name in allowed.FUNCTIONS:
            return None
        return _Missing(bare, None, f"uses the function {name}, which is not Keras's own")
    if not isinstance(module, str):
        return f"has a module name that isn't text: {str(module)[:80]}"
    if allowed.allows_function(module, name):
        return None
    if allowed.split_module(module) is not None:
        return f"names the function {module}.{name}, which models aren't made of"
    fault = f"names the function {module}.{name}, which is not Keras's own"
    return fault if is_of_library(module) else _Missing(bare, module, fault)


def _lookup_name(item: dict[str, Any]) -> object:
    """Give the name that the loaders look up among custom objects."""
    if item.get("class_name") == "function":
        return item.get("config")
    return item.get("registered_name") or item.get("class_name")


def _bare(name: object) -> str | None:
    """Take the package off a registered name: "Custom>ROI" gives "ROI"."""
    return name.rpartition(">")[2] if isinstance(name, str) else None


def _is_operation(item: dict[str, Any]) -> bool:
    """Tell an operation, which HDF5 files of Keras 3 list among the layers, from a layer."""
    config = item.get("config")
    return isinstance(config, dict) and "trainable" not in config and "inbound_nodes" in item
