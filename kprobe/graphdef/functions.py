"""The functions in a GraphDef's library: which nodes run them, and changed copies of them.

A loop's body, a branch or a function is a function of the graph's library. Where it is to take or
give more than before, so are the node that runs it and every function around it; that is done with
copies under new names, since TensorFlow knows functions by their names.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

# The attributes of nodes that name functions they run.
LOOPS = {"While", "StatelessWhile"}
BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase"}
CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_FUNCTIONS = {
    **dict.fromkeys(LOOPS, ("body",)),
    **dict.fromkeys(BRANCHES, ("then_branch", "else_branch", "branches")),
    **dict.fromkeys(CALLS, ("f",)),
}
# The types of operations that run functions.
RUNNERS = frozenset(_FUNCTIONS)
# Copies are called after what they were made from. The numbers go on for the whole process.
_CHANGED = "__changed_"
_ADDED = "kprobe_added/"
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


class Body:
    """The nodes of a graph or of a function, which write the edges between them differently.

    Args:
        owner: The GraphDef, or FunctionDef.
        prefix: What the names of nodes begin with that are added.

    Attributes:
        owner: The same.
        nodes: Its nodes.
    """

    def __init__(self, owner: Any, prefix: str = _ADDED) -> None:
        self._in_function = hasattr(owner, "signature")
        self._prefix = prefix
        self.owner = owner
        self.nodes = owner.node_def if self._in_function else owner.node

    @property
    def arguments(self) -> list[str]:
        """The names of the function's arguments, which are edges inside of it."""
        return [argument.name for argument in self.owner.signature.input_arg]

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

    def add_argument(self, dtype: tf.DType) -> str:
        """Let the function take one more argument, and give its edge."""
        argument = self.owner.signature.input_arg.add()
        argument.name, argument.type = f"argument_{next(_numbers)}", dtype.as_datatype_enum
        return str(argument.name)

    def add_result(self, edge: str, dtype: tf.DType) -> None:
        """Let the function give one more result."""
        result = self.owner.signature.output_arg.add()
        result.name, result.type = f"result_{next(_numbers)}", dtype.as_datatype_enum
        self.owner.ret[result.name] = edge


class Functions:
    """The functions of a graph, by name, among them the changed copies that are made.

    Args:
        definition: The graph; copies are added to its library.
        prefix: What the names of nodes begin with that are added to copies.
    """

    def __init__(self, definition: tf.compat.v1.GraphDef, prefix: str = _ADDED) -> None:
        self._definition = definition
        self._prefix = prefix
        self._by_name = by_name(definition)

    def nodes(self, name: str) -> Sequence[Any]:
        """Give the nodes of a function; none of one that the library doesn't have."""
        return self._by_name[name].node_def if name in self._by_name else ()

    def pass_on(
        self,
        node: Any,
        given: Sequence[tuple[str, tf.DType]],
        change: Callable[[str, str, Body, list[str]], None],
    ) -> None:
        """Give a node that runs functions more arguments, and let it run changed copies of them.

        Args:
            node: The node. A loop gives the arguments as results, too.
            given: The edge and dtype of each argument.
            change: Changes a copy. It is called with the attribute that names the function, the
                function's name before all changes, the copy, and the edges of the arguments in it.
        """
        for edge, dtype in given:
            _add_argument(node, edge, dtype)
        for attr, function in functions_of(node):
            body = self._copy(function.name)
            arguments = [body.add_argument(dtype) for _, dtype in given]
            change(attr, _original(function.name), body, arguments)
            function.name = body.owner.signature.name

    def _copy(self, name: str) -> Body:
        function = self._definition.library.function.add()
        function.CopyFrom(self._by_name[name])
        function.signature.name = f"{_original(name)}{_CHANGED}{next(_numbers)}"
        self._by_name[function.signature.name] = function
        return Body(function, self._prefix)


def _original(name: str) -> str:
    """The name of the function that a changed one was made from."""
    return re.sub(rf"{_CHANGED}\d+$", "", name)


def _add_argument(node: Any, edge: str, dtype: tf.DType) -> None:
    data = [edge for edge in node.input if not edge.startswith("^")]
    control = [edge for edge in node.input if edge.startswith("^")]
    node.input[:] = [*data, edge, *control]
    node.attr["T" if node.op in LOOPS else "Tin"].list.type.append(dtype.as_datatype_enum)
    if node.op in LOOPS:
        _add_shape(node)


def add_result(node: Any, dtype: tf.DType) -> None:
    """Let a call or a branch give one more result, as the functions that it runs do."""
    node.attr["Tout"].list.type.append(dtype.as_datatype_enum)
    _add_shape(node)


def _add_shape(node: Any) -> None:
    if "output_shapes" in node.attr and node.attr["output_shapes"].list.shape:
        node.attr["output_shapes"].list.shape.add()


def by_name(definition: tf.compat.v1.GraphDef) -> dict[str, Any]:
    """Give the functions of a graph's library by name."""
    return {function.signature.name: function for function in definition.library.function}


def passed_on(node: Any) -> Sequence[str]:
    """Give the edges that a node passes to the functions that it runs."""
    # A branch's first input chooses it, and isn't passed on.
    return list(node.input[1:] if node.op in BRANCHES else node.input)


def node_of(edge: str) -> str:
    """Give the name of the node, or of the argument, that an edge comes from."""
    return edge.removeprefix("^").partition(":")[0]


def edge_of(tensor: tf.Tensor) -> str:
    """Give a tensor's name as a GraphDef writes it: without the number where that is 0."""
    return str(tensor.name).removesuffix(":0")


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
    library = by_name(definition)
    seen: set[str] = set()
    pending: list[Iterable[Any]] = [definition.node]
    while pending:
        for node in pending.pop():
            yield node
            names = {function.name for _, function in functions_of(node)} & set(library) - seen
            seen |= names
            pending += [library[name].node_def for name in names]


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
    library = by_name(definition)
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
