"""The names that a file's weights have for the layers that its config has none for."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from kprobe.architecture.weight_groups import number_groups, to_snake_case

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.architecture.network import Layer, Network


def name_by_group(network: Network, names: Mapping[str, str], container: str) -> Network:
    """Name the layers of a `.keras` file, whose groups of weights are counted by class.

    Args:
        network: The model.
        names: The layers' names by their groups.
        container: The group of the model's layers.
    """
    inside = [layer for layer in network.layers if layer.in_layers]
    numbered = number_groups(layer.class_name for layer in inside)
    groups = {
        layer.name: f"{container}/{group}" for layer, group in zip(inside, numbered, strict=True)
    }
    layers = []
    for layer in network.layers:
        group = groups.get(layer.name, "")
        inner = layer.network and name_by_group(layer.network, names, f"{group}/layers")
        layers.append(_name(replace(layer, network=inner), names.get(group)))
    return replace(network, layers=layers)


def name_by_list(
    network: Network, names: Sequence[str], stored: Mapping[str, Sequence[str]]
) -> Network:
    """Name the layers of an HDF5 file, which lists those at the top in their order.

    Args:
        network: The model.
        names: The names of its layers.
        stored: The names of the weights of each. They begin with those of the layers around them.
    """
    inside = [layer.name for layer in network.layers if layer.in_layers]
    given = dict(zip(inside, names, strict=True)) if len(inside) == len(names) else {}
    layers = []
    for layer in network.layers:
        named = _name(layer, given.get(layer.name))
        if named.is_operation and named.name in names:
            named = replace(named, is_operation=False, in_layers=True)
        if named.network is not None:
            paths = [text.split("/")[:-1] for text in stored.get(named.name, ())]
            named = replace(named, network=_name_by_scopes(named.network, named.name, paths))
        layers.append(named)
    return replace(network, layers=layers)


def name_by_class(
    network: Network, layers: Sequence[tuple[tuple[str, ...], str]], path: tuple[str, ...] = ()
) -> Network:
    """Name the layers of a SavedModel, which has them in the same order.

    Args:
        network: The model, or one inside it.
        layers: The path of each layer's name, and its class.
        path: That of the model.
    """
    # Of a registered class, the package stands before the name.
    there = [(own[-1], kind.rpartition(">")[2]) for own, kind in layers if own[:-1] == path]
    inside = [layer for layer in network.layers if layer.in_layers]
    same = [kind for _, kind in there] == [layer.class_name for layer in inside]
    given = {layer.name: name for layer, (name, _) in zip(inside, there, strict=False) if same}
    named = []
    for layer in network.layers:
        own = _name(layer, given.get(layer.name))
        inner = own.network and name_by_class(own.network, layers, (*path, own.name))
        named.append(replace(own, network=inner))
    return replace(network, layers=named)


def _name_by_scopes(network: Network, own: str, paths: Sequence[Sequence[str]]) -> Network:
    """Name the layers of a nested model after the scopes of their weights, in their order."""
    inner = [path[1:] if path[:1] == [own] else path for path in paths]
    heads = list(dict.fromkeys(path[0] for path in inner if path))
    known = {layer.name for layer in network.layers if layer.is_named}
    there = [layer for layer in network.layers if layer.in_layers]
    # Of layers that were another model's before, weights are named after that.
    if len(heads) == 1 and not any(heads[0] == n.name or is_numbered(heads[0], n) for n in there):
        inner = [path[1:] for path in inner]
        heads = list(dict.fromkeys(path[0] for path in inner if path))
    heads = [head for head in heads if head not in known]
    layers = []
    for layer in network.layers:
        if not layer.is_named and heads and is_numbered(heads[0], layer):
            layer = _name(layer, heads.pop(0))
        if layer.network is not None:
            below = [path for path in inner if path[:1] == [layer.name]]
            layer = replace(layer, network=_name_by_scopes(layer.network, layer.name, below))
        layers.append(layer)
    return replace(network, layers=layers)


def is_numbered(name: str, layer: Layer) -> bool:
    """Tell whether a name is one that Keras makes of a layer's class."""
    stem = re.escape(to_snake_case(layer.class_name))
    return re.fullmatch(rf"{stem}(_\d+)?", name) is not None


def _name(layer: Layer, name: str | None) -> Layer:
    return layer if layer.is_named or name is None else replace(layer, name=name, is_named=True)
