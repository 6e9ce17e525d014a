"""Find what a model's config names that would run code, read files or isn't Keras's own.

Both Keras libraries build objects from names and modules in the file, and tf_keras runs the
bytecode in an HDF5 file whatever its `safe_mode` says. This reads the config alone, so it comes
before any loader, and before TensorFlow.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.gate.names import allowed
from kprobe.gate.names import allowed_tensorflow as tensorflow
from kprobe.gate.names.judge_code import find_code
from kprobe.gate.names.walk import (
    Item,
    find_lookup_name,
    is_operation,
    strip_package,
    walk_objects,
)
from kprobe.gate.rules import RULES, Fault
from kprobe.gate.shown import show_name
from kprobe.importing import is_of_library

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator

# What ends the keys under which Keras's layers keep functions and objects by their names alone.
_BY_NAME = ("activation", "constraint", "initializer", "regularizer")
_FOREIGN = ", which is not Keras's own"
_UNUSED = ", which models aren't made of"
# Of a file with more faults no more are looked for. Honest models have hundreds of layers of the
# user's own.
MOST_NAMED = 1_000


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
    modules: Collection[str] = (),
    has_graph: bool = False,
) -> list[Fault]:
    """Find what a config names that a model must not be made of.

    Args:
        objects: The configs of all objects that a loader builds.
        registered: The names under which the user's own classes and functions are registered.
        allow: The kinds of faults that are allowed, of `kprobe.gate.rules.KINDS`.
        modules: The modules of which all classes and functions are the user's own, and given.
        has_graph: Whether the file holds the graph of what isn't Keras's own, as SavedModels do.

    Returns:
        The first fault of each layer that has any, and then the user's own classes and functions
        that aren't given, as `MissingObject`, once for each layer that isn't faulty anyway. The
        search ends with `MOST_NAMED` of them.
    """
    unsafe: dict[str, Fault] = {}
    missing: dict[MissingObject, None] = {}
    found = (
        fault
        for item in walk_objects(objects)
        if item.owner not in unsafe
        for fault in _judge(item, registered, allow)
        if RULES[fault.rule].kind not in allow
    )
    for fault in found:
        if not isinstance(fault, MissingObject):
            unsafe.setdefault(fault.owner, fault)
        # Of a SavedModel's own, nothing is imported.
        elif not (has_graph if fault.module is None else _is_below(fault.module, modules)):
            missing[fault] = None
        if len(unsafe) + len(missing) == MOST_NAMED:
            break
    return [*unsafe.values(), *(fault for fault in missing if fault.owner not in unsafe)]


def _is_below(module: str, modules: Collection[str]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in modules)


def _judge(item: Item, registered: Container[str], allow: Collection[str]) -> Iterator[Fault]:
    for rule, text in find_code(item.value):
        yield Fault(rule, text, item.owner)
    yield from _judge_origin(item, registered, allow)


def _judge_origin(
    item: Item, registered: Container[str], allow: Collection[str]
) -> Iterator[Fault]:
    """Judge where an object comes from."""
    value, owner, _ = item
    class_name, module = value.get("class_name"), value.get("module")
    if "class_name" not in value:
        return
    if not isinstance(class_name, str):
        text = f"has a class name that isn't text: {show_name(class_name)}"
        yield Fault("names-class", text, owner)
    elif class_name == "function":
        yield from _judge_function(item, registered)
    elif class_name == "__typespec__":
        name = value.get("spec_name")
        if not tensorflow.allows_type_spec(str(module), str(name)):
            text = f"has an input type {show_name(name)} of module {show_name(module)}"
            yield Fault("names-class", text, owner)
    elif class_name not in allowed.DATA_FORMS and not _is_given(value, registered):
        bare = strip_package(class_name) or ""
        if bare in allowed.UNSAFE_CLASSES:
            # What isn't allowed is a fault already.
            rule, _ = allowed.UNSAFE_CLASSES[bare]
            if RULES[rule].kind not in allow or bare == "__lambda__":
                return
        if class_name in allowed.CLASSES:
            yield from _judge_by_name(item, registered)
        if module is None:
            yield from _judge_without_module(item, class_name)
        elif isinstance(module, str):
            yield from _judge_class(item, module, class_name, registered)
        else:
            text = f"has a module name that isn't text: {show_name(module)}"
            yield Fault("names-class", text, owner)


def _is_given(value: dict[str, Any], registered: Container[str]) -> bool:
    """Tell whether a class is the user's own, and looked up among what was given."""
    # Where a config says that it isn't registered, tf_keras imports the module all the same.
    if value.get("module") is not None and value.get("registered_name", "") is None:
        return False
    return _is_known(find_lookup_name(value), registered)


def _is_known(name: object, registered: Container[str]) -> bool:
    return isinstance(name, str) and (name in registered or strip_package(name) in registered)


def _judge_by_name(item: Item, registered: Container[str]) -> Iterator[Fault]:
    """Judge what a layer of Keras's own names in a word: `"activation": "relu"`."""
    config = item.value.get("config")
    for key, name in config.items() if isinstance(config, dict) else ():
        if not (isinstance(name, str) and key.endswith(_BY_NAME)):
            continue
        known = name in allowed.FUNCTIONS or name in allowed.CLASSES
        if not (known or _is_known(name, registered)):
            text = f"has {show_name(name)} for its {show_name(key)}{_FOREIGN}"
            own = strip_package(name) or ""
            yield MissingObject("names-custom", text, item.owner, own)


def _judge_without_module(item: Item, class_name: str) -> Iterator[Fault]:
    """Judge a class by its name alone: Keras looks it up among its own and those given."""
    value, owner, is_layer = item
    if is_layer and not is_operation(value):
        known = (
            class_name in allowed.LAYER_CLASSES
            or class_name in allowed.UNSAFE_CLASSES
            or class_name in allowed.REGISTERED_CLASSES
        )
        is_one = "is of class"
    else:
        known = class_name in allowed.CLASSES or tensorflow.allows_without_module(class_name)
        is_one = "names"
    if not known:
        own = strip_package(find_lookup_name(value)) or ""
        text = f"{is_one} {show_name(strip_package(class_name))}{_FOREIGN}"
        yield MissingObject("names-custom", text, owner, own)


def _judge_class(
    item: Item, module: str, class_name: str, registered: Container[str]
) -> Iterator[Fault]:
    value, owner, is_layer = item
    own = value.get("registered_name")
    full = f"{show_name(module)}.{show_name(class_name)}"
    if allowed.allows_class(module, class_name, barred=True) or tensorflow.allows_initializer(
        module, class_name
    ):
        # Under this name tf_keras looks, too.
        if own is not None and strip_package(own) != class_name:
            text = f"names {full} as {show_name(own)}{_UNUSED}"
            yield Fault("names-class", text, owner)
        return
    if allowed.split_module(module) is not None:
        yield Fault("names-class", f"names {full}{_UNUSED}", owner)
        return
    is_one = f"is of class {show_name(strip_package(class_name))} (module {show_name(module)})"
    text = f"{is_one if is_layer else f'names {full}'}{_FOREIGN}"
    # Nothing of a model is in such libraries: there, the import or the call is what is wanted.
    if _is_known(find_lookup_name(value), registered) or is_of_library(module):
        yield Fault("names-class", text, owner)
    else:
        name = strip_package(find_lookup_name(value)) or ""
        yield MissingObject("names-custom", text, owner, name, module)


def _judge_function(item: Item, registered: Container[str]) -> Iterator[Fault]:
    value, owner, _ = item
    name, module = value.get("config"), value.get("module")
    rule = "names-function"
    if not isinstance(name, str):
        yield Fault(rule, "holds a function that isn't a name", owner)
        return
    if _is_known(name, registered):
        return
    bare, own = strip_package(name) or "", value.get("registered_name")
    if module is None or module == "builtins":
        # Keras says `builtins` of every function. tf_keras then looks there after all.
        if hasattr(builtins, name) and not tensorflow.allows_tensor_function(name):
            yield Fault(rule, f"names Python's own function {show_name(name)}", owner)
        elif name not in allowed.FUNCTIONS:
            text = f"uses the function {show_name(name)}{_FOREIGN}"
            yield MissingObject("names-custom", text, owner, bare)
        return
    if not isinstance(module, str):
        yield Fault(rule, f"has a module name that isn't text: {show_name(module)}", owner)
        return
    full = f"{show_name(module)}.{show_name(name)}"
    if allowed.allows_function(module, name):
        # Under this name the libraries look, too.
        if own not in (None, "function", name):
            yield Fault(rule, f"names the function {full} as {show_name(own)}{_UNUSED}", owner)
        return
    if allowed.split_module(module) is not None:
        yield Fault(rule, f"names the function {full}{_UNUSED}", owner)
    elif is_of_library(module):
        yield Fault(rule, f"names the function {full}{_FOREIGN}", owner)
    else:
        text = f"names the function {full}{_FOREIGN}"
        yield MissingObject("names-custom", text, owner, bare, module)
