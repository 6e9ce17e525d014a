"""The names of a loaded model's layers: those of its file, and the places of those without one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from kprobe.architecture.weight_groups import read_names, to_snake_case
from kprobe.compat.kept_names import is_settled, is_unnamed, rename
from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.hdf5 import open_for_reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.models.file import ModelFile


def list_inside(layer: Any) -> list[Any]:
    """List the layers right inside a layer or model, in the order in which it counts them."""
    if isinstance(getattr(type(layer), "layers", None), property):
        return list(layer.layers)
    if not hasattr(layer, "weights"):  # an operation of Keras 3
        return []
    return list(FLATTEN_LAYERS.find(layer)(recursive=False, include_self=False))


def name_as_in_file(model: Any, file: ModelFile) -> None:
    """Give the layers of a model the names that its file has in their places.

    Args:
        model: The model, with the weights of the file.
        file: The file it was loaded from. Only HDF5 files need it: for other kinds
            `kprobe.compat.kept_names` gives the names while Keras loads.
    """
    if file.format == "h5":
        with open_for_reading(file.name, shown=file.path) as root:
            if "model_weights" in root:
                name_by_position(model, root["model_weights"])


def name_by_position(model: Any, group: Any) -> None:
    """Give the layers of a model the names that its HDF5 file has in their places.

    `layer_names` lists all of the model's layers in their order, and the weights of each, in their
    order too, are named after the layers that they are in. A layer that the config names keeps that
    name, as a config may list layers in another order than that of the model made of it.

    Args:
        model: The model; its weights are those of the file.
        group: The group of the file that holds its weights.
    """
    names, layers = read_names(group, "layer_names"), list(model.layers)
    if len(names) != len(layers):
        return
    for name, layer in zip(names, layers, strict=True):
        stored = read_names(group[name], "weight_names")
        own = [*layer.trainable_weights, *layer.non_trainable_weights]
        if len(stored) == len(own):
            texts = zip(own, stored, strict=True)
            paths = {id(v): (_list_steps(v), text.split("/")) for v, text in texts}
            for now, then in paths.values():
                # A wrapper's layer is built before the wrapper has a name.
                if then[0] == name and now[0] != layer.name and len(now) < len(then):
                    now[:0] = [""] * (len(then) - len(now))
            _name_inside(layer, paths)
        if not is_settled(layer):
            rename(layer, name)


_Paths: TypeAlias = "Mapping[int, tuple[list[str], list[str]]]"


def _name_inside(layer: Any, paths: _Paths, outer: int | None = None) -> None:
    """Name the layers inside a layer as the file does in the names of their weights.

    Args:
        layer: The layer.
        paths: The path of each variable as it is, and in the file, by the variable's identity.
        outer: How many steps, counted from the end, the layer's own name is in these paths; None
            where it isn't.
    """
    for inner in list_inside(layer):
        found: set[tuple[int, str]] = set()
        for variable in inner.weights:
            now, stored = paths.get(id(variable), ([], []))
            if len(now) != len(stored):  # of a version that named weights otherwise
                continue
            places = [
                place
                for place in range(2, min(len(now), (outer or len(now) + 1) - 1) + 1)
                if now[-place] == inner.name
            ]
            found |= {(place, stored[-place]) for place in places[-1:]}
        place = max((place for place, _ in found), default=outer)
        _name_inside(inner, paths, place)
        if is_unnamed(inner) and len({name for _, name in found}) == 1:
            rename(inner, found.pop()[1])


def _list_steps(variable: Any) -> list[str]:
    path: str = getattr(variable, "path", None) or variable.name
    return path.split("/")


def settle_unnamed(model: Any) -> None:
    """Settle what the layers are called that a model's file has no name for.

    A layer inside one that isn't a model, and the only one there of its class, is called after its
    class: it can't be taken for another. All others answer to their places.

    Args:
        model: The loaded model.
    """
    seen = {id(model)}
    pending = [model]
    while pending:
        layer = pending.pop()
        inside = list_inside(layer)
        stems = Counter(to_snake_case(type(inner).__name__) for inner in inside)
        names = {inner.name for inner in inside if not is_unnamed(inner)}
        for inner in inside:
            stem = to_snake_case(type(inner).__name__)
            alone = stems[stem] == 1 and stem not in names and not hasattr(layer, "layers")
            if is_unnamed(inner) and alone:
                rename(inner, stem)
            if id(inner) not in seen:
                seen.add(id(inner))
                pending.append(inner)


def find_step(layer: Any, around: Any) -> str:
    """Give what a layer is called in addresses: its name, or else its place.

    Args:
        layer: The layer.
        around: What it is called in.
    """
    if not is_unnamed(layer):
        return str(layer.name)
    places = {id(inner): place for place, inner in enumerate(list_inside(around))}
    place = places.get(id(layer))
    return str(layer.name) if place is None else f"at:{place}"
