"""Let a graph take values in the place of what it reads from variables."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from kprobe.graphdef.functions import BRANCHES, CALLS, Body, Functions, passed_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tensorflow as tf

# The types of operations that are changed.
_TAKERS = {"ReadVariableOp", *CALLS, *BRANCHES}
_VALUE = "kprobe_value/"


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
    _Freezing(definition).run(
        Body(definition), {edge: (values[edge], variables[edge]) for edge in values}
    )
    return values


class _Freezing:
    """Values in the place of variables, by the handles that they stand for."""

    def __init__(self, definition: tf.compat.v1.GraphDef) -> None:
        self._functions = Functions(definition)

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
        taken = {n: values[edge] for n, edge in enumerate(passed_on(node)) if edge in values}
        if taken:
            change = partial(self._change, taken)
            self._functions.pass_on(node, list(taken.values()), change)

    def _change(
        self,
        taken: Mapping[int, tuple[str, tf.DType]],
        _attr: str,
        _name: str,
        body: Body,
        given: list[str],
    ) -> None:
        """Let a function take the values of some of its arguments as further ones."""
        handles = body.arguments
        values = {
            handles[number]: (edge, dtype)
            for (number, (_, dtype)), edge in zip(taken.items(), given, strict=True)
        }
        renamed = self.run(body, values)
        for node in body.nodes:
            node.input[:] = [renamed.get(edge, edge) for edge in node.input]
        for result, edge in body.owner.ret.items():
            body.owner.ret[result] = renamed.get(edge, edge)
