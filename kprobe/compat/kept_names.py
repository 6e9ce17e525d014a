"""Let the layers of a model that is loaded have the names that its file has for them."""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from typing import TYPE_CHECKING, Any

from kprobe.compat.keras_names import (
    DESERIALIZE,
    DESERIALIZE_OLD,
    FIRST_MODEL_NAME,
    FIRST_NAME,
    LOAD_SAVED_LAYERS,
    LOAD_STATE,
    NAME,
    VARIABLE_PATH,
)
from kprobe.compat.patching import patched
from kprobe.compat.tensorflow_names import VARIABLE_NAME
from kprobe.naming import can_be_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

# Layers that Keras named while they were loaded: their file has no name for them, as far as is
# known, and the one they have is the next number of their class in this process.
_unnamed: weakref.WeakSet[Any] = weakref.WeakSet()
# Those that have the name that the model's config has for them: it goes before all others.
_settled: weakref.WeakSet[Any] = weakref.WeakSet()


def is_unnamed(layer: Any) -> bool:
    """Tell whether a layer's name is of Keras's making, and not its file's."""
    return layer in _unnamed


def is_settled(layer: Any) -> bool:
    """Tell whether a layer has the name that the model's config has for it."""
    return layer in _settled


def rename(layer: Any, name: str) -> None:
    """Give a layer another name, and say it in the paths of its weights.

    Args:
        layer: A layer of either Keras, built or not.
        name: The name that its file has for it.
    """
    _unnamed.discard(layer)
    if layer.name == name:
        return
    own_path = getattr(layer, "path", None)
    depth = own_path.count("/") if isinstance(own_path, str) else None
    before = layer.name
    for variable in getattr(layer, "variables", ()):
        _rename_step(variable, before, name, depth)
    if isinstance(getattr(type(layer), "name", None), property):  # tf_keras
        NAME.write(layer, name)
    else:
        layer.name = name


def _rename_step(variable: Any, before: str, name: str, depth: int | None) -> None:
    """Change the step of a variable's path that names a layer."""
    if VARIABLE_PATH.is_in(variable):
        path, write = VARIABLE_PATH.read(variable), VARIABLE_PATH.write
    else:
        path, write = VARIABLE_NAME.read(variable), VARIABLE_NAME.write
    if not isinstance(path, str):
        return
    steps = path.split("/")
    if depth is None:
        depth = steps.index(before) if before in steps[:-1] else len(steps)
    if depth < len(steps) - 1 and steps[depth] == before:
        write(variable, "/".join([*steps[:depth], name, *steps[depth + 1 :]]))


@contextlib.contextmanager
def names_kept(library: ModuleType, saved: Mapping[int, str]) -> Iterator[None]:
    """Let layers that are loaded inside the block have their file's names for them.

    The config of a functional model has a name for each layer, whether or not the layer's own
    config has: it is given before the layer is built, so that its weights are named after it. The
    weights of a `.keras` file of Keras 3.7 and later note every layer's name, which Keras leaves.

    Args:
        library: The Keras that loads the model.
        saved: The names of the layers of a SavedModel, by their number among its objects. Keras
            gives them to those layers alone that it makes of their own configs.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_first_names_noted(library))
        made = _name_from_config(DESERIALIZE.find(library), library)
        stack.enter_context(DESERIALIZE.patched(made, library))
        if library.__name__ == "keras":
            made = _name_from_config(DESERIALIZE_OLD.find(library), library)
            stack.enter_context(DESERIALIZE_OLD.patched(made, library))
            original = LOAD_STATE.find(library)
            stack.enter_context(LOAD_STATE.patched(_name_from_weights(original, library), library))
        elif saved:
            original = LOAD_SAVED_LAYERS.find(library)
            named = _name_from_objects(original, library, saved)
            stack.enter_context(LOAD_SAVED_LAYERS.patched(named, library))
        yield


def _name_from_config(original: Callable[..., Any], library: ModuleType) -> Callable[..., Any]:
    def settle(made: Any, name: object) -> Any:
        if isinstance(made, library.layers.Layer) and made.name == name:
            _settled.add(made)
        return made

    @functools.wraps(original)
    def deserialize(config: Any, *args: Any, **kwargs: Any) -> Any:
        # Only the layers of functional models are listed with their calls.
        inner = config.get("config") if isinstance(config, dict) else None
        own = inner.get("name") if isinstance(inner, dict) else None
        name = config.get("name") if isinstance(config, dict) and "inbound_nodes" in config else own
        if not isinstance(name, str) or own == name:
            return settle(original(config, *args, **kwargs), own)
        unbuilt = {key: value for key, value in config.items() if key != "build_config"}
        layer = original(unbuilt, *args, **kwargs)
        rename(layer, name)
        # As the libraries do it.
        if config.get("build_config") and not layer.built:
            layer.build_from_config(config["build_config"])
            layer.built = True
        return settle(layer, name)

    return deserialize


def _name_from_weights(original: Callable[..., Any], library: ModuleType) -> Callable[..., Any]:
    @functools.wraps(original)
    def load(saveable: Any, weights_store: Any, *args: Any, **kwargs: Any) -> Any:
        place = kwargs["inner_path"] if "inner_path" in kwargs else args[1]
        if isinstance(saveable, library.layers.Layer):
            name = None if saveable in _settled else _read_name(weights_store, place)
            if name is not None:
                rename(saveable, name)
        return original(saveable, weights_store, *args, **kwargs)

    return load


def _name_from_objects(
    original: Callable[..., Any], library: ModuleType, names: Mapping[int, str]
) -> Callable[..., Any]:
    @functools.wraps(original)
    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        for number, (layer, _) in self.loaded_nodes.items():
            if number in names and isinstance(layer, library.layers.Layer):
                rename(layer, names[number])
        return result

    return load


def _read_name(store: Any, place: str) -> str | None:
    """Read the name that a file of weights notes of the layer at a place."""
    if hasattr(store, "find_name"):  # kprobe's own, in the place of Keras's
        found: str | None = store.find_name(place)
        return found if can_be_layer(found) else None
    root = getattr(store, "h5_file", None)
    group = None if root is None else root.get(f"{place}/vars" if place else "vars")
    name = None if group is None else group.attrs.get("name")
    return name if can_be_layer(name) else None


@contextlib.contextmanager
def _first_names_noted(library: ModuleType) -> Iterator[None]:
    """Note which layers are made without a name, and named by Keras; not those of other threads."""
    thread = threading.get_ident()

    def note(layer: Any, name: Any) -> None:
        if name is None and threading.get_ident() == thread:
            _unnamed.add(layer)

    def begin_new(original: Callable[..., Any]) -> Callable[..., Any]:
        # Keras reads its parameters for the configs of operations: they stay as they are.
        def begin(self: Any, name: Any = None) -> None:
            original(self, name)
            note(self, name)

        return begin

    def begin_old(original: Callable[..., Any]) -> Callable[..., Any]:
        def begin(self: Any, name: Any, zero_based: bool = True) -> None:
            original(self, name, zero_based)
            note(self, name)

        return begin

    with contextlib.ExitStack() as stack:
        if library.__name__ == "keras":
            first = begin_new(library.Operation.__init__)
            stack.enter_context(patched("__init__", first, library.Operation))
        else:
            for name in (FIRST_NAME, FIRST_MODEL_NAME):
                stack.enter_context(name.patched(begin_old(name.find(library)), library))
        yield
