"""Search upstream: what a tensor is computed from, nearest first."""

from __future__ import annotations

import itertools
import re
from collections import deque
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from kprobe.errors import AddressError
from kprobe.graphdef.functions import BRANCHES, LOOPS
from kprobe.trace.fetch import find_fetches
from kprobe.trace.operations import is_passive, open_functions, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import tensorflow as tf

    from kprobe.trace.trace import Trace, TracedCall


@dataclass(frozen=True)
class Match:
    """An operation that a search found.

    Attributes:
        address: What names it, to paste.
        type: The operation's type, e.g. "Conv2D".
        hops: How many steps it lies upstream of where the search began; None in a listing.
        dtypes: The dtype of each of its outputs.
        shapes: The shape of each of its outputs, None for unknown sizes, or None altogether.
    """

    address: str
    type: str
    hops: int | None
    dtypes: Sequence[str]
    shapes: Sequence[tuple[int | None, ...] | None]


def search_upstream(
    trace: Trace, pattern: str, start: str | None = None, depth: int | None = None
) -> list[Match]:
    """Find the operations upstream of a tensor whose address or type a regex fits.

    Constants and the values of variables aren't listed. Each operation is visited once, however
    many ways lead to it; what runs inside a loop, a branch or a function counts from that
    function's results.

    Args:
        trace: The trace.
        pattern: A regular expression, searched for in addresses and types.
        start: The address where the search begins; None for the model's outputs.
        depth: How many hops it goes at most; None for all.

    Returns:
        The matches, nearest first.

    Raises:
        AddressError: The pattern isn't a regular expression, or `start` names nothing.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise AddressError(f"{pattern!r} is not a regular expression: {error}") from None
    fetches = find_fetches(trace, [start]) if start else []
    if any(fetch.is_weight for fetch in fetches):
        raise AddressError(f"{start} is a weight, and nothing is upstream of it")
    tensors = [fetch.tensor for fetch in fetches] if start else trace.outputs
    addresses = _name_all(trace)
    return [
        describe(operation, addresses[operation], hops)
        for operation, hops in _go_upstream(trace, [_as_listed(trace, t.op) for t in tensors])
        if operation in addresses and not is_passive(operation)
        if depth is None or hops <= depth
        if wanted.search(addresses[operation]) or wanted.search(operation.type)
    ]


def describe(operation: tf.Operation, address: str, hops: int | None = None) -> Match:
    """Describe an operation for a listing."""
    return Match(
        address=address,
        type=operation.type,
        hops=hops,
        dtypes=[output.dtype.name for output in operation.outputs],
        shapes=[
            None if output.shape.rank is None else tuple(output.shape.as_list())
            for output in operation.outputs
        ],
    )


def _go_upstream(trace: Trace, start: Sequence[tf.Operation]) -> Iterator[tuple[tf.Operation, int]]:
    pending = deque((operation, 0) for operation in dict.fromkeys(start))
    seen = {operation for operation, _ in pending}
    while pending:
        operation, hops = pending.popleft()
        yield operation, hops
        inside = open_functions(trace, operation)
        before = [tensor.op for graph in inside for tensor in graph.outputs]
        before += [tensor.op for tensor in operation.inputs]
        for other in [*before, *_go_outside(trace, operation)]:
            if other not in seen:
                seen.add(other)
                pending.append((other, hops + 1))


def _as_listed(trace: Trace, operation: tf.Operation) -> tf.Operation:
    """Give an operation that was recorded in a function as the one that listings name."""
    way = trace.find_way(operation.graph)
    graph = trace.open_function(way[-1].function) if way else None
    if graph is None or operation.graph is trace.graph:
        return operation
    try:
        return graph.get_operation_by_name(operation.name)
    except KeyError:  # an argument, which has a name of its own there
        return operation


def _go_outside(trace: Trace, operation: tf.Operation) -> list[tf.Operation]:
    """Give what is passed for a function's argument, and what a loop passes on for it."""
    graph = operation.graph
    if graph is trace.graph or operation.type != "Placeholder":
        return []
    way = trace.find_way(graph) or ()
    numbers = [n for n, argument in enumerate(graph.inputs) if argument.op is operation]
    around = trace.open_function(way[-2].function) if len(way) > 1 else trace.graph
    if not way or not numbers or around is None:
        return []
    runner = around.get_operation_by_name(way[-1].node)
    # A branch's first input chooses it, and isn't passed on.
    given = [runner.inputs[numbers[0] + (runner.type in BRANCHES)].op]
    return [*given, graph.outputs[numbers[0]].op] if runner.type in LOOPS else given


def _name_all(trace: Trace) -> dict[tf.Operation, str]:
    """Give every operation its address, inside the innermost call of the graph that made it."""
    operations = trace.graph.get_operations()
    owners: list[TracedCall | None] = [None] * len(operations)
    for call in trace.calls:  # the enclosing ones first
        if call.graph is trace.graph and not call.is_input:
            owners[slice(*call.span)] = [call] * (call.span[1] - call.span[0])
    addresses = {}
    for owner, run in itertools.groupby(zip(owners, operations, strict=True), itemgetter(0)):
        scope = f"{owner.scope}/" if owner is not None and owner.scope else ""
        place = f"{owner.address}//" if owner is not None else "//"
        for entry in walk(trace, [operation for _, operation in run], scope, ""):
            addresses[entry.operation] = place + entry.name
    return addresses
