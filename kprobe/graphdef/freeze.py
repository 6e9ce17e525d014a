"""Let a graph take values in the place of what it reads from variables."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from kprobe.graphdef.lift import BRANCHES, CALLS, Body, add_argument, functions_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tensorflow as tf

# The types of operations that are changed.
_TAKERS = {"ReadVariableOp", *CALLS, *BRANCHES}
_VALUE = "kprobe_value/"
_FROZEN = "__frozen_"
_numbers = itertools.count()


def freeze(definition: tf.compat.v1.GraphDef, variables: Mapping[str, tf.DType]) -> dict[str, str]:
    """Change a graph so that it takes the values of variables, instead of reading them.

    Given as constants, they freeze it. `convert_variables_to_constants_v2` does as much, and copies
    the whole graph in Python twice: it takes longer than tracing the model. Here what loops read is
    left to be read: nothing can be folded across iterations.

    Args:
        definition: The graph; its nodes are changed, and functions added.
        variables: The dtypes of variables, by the edges that give their handles.

    Returns:
        By the edges of handles, the edges of the values to be supplied.
    """
    taken = {edge for node in definition.node if node.op in _TAKERS for edge in node.input}
    values = {edge: f"{_VALUE}{edge.replace(':', '_')}" for edge in variables if edge in taken}
    body = Body(definition.node, in_function=False)
    _Freezing(definition).run(body, {edge: (values[edge], variables[edge]) for edge in values})
    return values


class _Freezing:
    """Values in the place of variables, by the handles that they stand for."""

    def __init__(self, definition: tf.compat.v1.GraphDef) -> None:
        self._definition = definition
        self._library = {f.signature.name: f for f in definition.library.function}

    def run(self, body: Body, values: Mapping[str, tuple[str, tf.DType]]) -> dict[str, str]:
        """Change the nodes of a body, and give the new names of edges that have others now."""
        renamed = {}
        for node in list(body.nodes):
            if node.op == "ReadVariableOp" and node.input[0] in values:
                node.op = "Identity"
                node.input[0], dtype = values[node.input[0]]
                node.attr.clear()
                node.attr["T"].type = dtype.as_datatype_enum
                renamed[f"{node.name}:value:0"] = f"{node.name}:output:0"
            elif node.op in CALLS | BRANCHES:
                self._pass_on(node, values)
        return renamed

    def _pass_on(self, node: Any, values: Mapping[str, tuple[str, tf.DType]]) -> None:
        """Give a node that runs functions the values as more arguments, besides the handles."""
        # A branch's first input chooses it, and isn't passed on.
        given = list(node.input[1:] if node.op in BRANCHES else node.input)
        taken = {n: values[edge] for n, edge in enumerate(given) if edge in values}
        if taken:
            for edge, dtype in taken.values():
                add_argument(node, edge, dtype)
            for _, function in functions_of(node):
                function.name = self._copy(function.name, {n: d for n, (_, d) in taken.items()})

    def _copy(self, name: str, taken: Mapping[int, tf.DType]) -> str:
        """Copy a function with the values of some of its arguments as further ones."""
        function = self._definition.library.function.add()
        function.CopyFrom(self._library[name])
        function.signature.name = f"{name}{_FROZEN}{next(_numbers)}"
        values = {}
        for number, dtype in taken.items():
            argument = function.signature.input_arg.add()
            argument.name, argument.type = f"frozen_{next(_numbers)}", dtype.as_datatype_enum
            values[function.signature.input_arg[number].name] = (argument.name, dtype)
        body = Body(function.node_def, in_function=True, function=function)
        renamed = self.run(body, values)
        for node in function.node_def:
            node.input[:] = [renamed.get(edge, edge) for edge in node.input]
        for result, edge in function.ret.items():
            function.ret[result] = renamed.get(edge, edge)
        return str(function.signature.name)
