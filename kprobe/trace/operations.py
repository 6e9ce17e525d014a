"""The operations inside layer calls, under names relative to the call's own scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.addresses.globs import compile_glob
from kprobe.errors import AddressError, CommandText
from kprobe.graphdef.functions import RUNNERS, run_by
from kprobe.graphdef.liveness import is_in_vectorized_map
from kprobe.naming import find_nearest, join_nearest
from kprobe.trace.recording.composite import SCOPE
from kprobe.trace.recording.dropped import (
    FRAMED,
    FRAMED_HINT,
    SEVERAL,
    UNUSED,
    VECTORIZED,
    hint_at_vectorized,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kprobe.addresses.grammar import Address
    from kprobe.trace.trace import Trace, TracedCall


@dataclass(frozen=True, eq=False, slots=True)
class Operation:
    """An operation of a trace.

    Attributes:
        name: Its name relative to the call's scope; "map/while/Relu" for one in a loop's body.
        operation: The operation, in the trace's graph or in that of a loop, branch or function.
    """

    name: str
    operation: tf.Operation


def list_operations(
    trace: Trace, call: TracedCall | None, *, all_made: bool = False
) -> Iterator[Operation]:
    """Give the operations that a call created, those in loops, branches and functions included.

    Left out are those that neither the model's outputs nor a layer's depend on.

    Args:
        trace: The trace.
        call: The call; None for the whole graph, under its own names.
        all_made: Whether to give all the same those that are left out.
    """
    if call is None:
        operations = trace.graph.get_operations()
    else:
        operations = call.graph.get_operations()[slice(*call.span)]
    scope = f"{call.scope}/" if call is not None and call.scope else ""
    return walk(trace, operations, scope, "", all_made=all_made)


def find_operations(
    trace: Trace, call: TracedCall | None, address: Address
) -> list[tuple[str, tf.Tensor]]:
    """Look up the tensors of the operations that an address names inside a call.

    Returns:
        The address that names each tensor and nothing else, and the tensor.

    Raises:
        AddressError: There is no such operation or output.
    """
    place = f"{call.address if call else ''}//"
    if trace.function is None:
        raise AddressError(
            f"{place}{address.operation}: operations have no address where the model runs eagerly"
        )
    wanted = address.operation or ""
    # Not a list of them all: the garbage collector would go through the whole process.
    found = match_operations(list_operations(trace, call), wanted)
    if not found:
        made = match_operations(list_operations(trace, call, all_made=True), wanted)
        if made:
            raise _explain(place, made[0], call)
        alike = _nearest(wanted, list_operations(trace, call))
        near = join_nearest([place + name for name in alike])
        fault = f"{place}{wanted} names no operation"
        raise AddressError(
            f"{fault}; {near}" if near else fault,
            hint=None if near else f"{CommandText('ls MODEL', ['ops'])} lists them",
        )
    tensors = []
    for entry in found:
        outputs = entry.operation.outputs
        if address.number is not None and address.number >= len(outputs):
            if len(found) > 1:
                continue
            raise AddressError(
                f"{place}{entry.name} has {len(outputs)} outputs, and :{address.number} is none"
            )
        numbers = range(len(outputs)) if address.number is None else [address.number]
        for number in numbers:
            text = f"{place}{entry.name}" + (f":{number}" if len(outputs) > 1 else "")
            tensors.append((text, outputs[number]))
    reached = [
        (text, tensor)
        for text, tensor in tensors
        if trace.has_way(tensor.graph) and not trace.is_framed(tensor)
    ]
    if tensors and not reached:
        if trace.is_framed(tensors[0][1]):
            raise AddressError(f"{tensors[0][0]} {FRAMED}", hint=FRAMED_HINT)
        raise AddressError(f"{tensors[0][0]} {SEVERAL}")
    return [(text, tensor) for text, tensor in reached if _has_value(tensor)] or reached


def match_operations(listed: Iterable[Operation], wanted: str) -> list[Operation]:
    """Give the operations that a name or a glob means; in a glob `*` crosses slashes, too."""
    if "*" not in wanted and "?" not in wanted:
        return [entry for entry in listed if entry.name == wanted]
    pattern = compile_glob(wanted)
    found = [entry for entry in listed if pattern.fullmatch(entry.name)]
    # `*Suppression*` means the operation, not the constants among its arguments.
    return [entry for entry in found if not is_passive(entry.operation)] or found


def is_passive(operation: tf.Operation) -> bool:
    """Tell whether an operation computes nothing: a constant, an argument, a variable's value."""
    return operation.type in {"Const", "Placeholder", "ReadVariableOp"}


def _nearest(wanted: str, listed: Iterable[Operation]) -> list[str]:
    """Give up to three names of operations that look like a name or a glob."""
    names = [entry.name for entry in listed if not is_passive(entry.operation)]
    last = wanted.replace("*", "").replace("?", "").rpartition("/")[2].lower()
    holding = [name for name in names if last and last in name.lower()]
    by_end = {name.rpartition("/")[2].lower(): name for name in reversed(names)}
    alike = find_nearest(last, by_end, 3)
    return list(dict.fromkeys([*holding, *(by_end[end] for end in alike)]))[:3]


def walk(
    trace: Trace,
    operations: Sequence[tf.Operation],
    scope: str,
    shown: str,
    *,
    all_made: bool = False,
) -> Iterator[Operation]:
    """Name operations, and go into the functions that they run.

    Args:
        trace: The trace.
        operations: The operations of one graph.
        scope: What their names begin with, if it is to be replaced.
        shown: What it is replaced by, and what names that don't begin so are put behind.
        all_made: Whether to name those, too, that `list_operations` leaves out.
    """
    if operations and not all_made:
        live = trace.find_live(operations[0].graph)
        operations = [operation for operation in operations if operation in live]
    for operation in operations:
        full = str(operation.name)
        if SCOPE in full:
            continue
        # The bodies of loops keep the names of the graph around them; functions begin anew.
        name = shown + full.removeprefix(scope)
        yield Operation(name, operation)
        for graph in open_functions(trace, operation):
            inner = [op for op in graph.get_operations() if op.type != "Placeholder"]
            yield from walk(trace, inner, f"{full}/", f"{name}/", all_made=all_made)


def open_functions(trace: Trace, operation: tf.Operation) -> list[tf.Graph]:
    """Give the graphs of the functions that an operation runs, a loop's condition left out."""
    if operation.type not in RUNNERS:
        return []  # asking an operation for its node takes a third of a search
    graphs = [trace.open_function(name) for name in run_by(operation.node_def)]
    return [graph for graph in graphs if graph is not None]


def _explain(place: str, entry: Operation, call: TracedCall | None) -> AddressError:
    """Say why an operation that was made has no tensor to fetch."""
    if is_in_vectorized_map(entry.name):
        hint = hint_at_vectorized(call.address if call else "")
        return AddressError(f"{place}{entry.name} {VECTORIZED}", hint=hint)
    return AddressError(f"{place}{entry.name} {UNUSED}")


def _has_value(tensor: tf.Tensor) -> bool:
    """Tell what can be fetched from handles to variables and lists."""
    return tensor.dtype not in (tf.resource, tf.variant)
