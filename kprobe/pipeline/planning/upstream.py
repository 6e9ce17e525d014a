"""Which of the tensors that are asked for each of them is computed from directly."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from kprobe.dumps.graph import Node, write_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import tensorflow as tf

    from kprobe.dumps.contents import Column
    from kprobe.session.session import Session


def find_upstream(session: Session, tensors: Sequence[tf.Tensor]) -> dict[int, list[int]]:
    """Find what tensors are computed from, as far as that is among them.

    Args:
        session: The model.
        tensors: Some tensors of its trace.

    Returns:
        By the number of a tensor the numbers of those that it is computed from without another one
        between, ascending. Those inside of loops, branches and functions aren't there, and nothing
        is where the model runs eagerly.
    """
    if session.compute.eager:
        return {}
    graph = session.traced.graph
    own: dict[Any, frozenset[int]] = defaultdict(frozenset)
    for number, tensor in enumerate(tensors):
        if tensor.graph is graph:  # one that was reduced in several ways has several numbers
            own[tensor.ref()] |= {number}
    nothing: frozenset[int] = frozenset()
    reached: dict[tf.Operation, frozenset[int]] = {}
    for operation in graph.get_operations():  # what goes in is made before
        above = nothing
        for tensor in operation.inputs:
            more = own.get(tensor.ref()) or reached.get(tensor.op, nothing)
            above = above | more if above else more
        reached[operation] = above
    return {
        number: sorted(reached[reference.deref().op])
        for reference, numbers in own.items()
        for number in numbers
    }


def describe_graph(
    session: Session,
    tensors: Sequence[tf.Tensor],
    columns: Sequence[Column],
    addresses: Sequence[Sequence[str]],
    order: Sequence[int],
) -> str:
    """Describe how tensors follow from each other, as a dump tells it.

    Args:
        session: The model.
        tensors: The tensors of the trace.
        columns: The column of each.
        addresses: The addresses of each.
        order: Their numbers, in the order in which the model computes them.

    Returns:
        What the attribute `graph` of a dump is.
    """
    upstream: Mapping[int, list[int]] = find_upstream(session, tensors)
    places = {number: place for place, number in enumerate(order)}
    return write_graph(
        [
            Node(
                addresses[number][0],
                str(columns[number].attrs["layer_class"]),
                tuple(sorted(places[above] for above in upstream[number]))
                if number in upstream
                else None,
            )
            for number in order
        ]
    )
