"""Bring tensors out of loops, branches and functions into the graph around them.

The tensors of a function can't be fetched. Here the node that runs it, and every function on the
way to the tensor, gets one more argument and result: a list that the body pushes the tensor's value
to.
"""

from __future__ import annotations

import itertools
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.graphdef.functions import BRANCHES, LOOPS, Body, Functions, add_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.graphdef.functions import Entry

_COMPILED = "_XlaMustCompile"
_PREFIX = "lifted/"


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
        self._graph = Body(definition, prefix)
        self._functions = Functions(definition, prefix)
        self._tensor = tensor
        self._dtype = tensor.dtype
        self._kinds: list[str] = []
        rank = tensor.shape.rank
        self._shape = None if rank is None else tensor.shape.as_list()

    def run(self, way: list[Entry]) -> str:
        graph = self._graph
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
        if node.op not in LOOPS:
            add_result(node, tf.variant)
        change = partial(self._change_function, entry, way)
        self._functions.pass_on(node, [(values, tf.variant)], change)
        # XLA can't compile lists, so that what runs through it is run without (`jit_compile`).
        node.attr.pop(_COMPILED, None)

    def _change_function(
        self, entry: Entry, way: list[Entry], attr: str, name: str, body: Body, values: list[str]
    ) -> None:
        body.owner.attr.pop(_COMPILED, None)
        if attr != "cond":
            after = self._thread(body, way, values[0]) if name == entry.function else values[0]
            body.add_result(after, tf.variant)

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


def find_lifted(message: str) -> int | None:
    """Give the number of the tensor whose iterations couldn't be stacked, from an error.

    None for other errors. A function that was put in the place of its call has its name in front.
    """
    match = re.search(rf"node (?:\S*/)?{_PREFIX}(\d+)/TensorListStack", message)
    return int(match[1]) if match else None


def _is_no_loop(op: str) -> bool:
    return op not in LOOPS
