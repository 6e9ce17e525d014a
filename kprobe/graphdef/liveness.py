"""Tell what the results of a graph, and of each function in it, depend on."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from kprobe.graphdef.functions import node_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import tensorflow as tf

# What these give doesn't depend on the values of what they take.
_BLIND = {"OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike"}

# `tf.vectorized_map` runs its function once, on a placeholder for the number of the row in a
# scope of this name, and rewrites each operation into one for all rows, in a scope `pfor`
# (tensorflow/python/ops/parallel_for/control_flow_ops.py, `_pfor_impl`). What it was rewritten
# from stays in the graph; computed, it would give the first row and no other.
_SCOPE = re.compile(r"(^|/)loop_body(_\d+)?(/|$)")
_ROW_NUMBER = re.compile(r"(.*/)?loop_body(_\d+)?/PlaceholderWithDefault(_\d+)?")


def is_in_vectorized_map(name: str) -> bool:
    """Tell whether a scope, or an operation by its name, lies in a `tf.vectorized_map`."""
    return _SCOPE.search(name) is not None


def find_ancestors(
    tensors: Sequence[tf.Tensor], known: Collection[tf.Operation] = ()
) -> set[tf.Operation]:
    """Give every operation whose values the tensors depend on, by data or control edges.

    Args:
        tensors: The tensors.
        known: Operations to give besides, whose own ancestors are among them.
    """
    pending = [tensor.op for tensor in tensors if tensor.op not in known]
    found = {*known, *pending}
    while pending:
        operation = pending.pop()
        inputs = () if operation.type in _BLIND else operation.inputs
        for before in [*(t.op for t in inputs), *operation.control_inputs]:
            if before not in found:
                found.add(before)
                pending.append(before)
    return found


def find_needed(function: Any) -> set[str]:
    """Give the names of the nodes of a FunctionDef that its results depend on."""
    nodes = {node.name: node for node in function.node_def}
    needed: set[str] = set()
    pending = [node_of(edge) for edge in function.ret.values()]
    while pending:
        name = pending.pop()
        if name in nodes and name not in needed:
            needed.add(name)
            edges = nodes[name].input
            blind = nodes[name].op in _BLIND
            pending += [node_of(edge) for edge in edges if edge.startswith("^") or not blind]
    return needed


def find_leftovers(nodes: Sequence[Any]) -> set[str]:
    """Give the names of the nodes that depend on the number of a row of `tf.vectorized_map`."""
    numbers = (node.name for node in nodes if node.op == "PlaceholderWithDefault")
    pending = [name for name in numbers if _ROW_NUMBER.fullmatch(name)]
    if not pending:
        return set()  # as nearly always, and the rest takes a while in a big graph
    consumers: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        for edge in node.input:
            if not edge.startswith("^"):
                consumers[node_of(edge)].append(node.name)
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += consumers[name]
    return found
