"""Let what takes tensors of a graph take others, which are supplied from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobe.graphdef.functions import Body

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tensorflow as tf


def detach(definition: tf.compat.v1.GraphDef, tensors: Mapping[str, tf.Tensor]) -> dict[str, str]:
    """Change a graph so that all that took some tensors takes placeholders; these stay computed.

    Args:
        definition: The graph; nodes are added.
        tensors: Tensors of that graph, by their edges.

    Returns:
        By the edges of the tensors, those of their placeholders.
    """
    if not tensors:
        return {}
    consumers = list(definition.node)
    body = Body(definition)
    detached = {
        edge: body.add("Placeholder", [], "output", f"fed/{edge.replace(':', '_')}", dtype=t.dtype)
        for edge, t in tensors.items()
    }
    for node in consumers:
        if any(edge in detached for edge in node.input):
            node.input[:] = [detached.get(edge, edge) for edge in node.input]
    return detached
