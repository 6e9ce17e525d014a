"""Bring tensors out of loops, branches and functions into the graph around them.

A loop's body, a branch or a function is a function of the graph's library; its tensors can't be
fetched. Here the node that runs it, and every function on the way to the tensor, gets one more
argument and result: a list that the body pushes the tensor's value to. The changed functions are
new ones, under new names.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

# The attributes of nodes that name functions they run.
LOOPS = {"While", "StatelessWhile"}
BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase"}
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_FUNCTIONS = {
    **dict.fromkeys(LOOPS, ("body",)),
    **dict.fromkeys(BRANCHES, ("then_branch", "else_branch", "branches")),
    **dict.fromkeys(CALLS, ("f",)),
}
_COMPILED = "_XlaMustCompile"
# The types of operations that run functions.
RUNNERS = frozenset(_FUNCTIONS)
# New functions are called after those they were made from. The numbers go on for the whole
# process, since TensorFlow knows functions by name.
_LIFTED = "__lifted_"
_PREFIX = "lifted/"
_numbers = itertools.count()


@dataclass(frozen=True)
class Entry:
    """The way into a function: the node that runs it, and which of the node's functions it is.

    Attributes:
        node: The node's name, in the graph or function it stands in.
        function: The function's name.
    """

    node: str
    function: str


def find_ways(
    definition: tf.compat.v1.GraphDef, skipped: Mapping[str, Collection[str]]
) -> dict[str, tuple[Entry, ...] | None]:
    """Give, for every function that nodes of a graph run, the way to it from the graph.

    Args:
        definition: The graph and its library.
        skipped: The names of nodes that don't count, by function name, "" for the graph's own.

    Returns:
        By function name, the entries from the outermost inwards; None for a function that is
        run in several places, whose tensors have several values.
    """
    library = {f.signature.name: f for f in definition.library.function}
    ways: dict[str, tuple[Entry, ...] | None] = {}

    def walk(body: str, nodes: Any, way: tuple[Entry, ...] | None) -> None:
        for node in nodes:
            for name in () if node.name in skipped[body] else run_by(node):
                if name not in library or ways.get(name, ()) is None:
                    continue
                once = way is not None and name not in ways
                ways[name] = (*way, Entry(node.name, name)) if way is not None and once else None
                walk(name, library[name].node_def, ways[name])

    walk("", definition.node, ())
    return ways


def lift(
    definition: tf.compat.v1.GraphDef, way: Sequence[Entry], tensor: tf.Tensor, number: int
) -> str:
    """Change a graph so that it gives the value of a tensor inside one of its functions.

    Args:
        definition: The graph; nodes and functions are added, and nodes on the way changed.
        way: How the graph gets to the function.
        tensor: A tensor of the function's graph.
        number: What `find_lifted` is to give for errors in what is added here.

    Returns:
        The edge that gives the value: of a tensor in a loop, all iterations stacked along a new
        first axis, one for each loop in loops; of one in a branch, a first axis of length 1, or
        0 where the branch wasn't taken.
    """
    return _Lift(definition, tensor, f"{_PREFIX}{number}/").run(list(way))


class _Lift:
    def __init__(self, definition: tf.compat.v1.GraphDef, tensor: tf.Tensor, prefix: str) -> None:
        self._definition = definition
        self._prefix = prefix
        self._library = {f.signature.name: f for f in definition.library.function}
        self._tensor = tensor
        self._dtype = tensor.dtype
        self._kinds: list[str] = []
        rank = tensor.shape.rank
        self._shape = None if rank is None else tensor.shape.as_list()

    def run(self, way: list[Entry]) -> str:
        graph = Body(self._definition.node, in_function=False, prefix=self._prefix)
        start = self._add_list(graph)
        end = self._thread(graph, way, start)
        if any(op in BRANCHES for op in itertools.takewhile(_is_no_loop, self._kinds)):
            return self._add_stack(graph, end)
        # It ran exactly once: the list has one value.
        return graph.add(
            "TensorListGetItem",
            [end, graph.add_constant(0), graph.add_constant(-1)],
            "item",
            element_dtype=self._dtype,
        )

    def _thread(self, body: Body, way: list[Entry], values: str) -> str:
        """Add to a body what pushes the tensor's value to a list; give the list afterwards."""
        if not way:
            return self._push(body, values, self._edge_inside(body))
        entry = way[0]
        node = body.find(entry.node)
        self._kinds.append(node.op)
        if node.op in LOOPS:
            self._change(node, entry, way[1:], self._add_list(body))
            stacked = self._add_stack(body, body.output(node, len(node.attr["T"].list.type) - 1))
            self._shape = None if self._shape is None else [None, *self._shape]
            return self._push(body, values, stacked)
        self._change(node, entry, way[1:], values)
        return body.output(node, len(node.attr["Tout"].list.type) - 1)

    def _change(self, node: Any, entry: Entry, way: list[Entry], values: str) -> None:
        """Give a node, and the functions it runs, the list as one more argument and result."""
        add_argument(node, values, tf.variant)
        if node.op not in LOOPS:
            node.attr["Tout"].list.type.append(tf.variant.as_datatype_enum)
            if "output_shapes" in node.attr and node.attr["output_shapes"].list.shape:
                node.attr["output_shapes"].list.shape.add()
        for attr, function in functions_of(node):
            inside = _original(function.name) == entry.function
            function.name = self._copy(function.name, way if inside else None, gives=attr != "cond")
        # XLA can't compile lists, so that what runs through it is run without (`jit_compile`).
        node.attr.pop(_COMPILED, None)

    def _copy(self, name: str, way: list[Entry] | None, gives: bool) -> str:
        """Copy a function with the list as its last argument, and where asked its last result."""
        function = self._definition.library.function.add()
        function.CopyFrom(self._library[name])
        function.attr.pop(_COMPILED, None)
        number = next(_numbers)
        function.signature.name = f"{_original(name)}{_LIFTED}{number}"
        self._library[function.signature.name] = function
        argument = function.signature.input_arg.add()
        argument.name, argument.type = f"lifted_{number}", tf.variant.as_datatype_enum
        if gives:
            nodes = function.node_def
            body = Body(nodes, in_function=True, function=function, prefix=self._prefix)
            after = argument.name if way is None else self._thread(body, way, argument.name)
            result = function.signature.output_arg.add()
            result.name, result.type = f"result_{number}", tf.variant.as_datatype_enum
            function.ret[result.name] = after
        return str(function.signature.name)

    def _add_list(self, body: Body) -> str:
        return body.add(
            "EmptyTensorList",
            [body.add_constant(-1), body.add_constant(-1)],
            "handle",
            element_dtype=self._dtype,
            shape_type=tf.int32,
        )

    def _add_stack(self, body: Body, values: str) -> str:
        if self._shape is None:
            shape = body.add_constant(-1)
        else:
            # An empty list can be stacked only where the shape is known: unknown sizes, else
            # -1, are 0 then.
            length = body.add("TensorListLength", [values], "length")
            empty = body.add("Equal", [length, body.add_constant(0)], "z", T=tf.int32)
            number = body.add("Cast", [empty], "y", SrcT=tf.bool, DstT=tf.int32)
            unknown = body.add_constant([int(size is None) for size in self._shape])
            known = body.add_constant([-1 if size is None else size for size in self._shape])
            raised = body.add("Mul", [unknown, number], "z", T=tf.int32)
            shape = body.add("AddV2", [known, raised], "z", T=tf.int32)
        return body.add(
            "TensorListStack",
            [values, shape],
            "tensor",
            element_dtype=self._dtype,
            num_elements=-1,
        )

    def _push(self, body: Body, values: str, value: str) -> str:
        return body.add(
            "TensorListPushBack", [values, value], "output_handle", element_dtype=self._dtype
        )

    def _edge_inside(self, body: Body) -> str:
        """The tensor as its function names it: an argument, or `node:result:number`."""
        tensor, graph = self._tensor, self._tensor.graph
        for argument, given in zip(body.arguments, graph.inputs, strict=False):
            if given is tensor:
                return str(argument)
        before = tensor.value_index
        for result in tensor.op.op_def.output_arg:
            if result.number_attr:
                count = tensor.op.get_attr(result.number_attr)
            elif result.type_list_attr:
                count = len(tensor.op.get_attr(result.type_list_attr))
            else:
                count = 1
            if before < count:
                return f"{tensor.op.name}:{result.name}:{before}"
            before -= count
        raise AssertionError(tensor)


class Body:
    """The nodes of a graph or of a function, which write the edges between them differently."""

    def __init__(
        self, nodes: Any, *, in_function: bool, function: Any = None, prefix: str = _PREFIX
    ) -> None:
        self.nodes = nodes
        self._prefix = prefix
        self._in_function = in_function
        self.arguments = [a.name for a in function.signature.input_arg] if function else []

    def find(self, name: str) -> Any:
        """Give a node by its name."""
        return {node.name: node for node in self.nodes}[name]

    def output(self, node: Any, number: int) -> str:
        """Give the edge of an output of a node that runs functions."""
        return f"{node.name}:output:{number}" if self._in_function else f"{node.name}:{number}"

    def add(
        self, op: str, inputs: list[str], result: str, name: str | None = None, **attrs: Any
    ) -> str:
        """Add a node, and give the edge of its output, which is called `result`."""
        node = self.nodes.add()
        node.name, node.op = name or f"{self._prefix}{op}_{next(_numbers)}", op
        node.input[:] = inputs
        for key, value in attrs.items():
            if isinstance(value, tf.DType):
                node.attr[key].type = value.as_datatype_enum
            elif isinstance(value, bool):
                node.attr[key].b = value
            else:
                node.attr[key].i = value
        return f"{node.name}:{result}:0" if self._in_function else str(node.name)

    def add_constant(self, value: float | list[int], dtype: tf.DType = tf.int32) -> str:
        """Add a constant and give its edge."""
        edge = self.add("Const", [], "output", dtype=dtype)
        proto = tf.make_tensor_proto(np.asarray(value, dtype.as_numpy_dtype))
        self.nodes[-1].attr["value"].tensor.CopyFrom(proto)
        return edge


def add_argument(node: Any, edge: str, dtype: tf.DType) -> None:
    """Give a node that runs functions one more argument; a loop gives it as a result, too."""
    data = [edge for edge in node.input if not edge.startswith("^")]
    control = [edge for edge in node.input if edge.startswith("^")]
    node.input[:] = [*data, edge, *control]
    node.attr["T" if node.op in LOOPS else "Tin"].list.type.append(dtype.as_datatype_enum)
    if node.op in LOOPS and "output_shapes" in node.attr and node.attr["output_shapes"].list.shape:
        node.attr["output_shapes"].list.shape.add()


def find_lifted(message: str) -> int | None:
    """Give the number of the tensor whose iterations couldn't be stacked, from an error.

    None for other errors. A function that was put in the place of its call has its name in front.
    """
    match = re.search(rf"node (?:\S*/)?{_PREFIX}(\d+)/TensorListStack", message)
    return int(match[1]) if match else None


def _original(name: str) -> str:
    """The name of the function that a changed one was made from."""
    return re.sub(rf"{_LIFTED}\d+$", "", name)


def _is_no_loop(op: str) -> bool:
    return op not in LOOPS


def run_by(node: Any) -> Iterator[str]:
    """Give the names of the functions that a node runs, a loop's condition left out."""
    return (function.name for attr, function in functions_of(node) if attr != "cond")


def functions_of(node: Any) -> Iterator[tuple[str, Any]]:
    """Give the functions that a node names, each with the attribute that does.

    Changing the `name` of what is given changes the node.
    """
    for attr in (*_FUNCTIONS.get(node.op, ()), "cond"):
        if attr in node.attr:
            value = node.attr[attr]
            yield from ((attr, function) for function in value.list.func)
            if value.func.name:
                yield attr, value.func


def nodes_run(definition: tf.compat.v1.GraphDef) -> Iterator[Any]:
    """Give the nodes of a graph and of all functions that it runs, each once."""
    library = {function.signature.name: function for function in definition.library.function}
    seen: set[str] = set()
    pending = [definition.node]
    while pending:
        for node in pending.pop():
            yield node
            names = {function.name for _, function in functions_of(node)} & set(library) - seen
            seen |= names
            pending += [library[name].node_def for name in names]
