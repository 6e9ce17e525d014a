"""Put the weights of a file into a model: by name, or else in order, and say what matched."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.architecture.weight_groups import Tree, find_around, name_places
from kprobe.compat.keras_names import (
    CONVERT_OLD_WEIGHTS,
    FLATTEN_LAYERS,
    FUNCTIONAL_MODEL,
    LOAD_STATE,
    SAVE_STATE,
    WEIGHT_STORE,
)
from kprobe.errors import KprobeError, ModelError
from kprobe.gate.opened import OpenedFile
from kprobe.models.code import is_model_of
from kprobe.models.weights.assign_checkpoint import match_checkpoint
from kprobe.models.weights.checkpoint import read_checkpoint
from kprobe.models.weights.stored_weights import Shape, StoredWeights, open_weights
from kprobe.models.weights.weight_matching import Assignment, match_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence
    from types import ModuleType

    import numpy.typing as npt

    from kprobe.models.weights.checkpoint import CheckpointReader
    from kprobe.models.weights.weight_matching import Shapes
    from kprobe.models.weights.weights_file import WeightsFile

_ITSELF = "the model itself"
# Each time, a session gets new operations, which takes it long in a large graph; it holds what it
# is given twice.
_AT_ONCE_BYTES = 128 << 20


def assign_weights(model: Any, file: WeightsFile, *, partial: bool = False) -> Assignment:
    """Put the weights of a file into a model.

    A layer is given what the file holds under its name. Where that isn't so for every layer, and
    the file holds as many layers as the model, of the same shapes in the same order, it is the
    order that counts.

    Args:
        model: A built model of keras or tf_keras.
        file: A `.weights.h5`, `.weights.json`, `.keras` or old HDF5 file, of any Keras; or a
            checkpoint of TensorFlow.
        partial: Whether layers may be left as they are.

    Returns:
        What matched.

    Raises:
        UnsafeModelError: The file was changed since it was checked.
        ModelError: It is damaged, or doesn't fit the model; or the model's own code failed, whose
            error is the cause.
    """
    library = sys.modules["keras" if is_model_of("keras", model) else "tf_keras"]
    try:
        if not isinstance(file.opened, OpenedFile):
            return _assign_checkpoint(model, read_checkpoint(file.opened), library, partial)
        with open_weights(file) as stored:
            return _assign_stored(model, stored, library, partial)
    finally:
        # It goes before whatever was found wrong with it.
        file.check_unchanged()


def _assign_stored(
    model: Any, stored: StoredWeights, library: ModuleType, partial: bool
) -> Assignment:
    assign = _assign_by_layer if stored.by_layer else _assign_by_place
    try:
        return assign(model, stored, library, partial)
    except KprobeError:
        raise
    # What a layer's own code raises has no common class.
    except Exception as error:
        raise _explain(error, f"{stored.path}: its weights", "to the model") from error


def _explain(error: Exception, what: str, whom: str = "") -> ModelError:
    said = (str(error) or "no reason").splitlines()[0]
    given = f"can't be given {whom}".rstrip()
    return ModelError(f"{what} {given}: {type(error).__name__}: {said}")


def _assign_by_layer(
    model: Any, stored: StoredWeights, library: ModuleType, partial: bool
) -> Assignment:
    """Assign from the old layout, which has a list of arrays for each of the model's layers."""
    variables = _list_by_layer(model)
    arrays = stored.list_layers()
    if top_level := stored.list_top_level():
        arrays[_ITSELF] = top_level
    owners = {layer.name: layer for layer in model.layers}

    def convert(layer: str, values: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        return _convert(owners.get(layer), values, stored, library)

    @functools.cache
    def shapes(layer: str, source: str) -> tuple[Shapes, Shapes]:
        expected = [tuple(variable.shape) for variable in variables[layer]]
        outlines = [stored.outline(name) for name in arrays[source]]
        return expected, [value.shape for value in convert(layer, outlines)]

    names = list(variables)
    same_count = len(names) == len(arrays)
    result = match_layers(
        str(stored.path),
        names,
        list(arrays),
        {name: name for name in names if name in arrays},
        dict(zip(names, arrays, strict=True)) if same_count else None,
        shapes,
        names={name: name for name in arrays},
    )
    if not (result.complete or partial):
        raise result.explain()
    _assign_in_parts(
        (
            (variable, value)
            for layer, source in result.pairs.items()
            for variable, value in zip(
                variables[layer],
                convert(layer, [stored.read(name) for name in arrays[source]]),
                strict=True,
            )
        ),
        library,
    )
    _finish(model)
    return result


def _assign_checkpoint(
    model: Any, stored: CheckpointReader, library: ModuleType, partial: bool
) -> Assignment:
    layers = _list_by_layer(model)
    result, keys = match_checkpoint(model, layers, stored)
    if not (result.complete or partial):
        raise result.explain()
    _assign_in_parts(
        (
            (variable, stored.read(keys[id(variable)]))
            for layer in result.pairs
            for variable in layers[layer]
        ),
        library,
    )
    _finish(model)
    return result


def _assign_in_parts(pairs: Iterable[tuple[Any, npt.NDArray[Any]]], library: ModuleType) -> None:
    ready: list[tuple[Any, npt.NDArray[Any]]] = []
    held = 0
    for variable, value in pairs:
        ready.append((variable, value))
        held += value.nbytes
        if held >= _AT_ONCE_BYTES:
            _assign(ready, library)
            ready.clear()
            held = 0
    _assign(ready, library)


def _finish(model: Any) -> None:
    """Let layers that compute with their weights before they are called do so."""
    for layer in FLATTEN_LAYERS.find(model)():
        if hasattr(layer, "finalize_state") and layer.built:
            layer.finalize_state()


def _assign(pairs: Sequence[tuple[Any, npt.NDArray[Any]]], library: ModuleType) -> None:
    if library.__name__ == "tf_keras":
        # Right also for a model that lives in a session.
        library.backend.batch_set_value(pairs)
    else:
        for variable, value in pairs:
            variable.assign(value)


def _list_by_layer(model: Any) -> dict[str, list[Any]]:
    """List the variables of each layer of a model that has any, and those of the model itself."""
    variables = {layer.name: _list_variables(layer) for layer in model.layers}
    variables[_ITSELF] = _list_own_variables(model)
    return {name: some for name, some in variables.items() if some}


def _list_variables(layer: Any) -> list[Any]:
    # The order of the old layout, from `_legacy_weights` in either library.
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _list_own_variables(model: Any) -> list[Any]:
    """List what belongs to the model and to none of its layers."""
    inside = {id(variable) for layer in model.layers for variable in layer.weights}
    return [variable for variable in _list_variables(model) if id(variable) not in inside]


def _convert(
    layer: Any, values: list[npt.NDArray[Any]], stored: StoredWeights, library: ModuleType
) -> list[npt.NDArray[Any]]:
    """Give the arrays of older versions the shapes and the order of today, where tf_keras can."""
    if layer is None or library.__name__ != "tf_keras":
        return values
    convert = CONVERT_OLD_WEIGHTS.find()
    try:
        converted: list[npt.NDArray[Any]] = convert(layer, values, stored.version, stored.backend)
    # Arrays that don't fit the layer fail in many ways, and are reported with their shapes.
    except Exception:
        return values
    return converted


def _assign_by_place(
    model: Any, stored: StoredWeights, library: ModuleType, partial: bool
) -> Assignment:
    """Assign from the new layout, where arrays lie as the layers lie in the model."""
    import tensorflow as tf

    if not tf.executing_eagerly():
        raise ModelError(
            f"{stored.path}: a model whose code switched eager execution off takes weights of "
            "the old HDF5 layout only",
            hint="save them with `save_weights('w.h5')` of Keras 2",
        )
    places = _outline(model, library)
    own_names = name_places(_list_tree(model, library))
    stored_names = stored.find_names()
    by_names = {names: place for place, names in stored_names.items()}

    def find_named(place: str) -> str | None:
        around = find_around(place, own_names)
        source = by_names.get(own_names[around]) if around is not None else None
        if around is None or source is None:
            return None
        found = source + place.removeprefix(around)
        return found if found in stored.groups else None

    labels = {_label(place, own_names): place for place in places}

    def shapes(layer: str, source: str) -> tuple[Shapes, Shapes]:
        expected, found = places[labels[layer]], stored.groups[source]
        return [expected[key] for key in sorted(expected)], [found[key] for key in sorted(found)]

    named = {layer: found for layer, place in labels.items() if (found := find_named(place))}
    # Without numbers, places are the names of attributes, and as good as layers' names.
    numbered = any(place.startswith("layers/") for place in places)
    same = len(places) == len(stored.groups) or not numbered
    in_order = {layer: place for layer, place in labels.items() if place in stored.groups}
    result = match_layers(
        str(stored.path),
        list(labels),
        list(stored.groups),
        named,
        in_order if same else None,
        shapes,
        # Of a subclassed model attributes tell more.
        names={
            place: _label(place, stored_names)
            for place in stored.groups
            if place.startswith("layers/") and find_around(place, stored_names) is not None
        },
        ordered_how="in order" if numbered else "by attribute",
    )
    if not (result.complete or partial):
        raise result.explain()
    sources = {labels[layer]: source for layer, source in result.pairs.items()}
    left = {} if result.complete else _read_own(model, library, sources)
    _load_places(model, stored, sources, left, library)
    return result


def _label(place: str, names: Mapping[str, tuple[str, ...]]) -> str:
    """Name a place by the layers around it, as far as they have names."""
    around = find_around(place, names)
    if around is None:
        return place or _ITSELF
    return "/".join(names[around]) + place.removeprefix(around)


def _list_tree(model: Any, library: ModuleType) -> Tree:
    """List the layers of a model that numbers them by class, as functional and sequential ones."""
    kinds = (library.Sequential, FUNCTIONAL_MODEL.find(library))
    if not isinstance(model, kinds):
        return []
    return [
        (
            layer.name,
            type(layer).__name__,
            _list_tree(layer, library) if isinstance(layer, kinds) else None,
        )
        for layer in model.layers
    ]


def _outline(model: Any, library: ModuleType) -> dict[str, dict[str, Shape]]:
    """Give the shapes that a file of the model's weights would hold, by place and key."""
    places = _save_places(model, library, lambda _place: _ShapeStore())
    return {p: shapes for p, shapes in places.items() if shapes and "seed_generator" not in p}


def _read_own(
    model: Any, library: ModuleType, others: Container[str]
) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """Give the weights that a model has, by place and key, but for some places."""
    places = _save_places(model, library, lambda p: _Forgotten() if p in others else _ValueStore())
    return {place: dict(values) for place, values in places.items() if values}


def _save_places(
    model: Any, library: ModuleType, make_place: Callable[[str], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Let the library save a model's weights, into what is made for each place."""
    places: dict[str, dict[str, Any]] = {}

    def make(_self: Any, path: str, metadata: Any = None) -> dict[str, Any]:  # noqa: ARG001
        if path not in places:
            places[path] = make_place(path)
        return places[path]

    store = _make_store(library, make=make)
    SAVE_STATE.find(library)(model, store, None, "", set())
    return places


class _ShapeStore(dict[str, Shape]):
    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, tuple(value.shape))


class _ValueStore(dict[str, Any]):
    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, np.asarray(value))


class _Forgotten(dict[str, Any]):
    def __setitem__(self, key: str, value: Any) -> None:
        pass


def _load_places(
    model: Any,
    stored: StoredWeights,
    sources: Mapping[str, str],
    left: Mapping[str, dict[str, npt.NDArray[Any]]],
    library: ModuleType,
) -> None:
    """Let the library load a model's weights.

    Args:
        model: The model.
        stored: The file.
        sources: The place in the file of each place of the model that is matched.
        left: What the others have, and are given again.
        library: The model's Keras.
    """
    place = ""

    def get(_self: Any, path: str) -> dict[str, npt.NDArray[Any]]:
        nonlocal place
        place = path
        return stored.read_place(sources[path]) if path in sources else left.get(path, {})

    def has_path(_self: Any, path: str) -> bool:
        return any(f"{known}/".startswith(f"{path}/") for known in (*sources, *left))

    names = stored.find_names()

    def find_name(_self: Any, path: str) -> str | None:
        around = names.get(sources.get(path, path))
        return around[-1] if around else None

    store = _make_store(library, get=get, has_path=has_path, find_name=find_name)
    load = LOAD_STATE.find(library)
    if library.__name__ == "keras":
        failed: dict[int, tuple[Any, Exception]] = {}
        load(model, store, None, "", False, set(), set(), failed)
        if failed:
            layer, error = next(iter(failed.values()))
            raise _explain(error, f"{stored.path}: {layer.name}", "its weights") from error
        return
    try:
        load(model, store, None, "", False, set())
    except KprobeError:
        raise
    except Exception as error:  # a layer's own code
        raise _explain(error, f"{stored.path}: {place or _ITSELF}", "its weights") from error


def _make_store(library: ModuleType, **methods: Callable[..., Any]) -> Any:
    """Make a store for the library's saving, which accepts no other class than its own."""
    own = WEIGHT_STORE.find(library)
    blank = {"__init__": lambda _self: None, "__bool__": lambda _self: True}
    return type("Store", (own,), {**blank, **methods})()
