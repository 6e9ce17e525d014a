"""Find what a model's config names that would run code, read files or isn't Keras's own.

Both Keras libraries build objects from names and modules in the file, and tf_keras runs the
bytecode in an HDF5 file whatever its `safe_mode` says. This reads the config alone, so it comes
before any loader, and before TensorFlow.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.gate import allowed
from kprobe.gate import allowed_tensorflow as tensorflow
from kprobe.gate.rules import RULES, Fault
from kprobe.gate.walk import (
    Item,
    find_lookup_name,
    is_operation,
    strip_package,
    walk_objects,
)
from kprobe.importing import is_of_library

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

_LOOKUP_CLASSES = frozenset({"IndexLookup", "IntegerLookup", "StringLookup", "TextVectorization"})
# Of a name from the file no more is shown.
_LONGEST = 60


@dataclass(frozen=True)
class MissingObject(Fault):
    """A class or a function of the user's own, which isn't given.

    Attributes:
        name: What it is called.
        module: The module that it is said to be of; None where none is told.
    """

    name: str = ""
    module: str | None = None


def find_name_faults(
    objects: dict[str, Any],
    registered: Container[str] = (),
    allow: Collection[str] = (),
    *,
    has_graph: bool = False,
) -> list[Fault]:
    """Find what a config names that a model must not be made of.

    Args:
        objects: The configs of all objects that a loader builds.
        registered: The names under which the user's own classes and functions are registered.
        allow: The kinds of faults that are allowed, of `kprobe.gate.rules.KINDS`.
        has_graph: Whether the file holds the graph of what isn't Keras's own, as SavedModels do.

    Returns:
        The first fault of each layer that has any, and then the user's own classes and functions
        that aren't given, as `MissingObject`, once for each layer that isn't faulty anyway.
    """
    unsafe: dict[str, Fault] = {}
    missing: dict[MissingObject, None] = {}
    for item in walk_objects(objects):
        for fault in _judge(item, registered, allow):
            if RULES[fault.rule].kind in allow:
                continue
            if not isinstance(fault, MissingObject):
                unsafe.setdefault(item.owner, fault)
            elif not (has_graph and fault.module is None):
                # Of a SavedModel's own, nothing is imported.
                missing[fault] = None
    return [*unsafe.values(), *(fault for fault in missing if fault.owner not in unsafe)]


def show_name(name: object) -> str:
    """Show a name of the file: in one line, what can't be seen escaped, no longer than fits."""
    text = name if isinstance(name, str) else repr(name)
    text = "".join(
        each if each.isprintable() else repr(each)[1:-1] for each in text[: 2 * _LONGEST]
    )
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 2]} …"


def _judge(item: Item, registered: Container[str], allow: Collection[str]) -> Iterator[Fault]:
    for rule, text in _find_unsafe(item.value):
        yield Fault(rule, text, item.owner)
    yield from _judge_origin(item, registered, allow)


def _find_unsafe(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Find what runs code or reads files, whichever module it claims to come from."""
    for key, item in value.items():
        # Lambda, and the cell wrappers of tf_keras, say so of a function kept as bytecode.
        if key.endswith("_type") and item == "lambda":
            yield "code-lambda", f"holds Python bytecode ({show_name(key)} 'lambda')"
    names = {strip_package(value.get(key)) for key in ("class_name", "registered_name")}
    for name, (rule, harm) in allowed.UNSAFE_CLASSES.items():
        if name in names:
            yield rule, f"has a {name}, which {harm}"
            return
    config = value.get("config")
    config = config if isinstance(config, dict) else {}
    fault = None
    if names & {"TFOpLambda", "SlicingOpLambda"}:
        fault = _judge_tensor_function(config.get("function"))
    elif "TensorFlowOpLayer" in names:
        fault = _judge_node(config.get("node_def"))
    elif "ClassMethod" in names:
        symbol, method = config.get("cls_symbol"), config.get("method_name")
        if symbol != "RaggedTensor" or method not in tensorflow.CLASS_METHODS:
            received = f"tf.{show_name(symbol)}.{show_name(method)}"
            fault = f"expected a constructor of RaggedTensor, received {received}"
    elif names & {"InstanceMethod", "InstanceProperty"}:
        attribute = config.get("attr_name")
        if attribute not in tensorflow.INSTANCE_ATTRIBUTES:
            fault = f"uses the attribute {show_name(repr(attribute))} of its input"
    elif names & _LOOKUP_CLASSES and isinstance(path := config.get("vocabulary"), str):
        yield "config-files", f"reads its vocabulary from the file {show_name(repr(path))}"
    if fault is not None:
        yield "names-operation", fault


def _judge_tensor_function(symbol: object) -> str | None:
    if isinstance(symbol, str) and tensorflow.allows_tensor_function(symbol):
        return None
    received = f"tf.{show_name(symbol)}" if isinstance(symbol, str) else "one without a name"
    return f"expected a function of tensors, received {received}"


def _judge_node(node: object) -> str | None:
    operation = node.get("op") if isinstance(node, dict) else None
    if operation in tensorflow.TENSOR_OPERATIONS:
        return None
    received = f"the operation {show_name(operation)}" if operation else "one without a name"
    return f"expected a function of tensors, received {received}"


def _judge_origin(
    item: Item, registered: Container[str], allow: Collection[str]
) -> Iterator[Fault]:
    """Judge where an object comes from."""
    value, owner, is_layer = item
    class_name, module = value.get("class_name"), value.get("module")
    if "class_name" not in value:
        return
    if not isinstance(class_name, str):
        yield Fault(
            "names-class", f"has a class name that isn't text: {show_name(class_name)}", owner
        )
        return
    if class_name in allowed.DATA_FORMS:
        return
    if class_name == "function":
        yield from _judge_function(item, registered)
        return
    if class_name == "__typespec__":
        name = value.get("spec_name")
        if not tensorflow.allows_type_spec(str(module), str(name)):
            text = f"has an input type {show_name(name)} of module {show_name(module)}"
            yield Fault("names-class", text, owner)
        return
    key = find_lookup_name(value)
    known = isinstance(key, str) and (key in registered or strip_package(key) in registered)
    # Where a config says that it isn't registered, tf_keras imports the module all the same.
    named = module is None or value.get("registered_name", key) is not None
    if known and named:
        return
    bare = strip_package(class_name) or ""
    if bare in allowed.UNSAFE_CLASSES and RULES[allowed.UNSAFE_CLASSES[bare][0]].kind not in allow:
        return
    own = strip_package(key) or bare
    if module is None:
        own_names = (*allowed.LAYER_CLASSES, *allowed.UNSAFE_CLASSES)
        if is_layer and class_name not in own_names and not is_operation(value):
            text = f"is of class {show_name(bare)}, which is not Keras's own"
            yield MissingObject("names-custom", text, owner, own)
        return
    if not isinstance(module, str):
        text = f"has a module name that isn't text: {show_name(module)}"
        yield Fault("names-class", text, owner)
        return
    if allowed.allows_class(module, class_name) or (
        tensorflow.allows_initializer(module, class_name)
        and value.get("registered_name") in (None, class_name)
    ):
        return
    full = f"{show_name(module)}.{show_name(class_name)}"
    if allowed.split_module(module) is not None:
        yield Fault("names-class", f"names {full}, which models aren't made of", owner)
        return
    is_one = f"is of class {show_name(bare)} (module {show_name(module)})"
    text = f"{is_one if is_layer else f'names {full}'}, which is not Keras's own"
    # Nothing of a model is in such libraries: there, the import or the call is what is wanted.
    if known or is_of_library(module):
        yield Fault("names-class", text, owner)
    else:
        yield MissingObject("names-custom", text, owner, own, module)


def _judge_function(item: Item, registered: Container[str]) -> Iterator[Fault]:
    value, owner, _ = item
    name, module = value.get("config"), value.get("module")
    rule = "names-function"
    if not isinstance(name, str):
        yield Fault(rule, "holds a function that isn't a name", owner)
        return
    if name in registered or strip_package(name) in registered:
        return
    bare = strip_package(name) or ""
    if module is None or module == "builtins":
        # Keras says `builtins` of every function. tf_keras then looks there after all.
        if hasattr(builtins, name) and not tensorflow.allows_tensor_function(name):
            yield Fault(rule, f"names Python's own function {show_name(name)}", owner)
        elif name not in allowed.FUNCTIONS:
            text = f"uses the function {show_name(name)}, which is not Keras's own"
            yield MissingObject("names-custom", text, owner, bare)
        return
    if not isinstance(module, str):
        yield Fault(rule, f"has a module name that isn't text: {show_name(module)}", owner)
        return
    if allowed.allows_function(module, name):
        return
    full = f"{show_name(module)}.{show_name(name)}"
    if allowed.split_module(module) is not None:
        yield Fault(rule, f"names the function {full}, which models aren't made of", owner)
        return
    text = f"names the function {full}, which is not Keras's own"
    if is_of_library(module):
        yield Fault(rule, text, owner)
    else:
        yield MissingObject("names-custom", text, owner, bare, module)
