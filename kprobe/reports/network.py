"""The network of layers: which follows from which, as far as a file tells, and in which groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.dumps.graph import read_graph
from kprobe.reports.folding import fold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.dumps.graph import Node
    from kprobe.reports.contents import Tree


@dataclass(frozen=True)
class Network:
    """How layers follow from each other.

    Attributes:
        classes: The class of each layer, "" where that isn't known.
        upstream: The places of those that each is computed from directly; None for weights.
        tree: Their places in groups.
        linked: Whether a file told all of that; else some follow the order of computing alone.
    """

    classes: Sequence[str]
    upstream: Sequence[Sequence[int] | None]
    tree: Tree
    linked: bool


def read_network(
    attrs: Mapping[str, Any], names: Sequence[Sequence[str]], weights: Sequence[bool]
) -> Network:
    """Read the network of layers from what is said of a dump, or of statistics.

    Args:
        attrs: The attributes of the file.
        names: The addresses of each layer, in the order of computing.
        weights: Whether each is a weight, which is no part of it.
    """
    told = read_graph(attrs)
    places = {name: place for place, own in enumerate(names) for name in own if not weights[place]}
    above = _skip_missing(told, places)
    # What nothing is known of follows from the one before.
    upstream = follow_order(weights)
    classes = [""] * len(names)
    known = set()
    for node, found in zip(told, above, strict=True):
        place = places.get(node.address)
        if place is None:
            continue
        classes[place] = node.class_name
        if node.upstream is not None:
            upstream[place] = [each for each in found if each != place]
            known.add(place)
    linked = len(known) == len(names) - sum(weights)
    tree = fold_layers([own[0] for own in names], weights)
    return Network(classes, upstream, tree, linked)


def fold_layers(names: Sequence[str], weights: Sequence[bool]) -> Tree:
    """Put layers in groups, as `fold` does, but for weights.

    Args:
        names: The address of each, in the order of computing.
        weights: Whether each is a weight.
    """
    kept = [place for place, weight in enumerate(weights) if not weight]
    return _renumber(fold([split_path(names[place]) for place in kept]), kept)


def follow_order(weights: Sequence[bool]) -> list[Sequence[int] | None]:
    """Let each layer follow from the one before, which is all that is known."""
    found: list[Sequence[int] | None] = []
    last: list[int] = []
    for place, weight in enumerate(weights):
        found.append(None if weight else last)
        last = last if weight else [place]
    return found


def split_path(address: str) -> list[str]:
    """Give the names of the calls around a layer, and its own with what is behind it."""
    path, slashes, operation = address.partition("//")
    *around, last = path.split("/")
    return [*(step for step in around if step), f"{last}{slashes}{operation}"]


def _skip_missing(told: Sequence[Node], places: Mapping[str, int]) -> list[list[int]]:
    """Give the layers above each node: where one isn't there, those that it is computed from."""
    reached: list[list[int]] = []
    for node in told:
        found: dict[int, None] = {}
        for number in node.upstream or ():
            place = places.get(told[number].address)
            if place is not None:
                found[place] = None
            elif number < len(reached):
                found |= dict.fromkeys(reached[number])
        reached.append(list(found))
    return reached


def _renumber(tree: Tree, numbers: Sequence[int]) -> Tree:
    return [
        {**place, "inside": _renumber(place["inside"], numbers)}
        if isinstance(place, dict)
        else numbers[place]
        for place in tree
    ]
