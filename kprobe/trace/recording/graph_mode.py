"""The trace of a model that was built with eager execution off: its session's graph, cut out.

Such a model can't be run anew, often not even its layers can. But all its tensors are there, in a
graph of TensorFlow 1. What the model's outputs depend on is copied into a function, in which every
operation keeps its name and every variable is one outside of sessions.
"""

from __future__ import annotations

import bisect
import contextlib
import importlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from kprobe.compat.eager_mode import when_switched_off
from kprobe.compat.keras_names import HISTORY, NODES_BY_DEPTH
from kprobe.compat.tensorflow_names import CAPTURE, CONTROL_FLOW_CONTEXT
from kprobe.errors import ModelError
from kprobe.graphdef.extract import extract
from kprobe.graphdef.functions import edge_of
from kprobe.graphdef.liveness import find_ancestors
from kprobe.trace.recording.graph_mode_variables import find_variables, take_values
from kprobe.trace.recording.recorder import Record
from kprobe.trace.recording.watch import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

# The collection of a graph that keeps the calls recorded in it.
_CALLS = "kprobe_calls"
# tf_keras's backend makes it outside of all scopes (`_default_learning_phase`).
_LEARNING_PHASE = "keras_learning_phase"
# The scope of what stands in front of the model's own placeholders.
_SCOPE = "kprobe"


@contextlib.contextmanager
def recording_session() -> Iterator[None]:
    """Record the layer calls of models that are built inside the block with eager execution off.

    It may be off already, or be switched off inside the block, by a module imported there, say.
    Of a model that wasn't built in such a block, `trace_session` knows what Keras remembers: not
    the calls inside of layers and of nested models.
    """
    recorders = []
    with contextlib.ExitStack() as stack:

        def begin() -> None:
            # Only what is imported is watched, and no other Keras knows of this mode.
            importlib.import_module("tf_keras")
            recorders.append(stack.enter_context(recording()))

        stack.enter_context(when_switched_off(begin))
        yield
    outermost: dict[int, Record] = {}
    for record in recorders[0].records if recorders else ():
        outermost[id(record)] = outermost.get(id(record.parent), record)
        outermost[id(record)].graph.add_to_collection(_CALLS, record)


def is_graph_mode(model: Any) -> bool:
    """Tell whether a model was built with eager execution off: its inputs are placeholders."""
    return any(isinstance(part, tf.Tensor) for part in getattr(model, "inputs", None) or ())


@dataclass(frozen=True)
class SessionTrace:
    """A model's part of its session's graph, as a function.

    Attributes:
        function: The function of the data for each input.
        records: The calls, the model's own first, with the function's tensors.
        outputs: The model's outputs in the function.
        variables: The variables of the function, and of the model's layers, by the names that their
            operations have in the session's graph.
        framed: The names of the operations in loops of TensorFlow 1.
    """

    function: Any
    records: list[Record]
    outputs: list[tf.Tensor]
    variables: Mapping[str, tf.Variable]
    framed: frozenset[str]


def trace_session(
    model: Any,
    specs: Mapping[str, tf.TensorSpec],
    arrange: Callable[[Mapping[str, tf.Tensor]], Any],
    *,
    training: bool,
) -> SessionTrace:
    """Copy what a model's outputs depend on from its session's graph into a function.

    Args:
        model: A model of tf_keras, built with eager execution off.
        specs: Shape (batch axis first) and dtype of the data for each input, by name.
        arrange: Gives, from the placeholder of each input, what the model's inputs get.
        training: What the learning phase is set to.

    Raises:
        ModelError: The graph has operations that only a session can run.
    """
    graph = model.outputs[0].graph
    records = _list_records(model)
    cut = _cut_out(model, records, training=training)
    variables = take_values(graph, find_variables(graph, cut.handles.values(), records))
    lost = set(cut.handles.values()) - set(variables)
    if lost:
        cut = _cut_out(model, records, training=training, lost=lost)
    operations = {op.name: op for op in graph.get_operations()}
    names = list(specs)

    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        with tf.name_scope(_SCOPE):
            data = tf.nest.flatten(arrange(dict(zip(names, tensors, strict=True))))
        copied = tf.compat.v1.get_default_graph()
        capture = CAPTURE.find(copied)
        given = {_data(part): tensor for part, tensor in zip(model.inputs, data, strict=True)}
        given |= {edge: capture(variables[name].handle) for edge, name in cut.handles.items()}
        try:
            tf.graph_util.import_graph_def(cut.definition, input_map=given, name="")
        except ValueError as error:
            raise ModelError(f"the model's graph can't be copied: {error}") from error
        _set_shapes(cut.definition, operations, copied)
        return [copied.get_tensor_by_name(part.name) for part in model.outputs]

    signature = [
        tf.TensorSpec(spec.shape, spec.dtype, name=f"{_SCOPE}/input_{number}")
        for number, spec in enumerate(specs.values())
    ]
    function = tf.compat.v1.wrap_function(run, signature)
    function.graph.variables = [variables[name] for name in cut.handles.values()]
    return SessionTrace(
        function=function,
        records=_Copy(graph, function.graph, cut.renamed).copy(records),
        outputs=[function.graph.get_tensor_by_name(part.name) for part in model.outputs],
        variables=variables,
        framed=frozenset(op.name for op in operations.values() if _is_framed(op)),
    )


def _set_shapes(
    definition: tf.compat.v1.GraphDef, operations: Mapping[str, tf.Operation], copied: tf.Graph
) -> None:
    """Set the shapes that were set by hand: they aren't in a graph's definition."""
    for node in definition.node:
        if node.name in operations:
            old, new = operations[node.name], copied.get_operation_by_name(node.name)
            for before, after in zip(old.outputs, new.outputs, strict=True):
                after.set_shape(before.shape)


class _Cut(NamedTuple):
    """What was cut out of a graph.

    Attributes:
        definition: The nodes.
        handles: For each edge that the handle of a variable comes in by, the variable's name.
        renamed: The new names of nodes that have one.
    """

    definition: tf.compat.v1.GraphDef
    handles: Mapping[str, str]
    renamed: Mapping[str, str]


def _list_records(model: Any) -> list[Record]:
    """Give the model's own call, its inputs, then the calls of its layers in their order."""
    graph = model.outputs[0].graph
    own = Record(model, model.name, None, graph, list(model.inputs), outputs=model.outputs)
    own.span = (0, graph.version)
    inputs = []
    for part in model.inputs:
        layer = HISTORY.find(part)[0]
        inputs.append(Record(layer, layer.name, own, graph, [], outputs=part, is_input=True))
    recorded: list[Record] = graph.get_collection(_CALLS)
    known = {id(tensor) for record in recorded for tensor in tf.nest.flatten(record.outputs)}
    missed = [
        record
        for record in _find_nodes(model)
        if id(tf.nest.flatten(record.outputs)[0]) not in known
    ]
    begins: dict[int, int] = {}
    for record in (*recorded, *missed):
        begins[id(record)] = begins.get(id(record.parent), record.span[0])
    calls = sorted((*recorded, *missed), key=lambda record: begins[id(record)])
    return [own, *inputs, *calls]


def _find_nodes(model: Any) -> Iterator[Record]:
    """Give the calls that Keras remembers: those of the model's own layers.

    It makes layers of bare operations without calling them.
    """
    graph = model.outputs[0].graph
    positions = {op.name: number for number, op in enumerate(graph.get_operations())}
    names = sorted(positions)
    for nodes in NODES_BY_DEPTH.find(model).values():
        for node in nodes:
            outputs = tf.nest.flatten(node.outputs)
            if node.is_input:
                continue
            record = Record(node.layer, node.layer.name, None, graph, [], outputs=node.outputs)
            record.inputs = tf.nest.flatten(node.input_tensors)
            record.note_masks()
            name = outputs[0].op.name
            begun = re.match(rf"(.*?\b{re.escape(record.name)}(_\d+)?)/", name)
            record.scope = begun[1] if begun else ""
            places = [positions[tensor.op.name] for tensor in outputs]
            if record.scope:
                # "0" comes right behind "/".
                begin, end = (bisect.bisect_left(names, record.scope + c) for c in "/0")
                places += [positions[name] for name in names[begin:end]]
            record.span = (min(places), max(places) + 1)
            yield record


def _cut_out(
    model: Any, records: Sequence[Record], *, training: bool, lost: Collection[str] = ()
) -> _Cut:
    """Copy the nodes that matter, and turn into others those that only a session can run.

    Variables that are lost, since the session has no values for them, stay as they are:
    TensorFlow reports that where they are read.
    """
    graph = model.outputs[0].graph
    with graph.as_default():
        updates = [op.name for op in map(_operation, model.updates) if op.graph is graph]
    definition = graph.as_graph_def()
    live = find_ancestors(model.outputs)
    wanted = {edge_of(tensor): None for tensor in (*model.outputs, *model.inputs)}
    for record in records:
        outputs = [t for t in tf.nest.flatten(record.outputs) if isinstance(t, tf.Tensor)]
        if any(tensor.op in live for tensor in outputs):
            given = (*outputs, *record.masks, record.scores, *record.inputs)
            tensors = [tensor for tensor in given if tensor is not None]
            wanted |= {edge_of(tensor): None for tensor in tensors if tensor.graph is graph}
    stops = {node.name for node in definition.node if node.op == "VarHandleOp"} - set(lost)
    definition, consumed = extract(definition, [*wanted, *updates], stops)
    inputs = {part.op.name: _data(part) for part in model.inputs}
    handles = {name: name for name in sorted(consumed)}
    phases = set()
    renamed: dict[str, str] = {}
    for node in definition.node:
        if node.name in inputs:
            dtype = node.attr["dtype"].type
            _become(node, "Identity", [inputs[node.name]], T=dtype)
        elif node.op in ("VariableV2", "Variable") and node.name not in lost:
            dtype = node.attr["dtype"].type
            edge = f"{_SCOPE}/handle/{node.name}"
            _become(node, "ReadVariableOp", [edge], dtype=dtype)
            handles[edge] = node.name
        elif node.name == _LEARNING_PHASE and node.op == "PlaceholderWithDefault":
            _become(node, "Const", [], dtype=tf.bool.as_datatype_enum)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(training))
            phases.add(node.name)
        elif node.op in ("If", "StatelessIf") and node.input[0] in phases:
            name = node.name
            renamed[name] = _take_branch(node, taken=training)
    for node in definition.node:
        node.input[:] = [_rename(edge, renamed) for edge in node.input]
    return _Cut(definition, handles, renamed)


def _take_branch(node: Any, *, taken: bool) -> str:
    """Run one branch only, whose tensors then have values as any function's; give the new name.

    A new one, since the names of what is in the branch are told from those around by it.
    """
    branch = node.attr["then_branch" if taken else "else_branch"].func.name
    kept = {key: node.attr[key].list.type[:] for key in ("Tin", "Tout")}
    op = "PartitionedCall" if node.op == "StatelessIf" else "StatefulPartitionedCall"
    _become(node, op, node.input[1:])
    node.name += "/training" if taken else "/inference"
    node.attr["f"].func.name = branch
    for key, types in kept.items():
        node.attr[key].list.type[:] = types
    return str(node.name)


def _rename(edge: str, renamed: Mapping[str, str]) -> str:
    name, colon, number = edge.removeprefix("^").partition(":")
    control = "^" if edge.startswith("^") else ""
    return f"{control}{renamed.get(name, name)}{colon}{number}"


def _become(node: Any, op: str, inputs: Sequence[str], **types: int) -> None:
    """Make another operation of a node, which keeps its name."""
    node.op = op
    node.input[:] = inputs
    node.attr.clear()
    for key, dtype in types.items():
        node.attr[key].type = dtype


class _Copy:
    """Puts what was recorded in one graph into terms of its copy."""

    def __init__(self, graph: tf.Graph, copied: tf.Graph, renamed: Mapping[str, str]) -> None:
        self._graph = graph
        self._copied = copied
        self._operations = {op.name: op for op in copied.get_operations()}
        places = {name: number for number, name in enumerate(self._operations)}
        self._places = [places.get(renamed.get(op.name, op.name)) for op in graph.get_operations()]

    def copy(self, records: Sequence[Record]) -> list[Record]:
        own = records[0]
        copies = {id(record): replace(record) for record in records}
        for original, record in zip(records, copies.values(), strict=True):
            if original is not own:
                record.parent = copies[id(original.parent or own)]
            record.inputs = [self._tensor(tensor) for tensor in record.inputs]
            record.outputs = tf.nest.map_structure(self._tensor, record.outputs)
            record.masks = [self._tensor(mask) for mask in record.masks]
            record.scores = self._tensor(record.scores)
            if record.graph is self._graph:
                kept = [p for p in self._places[slice(*record.span)] if p is not None]
                record.graph = self._copied
                record.span = (min(kept), max(kept) + 1) if kept else (0, 0)
        return list(copies.values())

    def _tensor(self, tensor: Any) -> Any:
        """Give a tensor's copy, or itself where it wasn't copied."""
        if not isinstance(tensor, tf.Tensor) or tensor.graph is not self._graph:
            return tensor
        if tensor.op.name not in self._operations:
            return tensor
        return self._operations[tensor.op.name].outputs[tensor.value_index]


def _is_framed(operation: tf.Operation) -> bool:
    """Tell whether an operation lies in a loop as TensorFlow 1 wrote them, in the graph itself."""
    around = CONTROL_FLOW_CONTEXT.find(operation)()
    while around is not None and not around.IsWhileContext():
        around = around.outer_context
    return around is not None


def _operation(update: Any) -> tf.Operation:
    return update if isinstance(update, tf.Operation) else update.op


def _data(part: tf.Tensor) -> str:
    """The edge that an input's data come in by."""
    return f"{_SCOPE}/data/{part.op.name}"
