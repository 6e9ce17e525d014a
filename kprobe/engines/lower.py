"""Settle once which operations of a trace are in bfloat16, so that all that is cut out agrees.

TensorFlow's compiler chooses them by what lies around an operation, so the same one may be computed
in bfloat16 in the whole model, and in float32 in a part of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.compat.tensorflow_names import CAPTURE, CAPTURES, OPTIMIZE_GRAPH
from kprobe.engines.compiler import make_lowering
from kprobe.errors import ModelError
from kprobe.graphdef.draws import draws_inside
from kprobe.graphdef.functions import BRANCHES, LOOPS, Body, edge_of, node_of
from kprobe.subgraph.cut import find_edges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kprobe.trace.trace import Trace

_CAST = "-AutoMixedPrecision"


def lower(
    trace: Trace, tensors: Sequence[tf.Tensor]
) -> tuple[Trace, Callable[[tf.Tensor], tf.Tensor]]:
    """Give a trace whose operations are in bfloat16 wherever the compiler would have them so.

    As when it is run, functions are a part of the graph itself, and loops are TensorFlow 1's.

    Args:
        trace: The model's trace.
        tensors: What will be fetched or fed of it.

    Returns:
        The trace, whose calls have the tensors of the other one still; and what gives the tensor of
        it that stands for one of `tensors`, which may have another dtype.

    Raises:
        ModelError: The graph can't be changed so.
        KprobeError: The release of TensorFlow that is installed lacks what does it.
    """
    definition = trace.graph.as_graph_def()
    if draws_inside(definition):
        raise ModelError(
            "what is drawn at random in a loop or a function would be something else in bfloat16"
        )
    # What lies in a function is brought out of it before.
    edges = find_edges(trace, definition, tensors)
    copies = _copy(definition, edges, tensors)
    inputs = [edge_of(tensor) for tensor in trace.inputs.values()]
    lowered = _optimize(definition, [*copies, *inputs])
    captures = {edge_of(inner): outer for outer, inner in CAPTURES.find(trace.graph)}

    def run() -> None:
        capture = CAPTURE.find(tf.compat.v1.get_default_graph())
        given = {edge: capture(outer) for edge, outer in captures.items()}
        tf.graph_util.import_graph_def(lowered, input_map=given, name="")

    function = tf.compat.v1.wrap_function(run, [])
    graph = function.graph
    graph.variables = list(trace.graph.variables)
    originals = {
        id(tensor): _find_original(graph.get_operation_by_name(node_of(copy)))
        for tensor, copy in zip(tensors, copies, strict=True)
    }
    placeholders = {
        name: graph.get_tensor_by_name(tensor.name) for name, tensor in trace.inputs.items()
    }
    return replace(trace, function=function, inputs=placeholders), lambda t: originals[id(t)]


def _copy(
    definition: tf.compat.v1.GraphDef, edges: Sequence[str], tensors: Sequence[tf.Tensor]
) -> list[str]:
    """Add copies of tensors: what is fetched stays as it is, and the compiler may move the rest."""
    body = Body(definition)
    return [
        body.add("Identity", [edge], "output", T=tensor.dtype)
        for edge, tensor in zip(edges, tensors, strict=True)
    ]


def _find_original(operation: tf.Operation) -> tf.Tensor:
    """Give what a copy was made of, in the dtype that it is computed in."""
    tensor = operation.inputs[0]
    while tensor.op.type == "Cast" and tensor.op.name.endswith(_CAST):
        tensor = tensor.op.inputs[0]
    return tensor


def _optimize(definition: tf.compat.v1.GraphDef, fetched: Sequence[str]) -> tf.compat.v1.GraphDef:
    for nodes in (definition.node, *(f.node_def for f in definition.library.function)):
        for node in nodes:
            if node.op in LOOPS | BRANCHES:
                node.attr["_lower_using_switch_merge"].b = True
    meta = tf.compat.v1.MetaGraphDef()
    meta.graph_def.CopyFrom(definition)
    meta.collection_def["train_op"].node_list.value.extend(fetched)
    try:
        return OPTIMIZE_GRAPH.find()(make_lowering(), meta, verbose=False)
    except tf.errors.OpError as error:
        reason = str(error.message).splitlines()[0]
        raise ModelError(f"TensorFlow can't take it apart in bfloat16: {reason}") from error
