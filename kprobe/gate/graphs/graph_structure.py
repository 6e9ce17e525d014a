"""Find graphs of TensorFlow that are small in a file and endless in memory: calls and constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.gate.graphs.calls import find_circle, find_largest
from kprobe.gate.graphs.graph_types import HANDLES, MAX_AXES, STRING, TYPES, count_values
from kprobe.gate.graphs.operations import find_calls, read_operations
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kprobe.gate.graphs.operations import Call

# MobileNetV2 has 6,000 nodes, a BERT 50,000. All calls written out, they have twice as many.
MAX_NODES = 500_000
MAX_EXPANDED = 5_000_000
# Of constants that a file doesn't hold value by value, but as one value for all, in bytes. What an
# operation makes of a shape is told where it is planned, if it is needed.
MAX_FILLED = 2**29
_COMPLEX = ("scomplex_val", "dcomplex_val")
_CONSTANTS = {"Const", "HostConst"}


def count_operations(graph: Any) -> int:
    """Count the operations of a graph, and those of its functions."""
    return sum(len(body) for _, body in _list_bodies(graph))


def find_count_fault(graph: Any) -> Fault | None:
    """Find whether a graph has more operations than anything else looks at.

    Args:
        graph: A graph with its functions, as `kprobe.gate.graphs.saved_model_proto` has them.
    """
    nodes = count_operations(graph)
    if nodes <= MAX_NODES:
        return None
    text = f"has {nodes:,} operations, above the limit of {MAX_NODES:,}"
    return Fault("savedmodel-size", text)


def find_graph_faults(graph: Any, calls: Sequence[Call] | None = None) -> Iterator[Fault]:
    """Find what makes a graph larger in memory than it can be meant to be.

    Args:
        graph: A graph with its functions, as `kprobe.gate.graphs.saved_model_proto` has them.
        calls: What `find_calls` gives of it, where that is known.
    """
    yield from _find_call_faults(graph, find_calls(graph) if calls is None else calls)
    filled = 0
    for owner, body in _list_bodies(graph):
        for fault, size in _find_constant_faults(body):
            filled += size
            if fault is not None:
                yield Fault(fault.rule, fault.text, owner)
    if filled > MAX_FILLED:
        text = f"has constants of {filled:,} bytes that its file doesn't hold, each one value"
        yield Fault("savedmodel-size", text)


def _list_bodies(graph: Any) -> Iterator[tuple[str, Any]]:
    yield "", graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield f"function {show(function.signature.name)}", function.node_def


def _find_call_faults(graph: Any, found: Sequence[Call]) -> Iterator[Fault]:
    """Find functions that aren't there, that run themselves, or that many others run often."""
    library = graph.graph_def.library
    names = {function.signature.name for function in library.function}
    if len(names) < len(library.function) or "" in names:
        yield Fault("savedmodel-functions", "has two functions of one name, or one without a name")
        return
    if hidden := next((name for name in names if name in read_operations()), None):
        yield Fault("savedmodel-functions", f"has a function of an operation's name, {hidden}")
    own = {function.signature.name: len(function.node_def) for function in library.function}
    own[""] = len(graph.graph_def.node)
    calls: dict[str, list[str]] = {name: [] for name in own}
    for call in found:
        calls[call.body].append(call.function)
    for gradient in library.gradient:
        calls[""] += [gradient.function_name, gradient.gradient_func]
    for name, called in calls.items():
        if missing := next((each for each in called if each not in names), None):
            text = f"runs the function {show(missing)}, which isn't there"
            yield Fault("savedmodel-functions", text, f"function {show(name)}" if name else "")
            return
    if (circle := find_circle(calls)) is not None:
        text = f"has the function {show(circle)}, which runs itself"
        yield Fault("savedmodel-functions", text)
        return
    if find_largest(calls, own, MAX_EXPANDED) > MAX_EXPANDED:
        text = (
            f"runs more than {MAX_EXPANDED:,} operations, counted wherever its functions are called"
        )
        yield Fault("savedmodel-size", text)


def _find_constant_faults(body: Iterable[Any]) -> Iterator[tuple[Fault | None, int]]:
    """Give each constant's fault, if it has one, and how many bytes of it aren't in the file."""
    for node in body:
        if node.op in _CONSTANTS:
            if "value" in node.attr:
                yield _measure(node.name, node.attr["value"].tensor)
            else:
                text = f"has the constant {show(node.name)} without a value"
                yield Fault("savedmodel-damaged", text), 0


def _measure(name: str, tensor: Any) -> tuple[Fault | None, int]:
    """Judge a constant, and count how many bytes of it aren't in the file."""
    if tensor.dtype in HANDLES:
        text = f"has the constant {show(name)} of type {HANDLES[tensor.dtype]}, not of values"
        return Fault("savedmodel-damaged", text), 0
    if tensor.dtype not in TYPES:
        text = f"has the constant {show(name)} of an unknown type, number {tensor.dtype}"
        return Fault("savedmodel-damaged", text), 0
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or min(sizes, default=0) < 0 or len(sizes) > MAX_AXES:
        text = f"has the constant {show(name)} without a whole shape"
        return Fault("savedmodel-damaged", text), 0
    size, field = TYPES[tensor.dtype]
    count = count_values(sizes)
    stored = len(tensor.tensor_content)
    if stored:
        if tensor.dtype != STRING and stored != count * size:
            text = f"has the constant {show(name)} of {stored:,} bytes, but of {count:,} values"
            return Fault("savedmodel-damaged", text), 0
        return None, 0
    held = len(getattr(tensor, field)) // (2 if field in _COMPLEX else 1)
    if held > count:
        text = f"has the constant {show(name)} of {count:,} values, which holds {held:,}"
        return Fault("savedmodel-damaged", text), 0
    return None, (count - held) * size
