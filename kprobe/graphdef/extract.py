"""Copy out of a graph what some of its tensors depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.graphdef.functions import by_name, functions_of, node_of, passed_on

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


def extract(
    definition: tf.compat.v1.GraphDef, targets: Iterable[str], stops: Collection[str]
) -> tuple[tf.compat.v1.GraphDef, set[str]]:
    """Copy the nodes that the targets depend on, going back no further than the stops.

    Args:
        definition: The whole graph.
        targets: The edges wanted, or nodes that are to run.
        stops: The edges that will be supplied from outside.

    Returns:
        The nodes, and which of the stops they consume.
    """
    nodes = {node.name: node for node in definition.node}
    stop_nodes = {edge for edge in stops if nodes[node_of(edge)].op == "Placeholder"}
    consumed: set[str] = set()
    kept: set[str] = set()
    pending = [node_of(edge) for edge in targets if edge not in stops]
    while pending:
        name = pending.pop()
        if name in kept:
            continue
        kept.add(name)
        for edge in nodes[name].input:
            if edge in stops:
                consumed.add(edge)
            elif edge.removeprefix("^") not in stop_nodes:
                pending.append(node_of(edge))
    result = tf.compat.v1.GraphDef()
    result.versions.CopyFrom(definition.versions)
    result.library.CopyFrom(definition.library)
    for node in definition.node:
        if node.name in kept:
            copy = result.node.add()
            copy.CopyFrom(node)
            # It may name a node that isn't copied; without devices of their own it says nothing.
            copy.attr.pop("_class", None)
            if any(edge.startswith("^") for edge in node.input):
                copy.input[:] = [e for e in node.input if not (e[0] == "^" and e[1:] in stop_nodes)]
    return result, consumed


def find_updates(
    definition: tf.compat.v1.GraphDef,
    targets: Collection[str],
    stops: Collection[str],
    layers: Sequence[tuple[Collection[str], Collection[str]]],
) -> set[str]:
    """Give the nodes that change variables: those the targets read, and those of layers that run.

    An update may read variables that others change; those are found, too.

    Args:
        definition: The whole graph.
        targets: The edges wanted.
        stops: The edges that will be supplied from outside, handles of variables among them.
        layers: For each call of a layer the nodes that give its outputs, and all its nodes.
    """
    writers = {
        node.name: written
        for node in definition.node
        if (written := _find_written([node], by_name(definition)))
    }
    updates: set[str] = set()
    while True:
        extracted, consumed = extract(definition, [*targets, *updates], stops)
        kept = {node.name for node in extracted.node}
        run = [nodes for outputs, nodes in layers if not kept.isdisjoint(outputs)]
        more = {
            name
            for name, written in writers.items()
            if written & consumed or any(name in nodes for nodes in run)
        } - updates
        if not more:
            return updates
        updates |= more


def find_written(definition: tf.compat.v1.GraphDef) -> set[str]:
    """Give the edges that hold the handles of variables which a graph writes to."""
    return _find_written(definition.node, by_name(definition))


def _find_written(nodes: Iterable[Any], library: Mapping[str, Any]) -> set[str]:
    written = set()
    for node in nodes:
        if node.op.startswith(("Assign", "ResourceScatter", "RngReadAndSkip", "RngSkip")):
            written.add(node.input[0])
        for _, named in functions_of(node):
            if named.name in library:
                function = library[named.name]
                inside = _find_written(function.node_def, library)
                pairs = zip(function.signature.input_arg, passed_on(node), strict=False)
                written |= {edge for argument, edge in pairs if argument.name in inside}
    return written
