"""Copy the functions restored from a SavedModel into a trace, and record the layers in them.

Called as they are, they would be nodes that run functions: what is inside could be fetched with
a detour and not be fed, and a function that is called twice would have two values for each tensor.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.compat.restored_calls import restored_calls_replaced
from kprobe.compat.tensorflow_names import (
    CAPTURE,
    CONTROL_OUTPUTS,
    FUNCTION_DEF_TO_GRAPH,
    VARIABLE_ACCESSED,
)
from kprobe.graphdef.functions import CALLS, functions_of, run_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kprobe.trace.recording.recorder import Recorder

# What tf_keras calls the function that runs a layer when it saves a model
# (tf_keras/src/saving/legacy/saved_model/save_impl.py, `wrap_layer_functions`).
_LAYER_CALL = re.compile(r"__inference_(.+)_layer_call_and_return_conditional_losses(_\d+)+")
# Under these names, which no operation has, a segment of a graph finds what lies outside of it.
_OUTSIDE = "outside"
# New functions are called after those they were made from. The numbers go on for the whole
# process, since TensorFlow knows functions by name.
_COPIED = "__copied_"
_numbers = itertools.count()


@dataclass(frozen=True)
class RestoredLayer:
    """A layer of which nothing is left but its call."""

    name: str
    weights: Sequence[Any] = ()


@contextlib.contextmanager
def restored_functions_copied(recorder: Recorder) -> Iterator[None]:
    """Inside the block, copy what restored functions hold into the graph that calls them.

    Args:
        recorder: Hears of the layer calls in them.
    """
    with restored_calls_replaced(lambda function, given: copy_function(function, given, recorder)):
        yield


def copy_function(function: Any, given: Sequence[tf.Tensor], recorder: Recorder) -> list[tf.Tensor]:
    """Copy the operations of a concrete function into the current graph.

    Those of the functions that it calls come along, in place of the calls; loops and branches
    stay what they are. Names are kept as far as they are free.

    Args:
        function: A concrete function, restored from a SavedModel.
        given: Its arguments, then what it captures.
        recorder: Hears of the layer calls in it.

    Returns:
        The function's results, flat.
    """
    graph = tf.compat.v1.get_default_graph()
    tell_graph = VARIABLE_ACCESSED.find()
    for variable in function.graph.variables:
        tell_graph(variable)  # so that the graph knows it by more than its handle
    library = function.graph.as_graph_def().library
    tf.graph_util.import_graph_def(tf.compat.v1.GraphDef(library=library), name="")
    capture = CAPTURE.find(graph)
    copier = _Copier(graph, {f.signature.name: f for f in library.function}, recorder)
    results, _ = copier.copy(function.graph, [capture(tensor) for tensor in given], [])
    return results


class _Copier:
    """Copies graphs of functions, and of those they call, into one."""

    def __init__(self, target: tf.Graph, library: Mapping[str, Any], recorder: Recorder) -> None:
        self._target = target
        self._library = library
        self._recorder = recorder

    def copy(
        self, source: tf.Graph, given: Sequence[tf.Tensor], before: Sequence[tf.Operation]
    ) -> tuple[list[tf.Tensor], list[tf.Operation]]:
        """Copy a function's graph, from its arguments on.

        Returns:
            The function's results, and the operations that are to have run when it has.
        """
        body = _Body(self._target, source, given, before, self._give_own_functions)
        operations = body.operations
        # A loop of TensorFlow 1 goes round in the graph, which can't be cut in two there.
        in_one = any(operation.type == "NextIteration" for operation in operations)
        segment: list[tf.Operation] = []
        for operation in operations:
            if in_one or operation.type not in CALLS or self._open(operation) is None:
                segment.append(operation)
                continue
            body.add(segment)
            segment = []
            self._copy_call(body, operation)
        body.add(segment)
        last = body.after(CONTROL_OUTPUTS.read(source, ()))
        return [body.tensors[tensor.name] for tensor in source.outputs], last

    def _give_own_functions(self, node: Any) -> list[Any]:
        """Give a node functions that no other runs, so that each tensor in them has one value.

        Returns:
            The functions.
        """
        made: list[Any] = []
        for _, named in functions_of(node):
            if named.name in self._library:
                function = type(self._library[named.name])()
                function.CopyFrom(self._library[named.name])
                named.name = f"{named.name}{_COPIED}{next(_numbers)}"
                function.signature.name = named.name
                made.append(function)
                for inside in function.node_def:
                    made += self._give_own_functions(inside)
        return made

    def _open(self, operation: tf.Operation) -> Any:
        return self._library.get(next(run_by(operation.node_def)))

    def _copy_call(self, body: _Body, operation: tf.Operation) -> None:
        function = self._open(operation)
        given = [body.tensors[tensor.name] for tensor in operation.inputs]
        before = [*body.before, *body.after(operation.control_inputs)]
        last: list[tf.Operation] = []

        def run(*_: Any) -> list[tf.Tensor]:
            results, after = self.copy(FUNCTION_DEF_TO_GRAPH.find()(function), given, before)
            last.extend(after)
            return results

        # Without the call's own name, so that operations are called as in the model once saved.
        scope = "/".join(filter(None, [body.scope, operation.name.rpartition("/")[0]]))
        with tf.name_scope(f"{scope}/" if scope else ""):
            match = _LAYER_CALL.fullmatch(function.signature.name)
            results = self._run_layer(match[1], run, given) if match else run()
        body.put(operation, results, last)

    def _run_layer(
        self, name: str, run: Callable[..., list[tf.Tensor]], given: Sequence[tf.Tensor]
    ) -> list[tf.Tensor]:
        losses: list[tf.Tensor] = []

        def call(_: Any) -> Any:
            outputs = run()
            # The layer's regularization losses come behind its outputs.
            while len(outputs) > 1 and outputs[-1].shape.rank == 0:
                losses.insert(0, outputs.pop())
            return outputs[0] if len(outputs) == 1 else outputs

        data = [tensor for tensor in given if tensor.dtype not in (tf.resource, tf.variant)]
        layer = self._find_layer(name)
        outputs = self._recorder.run(layer, call, (data,), {}, scoped=True)
        return [*tf.nest.flatten(outputs), *losses]

    def _find_layer(self, name: str) -> Any:
        """Find the layer that a call is of among those inside the layer that makes the call."""
        around = self._recorder.innermost
        inside = FLATTEN_LAYERS.find(around)() if FLATTEN_LAYERS.is_in(around) else ()
        return next((layer for layer in inside if layer.name == name), RestoredLayer(name))


class _Body:
    """A function's body on its way into another graph.

    Attributes:
        scope: The name scope that it comes into.
        before: The operations that are to have run before it runs.
        tensors: What stands for each tensor, by its name in the function.
        operations: What is to be copied.
    """

    def __init__(
        self,
        target: tf.Graph,
        source: tf.Graph,
        given: Sequence[tf.Tensor],
        before: Sequence[tf.Operation],
        give_own_functions: Callable[[Any], list[Any]],
    ) -> None:
        self.scope = target.get_name_scope()
        self.before = before
        self.tensors = {t.name: g for t, g in zip(source.inputs, given, strict=True)}
        arguments = {tensor.op.name for tensor in source.inputs}
        self.operations = [op for op in source.get_operations() if op.name not in arguments]
        self._target = target
        self._give_own_functions = give_own_functions
        self._versions = source.graph_def_versions
        self._after: dict[str, Sequence[tf.Operation]] = {name: [] for name in arguments}

    def put(
        self,
        operation: tf.Operation,
        outputs: Sequence[tf.Tensor],
        last: Sequence[tf.Operation],
    ) -> None:
        """Say what stands for an operation, and what has to have run when it has."""
        for tensor, output in zip(operation.outputs, outputs, strict=True):
            # What a table gives, for one, isn't told by what it takes.
            output.set_shape(tensor.shape)
            self.tensors[tensor.name] = output
        self._after[operation.name] = last

    def after(self, operations: Iterable[tf.Operation]) -> list[tf.Operation]:
        """Give what has to have run after some operations."""
        return [op for operation in operations for op in self._after[operation.name]]

    def add(self, operations: Sequence[tf.Operation]) -> None:
        """Copy operations, whose inputs are among them or were copied already."""
        if not operations:
            return
        names = {op.name: self._target.unique_name(op.name) for op in operations}
        definition = tf.compat.v1.GraphDef(versions=self._versions)
        given: dict[str, tf.Tensor] = {}

        def bring(tensor: tf.Tensor, kind: str = "") -> str:
            edge = f"{kind}{_OUTSIDE}/{len(given)}"
            given[edge] = tensor
            return edge

        for operation in operations:
            node = operation.node_def
            node.name = names[operation.name]
            node.input[:] = [
                f"{names[tensor.op.name]}:{tensor.value_index}"
                if tensor.op.name in names
                else bring(self.tensors[tensor.name])
                for tensor in operation.inputs
            ]
            outside = [op for op in operation.control_inputs if op.name not in names]
            inside = [op for op in operation.control_inputs if op.name in names]
            node.input.extend(f"^{names[op.name]}" for op in inside)
            leads = not inside and not any(t.op.name in names for t in operation.inputs)
            waits_for = [*self.after(outside), *(self.before if leads else ())]
            if waits_for:
                with self._target.control_dependencies(waits_for):
                    node.input.append(bring(tf.constant(0, name="after"), "^"))
            # It may name a node that isn't copied along.
            node.attr.pop("_class", None)
            if "shared_name" in node.attr and not node.attr["shared_name"].s:
                # A variable or table of TensorFlow 1 goes by its node's name then.
                node.attr["shared_name"].s = operation.name.encode()
            definition.library.function.extend(self._give_own_functions(node))
            definition.node.append(node)
        tf.graph_util.import_graph_def(definition, input_map=given, name="")
        for operation in operations:
            copied = self._target.get_operation_by_name(names[operation.name])
            self.put(operation, copied.outputs, [copied])
