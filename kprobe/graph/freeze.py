"""Put constants in the place of what a graph reads from variables."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.graph.lift import BRANCHES, CALLS, Body, add_argument, functions_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

# The types of operations that are changed.
_TAKERS = {"ReadVariableOp", *CALLS, *BRANCHES}
_FROZEN = "__frozen_"
_numbers = itertools.count()


def freeze(definition: tf.compat.v1.GraphDef, values: Mapping[str, npt.NDArray[Any]]) -> None:
    """Change a graph so that it holds the values of variables, instead of reading them.

    `convert_variables_to_constants_v2` does as much, and copies the whole graph in Python twice:
    it takes longer than tracing the model. Here what loops read is left to be read: nothing can be
    folded across iterations.

    Args:
        definition: The graph; its nodes are changed, and functions added.
        values: The values of variables, by the edges that give their handles.
    """
    body = Body(definition.node, in_function=False)
    taken = {edge for node in definition.node if node.op in _TAKERS for edge in node.input}
    constants = {
        edge: (body.add_constant(value, tf.as_dtype(value.dtype)), tf.as_dtype(value.dtype))
        for edge, value in values.items()
        if edge in taken
    }
    _Freezing(definition).run(body, constants)


class _Freezing:
    """The constants, and what takes them, by the handles that they stand for."""

    def __init__(self, definition: tf.compat.v1.GraphDef) -> None:
        self._definition = definition
        self._library = {f.signature.name: f for f in definition.library.function}

    def run(self, body: Body, constants: Mapping[str, tuple[str, tf.DType]]) -> dict[str, str]:
        """Change the nodes of a body, and give the new names of edges that have others now."""
        renamed = {}
        for node in list(body.nodes):
            if node.op == "ReadVariableOp" and node.input[0] in constants:
                node.op = "Identity"
                node.input[0], dtype = constants[node.input[0]]
                node.attr.clear()
                node.attr["T"].type = dtype.as_datatype_enum
                renamed[f"{node.name}:value:0"] = f"{node.name}:output:0"
            elif node.op in CALLS | BRANCHES:
                self._pass_on(node, constants)
        return renamed

    def _pass_on(self, node: Any, constants: Mapping[str, tuple[str, tf.DType]]) -> None:
        """Give a node that runs functions the constants as more arguments, besides the handles."""
        # A branch's first input chooses it, and isn't passed on.
        given = list(node.input[1:] if node.op in BRANCHES else node.input)
        taken = {n: constants[edge] for n, edge in enumerate(given) if edge in constants}
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
        constants = {}
        for number, dtype in taken.items():
            argument = function.signature.input_arg.add()
            argument.name, argument.type = f"frozen_{next(_numbers)}", dtype.as_datatype_enum
            constants[function.signature.input_arg[number].name] = (argument.name, dtype)
        body = Body(function.node_def, in_function=True, function=function)
        renamed = self.run(body, constants)
        for node in function.node_def:
            node.input[:] = [renamed.get(edge, edge) for edge in node.input]
        for result, edge in function.ret.items():
            function.ret[result] = renamed.get(edge, edge)
        return str(function.signature.name)
