"""What the tensors of a dump are computed from, as its attribute `graph` says it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Node:
    """A tensor, among others.

    Attributes:
        address: What it is called.
        class_name: The class of its layer, "" where it has none.
        upstream: The places, among the nodes, of those that it is computed from without another
            one between; None where that isn't known.
    """

    address: str
    class_name: str
    upstream: tuple[int, ...] | None


def write_graph(nodes: Sequence[Node]) -> str:
    """Write nodes as JSON, in the order in which the model computes them."""
    told = [
        {"address": node.address, "class": node.class_name, "from": node.upstream} for node in nodes
    ]
    return json.dumps(told, separators=(",", ":"))


def read_graph(attrs: Mapping[str, Any]) -> list[Node]:
    """Read the nodes that a dump tells of, or statistics do.

    Args:
        attrs: Its attributes.

    Returns:
        The nodes; none where it is older, or what is there isn't what `write_graph` writes.
    """
    try:
        told = json.loads(attrs["graph"])
        return [_read(each, len(told)) for each in told]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []


def _read(told: Any, number: int) -> Node:
    upstream = told["from"]
    if upstream is not None:
        upstream = tuple(upstream)
        if not all(type(place) is int and 0 <= place < number for place in upstream):
            raise ValueError("no places of nodes")
    if not isinstance(told["address"], str) or not isinstance(told["class"], str):
        raise TypeError("no texts")
    return Node(told["address"], told["class"], upstream)
