"""Trace a model once, so that every tensor in it has an address."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from kprobe.addresses.calls import DroppedCall, LayerCall
from kprobe.compat.eager_mode import eagerly
from kprobe.errors import AddressError, Hint, KprobeError, ModelError, Setting
from kprobe.graphdef.functions import Entry, find_ways
from kprobe.graphdef.liveness import find_ancestors, find_leftovers
from kprobe.saved_signature import SavedSignature
from kprobe.trace.composite import list_components, make_plain
from kprobe.trace.dropped import Sorting
from kprobe.trace.graph_mode import is_graph_mode, trace_session
from kprobe.trace.recorder import Record, recording
from kprobe.trace.run_signature import run_signature
from kprobe.trace.signature import call_model


@dataclass(frozen=True, kw_only=True)
class TracedCall(LayerCall):
    """A layer's call, with the tensors it took and gave.

    Attributes:
        inputs: The tensors that went in, flat, in the order of the arguments.
        outputs: What came out, flat: the key of each part and the tensor. The key is None for
            a layer with one output, else its number, or its key in a dict.
        graph: The graph the call ran in: the trace's own, or the body of a loop, a branch or a
            function in it.
        scope: The name scope of its operations, "" for none.
        span: The positions in `graph` of the operations the call created, a half-open range.
        layer: The layer or operation itself.
    """

    inputs: Sequence[tf.Tensor]
    outputs: Sequence[tuple[int | str | None, tf.Tensor]]
    graph: tf.Graph
    scope: str
    span: tuple[int, int]
    layer: Any


@dataclass(frozen=True, eq=False)
class Trace:
    """A model's graph and the layer calls in it.

    Attributes:
        model: The model; its variables live as long as it does.
        function: The traced graph as a function of the inputs; None for a model that ran eagerly,
            whose tensors have their values.
        inputs: The placeholder of each model input, by name.
        outputs: The model's own outputs, flat.
        calls: Every layer call that the model's outputs depend on, in the order they began.
        dropped: The others, which have no tensor to fetch.
        variables: What stands for the variables of a session, by the names of their operations.
        framed: The names of the operations in loops of TensorFlow 1.
        ragged: The ids of the outputs that were ragged tensors: for several samples, padded.
        origin: The graph in which the functions were traced that calls ran in; None for `graph`.
    """

    model: Any
    function: Any
    inputs: Mapping[str, tf.Tensor]
    outputs: Sequence[tf.Tensor]
    calls: list[TracedCall]
    dropped: list[DroppedCall] = field(default_factory=list)
    variables: Mapping[str, tf.Variable] = field(default_factory=dict)
    framed: Collection[str] = ()
    ragged: set[int] = field(default_factory=set)
    origin: tf.Graph | None = None

    @property
    def graph(self) -> tf.Graph:
        """The graph all of it lives in."""
        return self.function.graph

    @cached_property
    def live(self) -> set[tf.Operation]:
        """The operations that the model's outputs depend on."""
        return find_ancestors(self.outputs)

    def is_framed(self, tensor: tf.Tensor) -> bool:
        """Tell whether a tensor lies in a loop of TensorFlow 1, in the graph itself."""
        return tensor.graph is self.graph and tensor.op.name in self.framed

    def find_value(self, variable: tf.Variable) -> tf.Variable:
        """Give what holds a variable's value: itself, but for those of a session.

        Raises:
            AddressError: It was never initialised in the session.
        """
        if not self.variables:
            return variable
        if variable.op.name not in self.variables:
            raise AddressError(f"{variable.name} isn't initialised, and has no value")
        return self.variables[variable.op.name]

    def find_live(self, graph: tf.Graph) -> set[tf.Operation]:
        """Give the operations of a graph that its results, or those of calls in it, depend on."""
        if graph not in self._live:
            whole = graph is self.graph
            ends = [] if whole else [*graph.outputs]
            for call in self.calls:
                given = [tensor for _, tensor in call.outputs if tensor.graph is graph]
                masks = [getattr(tensor, "_keras_mask", None) for tensor in given]
                ends += [*given, *(mask for mask in masks if mask is not None)]
            found = find_ancestors(ends, self.live if whole else ())
            leftovers = self._leftovers_in(graph)
            self._live[graph] = (
                {op for op in found if op.name not in leftovers} if leftovers else found
            )
        return self._live[graph]

    @cached_property
    def _live(self) -> dict[tf.Graph, set[tf.Operation]]:
        return {}

    @cached_property
    def ways(self) -> Mapping[str, Sequence[Entry] | None]:
        """How the graph gets to each function that it runs once, by the function's name."""
        return find_ways(self.definition, self._leftovers)

    def is_leftover(self, tensor: tf.Tensor) -> bool:
        """Tell whether a tensor is what `tf.vectorized_map` rewrote: of one row only."""
        return self.function is not None and tensor.op.name in self._leftovers_in(tensor.graph)

    def _leftovers_in(self, graph: tf.Graph) -> set[str]:
        names = [""] if graph is self.graph else self._names[id(graph)]
        return set().union(*(self._leftovers[name] for name in names))

    def open_function(self, name: str) -> tf.Graph | None:
        """Give the graph of a function in the library, by its name."""
        if name not in self._opened:
            function = self.library.get(name)
            self._opened[name] = function_def_to_graph(function) if function else None
            self._names[id(self._opened[name])] = [name]
        return self._opened[name]

    @cached_property
    def definition(self) -> tf.compat.v1.GraphDef:
        """The graph and its library."""
        return self.graph.as_graph_def()

    @cached_property
    def library(self) -> dict[str, Any]:
        """The definition of each function, by its name."""
        return {function.signature.name: function for function in self.definition.library.function}

    @cached_property
    def _leftovers(self) -> dict[str, set[str]]:
        inside = {name: find_leftovers(f.node_def) for name, f in self.library.items()}
        return {"": find_leftovers(self.definition.node), **inside}

    @cached_property
    def _opened(self) -> dict[str, tf.Graph | None]:
        return {}

    def find_way(self, graph: tf.Graph) -> Sequence[Entry] | None:
        """Give the way to the graph of a loop's body, a branch or a function.

        None where it isn't run, or runs in several places, so that its tensors have no one value.
        """
        ways = [self.ways[name] for name in self._names[id(graph)] if name in self.ways]
        return ways[0] if len(ways) == 1 else None

    def has_way(self, graph: tf.Graph) -> bool:
        """Tell whether a graph is the trace's own, or one that it runs in one place."""
        return graph is self.graph or self.find_way(graph) is not None

    def find_place(self, tensor: tf.Tensor) -> tuple[int, ...]:
        """Give a key that sorts tensors in the order in which the model was traced."""
        order = self._find_positions(self.graph)
        entries = [] if tensor.graph is self.graph else self.find_way(tensor.graph) or []
        inside = [order.get(entry.node, len(order)) for entry in entries[:1]]
        own = self._find_positions(tensor.graph if inside else self.graph)
        return (*inside, own[tensor.op.name])

    def _find_positions(self, graph: tf.Graph) -> dict[str, int]:
        """Give the positions of a graph's operations, by name."""
        if graph not in self._orders:
            operations = enumerate(graph.get_operations())
            self._orders[graph] = {op.name: number for number, op in operations}
        return self._orders[graph]

    @cached_property
    def _orders(self) -> dict[tf.Graph, dict[str, int]]:
        return {}

    def runs_in_several_places(self, graph: tf.Graph) -> bool:
        """Tell whether a function's graph is run more than once, outside of loops."""
        ways = [self.ways[name] for name in self._names[id(graph)] if name in self.ways]
        return len(ways) > 1 or None in ways

    @cached_property
    def _names(self) -> dict[int, list[str]]:
        """The names in the library of the functions made from a graph, by the graph's id.

        There are several where a gradient is taken: the function, and the one that keeps what
        the gradient needs.
        """
        names: dict[int, list[str]] = defaultdict(list)
        for name, function in (self.origin or self.graph)._functions.items():
            # Those that came with a copied graph weren't traced.
            if hasattr(function, "_cached_graph"):
                names[id(function._cached_graph)].append(name)
        return names


@eagerly
def trace(
    model: Any,
    specs: Mapping[str, tf.TensorSpec],
    arrange: Callable[[Mapping[str, tf.Tensor]], Any],
    *,
    training: bool = False,
) -> Trace:
    """Run a built model symbolically, once, and record its layer calls.

    Args:
        model: A built model of keras or tf_keras, or a SavedSignature. It is left as it was.
        specs: Shape (batch axis first) and dtype of the data for each input, by name.
        arrange: Gives, from the placeholder of each input, the model's first argument; what it
            computes on the way (a cast, preprocessing) becomes a part of the graph.
        training: Whether the layers are to behave as in training: dropout active, statistics
            of the batch.

    Returns:
        The trace.

    Raises:
        ModelError: A layer's own code fails on such inputs.
    """
    if is_graph_mode(model):
        return _trace_session(model, specs, arrange, training)
    names = list(specs)
    outputs: list[Any] = []

    def run(*tensors: tf.Tensor) -> Any:
        given = arrange(dict(zip(names, tensors, strict=True)))
        if isinstance(model, SavedSignature):
            outputs[:] = run_signature(model, given, recorder, training=training)
        else:
            outputs[:] = list_components(call_model(model, given, training=training))
        return outputs

    with recording() as recorder:
        try:
            # A tf.function, since it puts reads and writes of a variable in their order: a seed
            # that is drawn from twice is another one the second time.
            function = tf.function(run, autograph=False).get_concrete_function(
                *(tf.TensorSpec(spec.shape, spec.dtype) for spec in specs.values())
            )
        except KprobeError:
            raise
        # What a layer's own code raises has no common class, and it may end the program.
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"the model can't be traced: {describe_failure(error)}",
                hint=Hint(Setting("eager", True), " runs it all the same"),
            ) from error
    result = Trace(
        model=model,
        function=function,
        inputs=dict(zip(names, function.graph.inputs[: len(names)], strict=True)),
        outputs=[tensor for tensor in outputs if tensor is not None],
        calls=[],
    )
    return _sort(recorder.records, result)


def _trace_session(
    model: Any,
    specs: Mapping[str, tf.TensorSpec],
    arrange: Callable[[Mapping[str, tf.Tensor]], Any],
    training: bool,
) -> Trace:
    """Copy a model that was built with eager execution off out of its session's graph."""
    session = trace_session(model, specs, arrange, training=training)
    result = Trace(
        model=model,
        function=session.function,
        inputs=dict(zip(specs, session.function.graph.inputs, strict=False)),
        outputs=session.outputs,
        calls=[],
        variables=session.variables,
        framed=session.framed,
        origin=model.outputs[0].graph,
    )
    return _sort(session.records, result)


def _sort(records: Sequence[Record], result: Trace) -> Trace:
    """Give a trace its calls, and those that have no tensor."""
    sorting = Sorting(records, result)
    kept = sorting.keep()
    for record in kept:
        record.outputs = make_plain(record.outputs, result.ragged, result.graph)
    result.calls.extend(number_calls(kept, result.model))
    addressed = zip([r for r in kept if r.parent is not None], result.calls, strict=True)
    result.dropped.extend(sorting.describe(addressed))
    return result


def describe_failure(error: BaseException) -> str:
    """Give the class of what a model's own code raised, and the line that says what."""
    # A KeyError writes its message as Python would, on one line.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in text.splitlines()]
    said = [line for line in lines if line] or [""]
    # Keras puts the layer in front, and the arguments behind.
    match = re.match("Exception encountered when calling (.*?)[.]?$", said[0])
    if match and len(said) > 1:
        return f"{type(error).__name__} in {match[1]}: {said[1]}"
    return f"{type(error).__name__}: {said[0]}"


def number_calls(records: Sequence[Record], model: Any) -> list[TracedCall]:
    """Give each call its path, counting the calls of each name within their enclosing call."""
    totals = Counter((id(record.parent), record.name) for record in records)
    positions = {id(layer): i for i, layer in enumerate(getattr(model, "layers", []))}
    steps: dict[int, tuple[tuple[str, int | None], ...]] = {}
    counts: Counter[tuple[int, str]] = Counter()
    orders: dict[tuple[int, int], list[int]] = {}
    calls = []
    for record in records:
        if record.parent is None:
            steps[id(record)] = ()
            continue
        key = (id(record.parent), record.name)
        number = counts[key]
        counts[key] += 1
        if totals[key] > 1 and not (record.parent.layer is model and is_graph_mode(model)):
            pair = id(record.parent.layer), id(record.layer)
            if pair not in orders:
                orders[pair] = _find_order(record.parent.layer, record.layer)
            order = orders[pair]
            number = order[number] if len(order) == totals[key] else number
        step = (record.name, number if totals[key] > 1 else None)
        path = (*steps[id(record.parent)], step)
        steps[id(record)] = path
        calls.append(
            TracedCall(
                steps=path,
                class_name=type(record.layer).__name__,
                position=positions.get(id(record.layer)) if len(path) == 1 else None,
                inputs=record.inputs,
                outputs=_flat(record.outputs),
                graph=record.graph,
                scope=record.scope,
                span=record.span,
                layer=record.layer,
                is_input=record.is_input,
            )
        )
    return calls


def _find_order(model: Any, layer: Any) -> list[int]:
    """Give, for each call of a layer that a functional model makes, its number in the model.

    They are made by depth, while `get_output_at` and the model's file count them in the order in
    which the model was put together. (With eager execution off that is when they were recorded.)
    """
    network = getattr(model, "_functional", None) or model
    by_depth = getattr(network, "_nodes_by_depth", {})
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    own = [n for n in nodes if getattr(n, "operation", getattr(n, "layer", None)) is layer]
    made = {id(node): number for number, node in enumerate(getattr(layer, "_inbound_nodes", ()))}
    places = sorted(made[id(node)] for node in own)
    ranks = {place: number for number, place in enumerate(places)}
    return [ranks[made[id(node)]] for node in own]


def _flat(outputs: Any) -> list[tuple[int | str | None, tf.Tensor]]:
    """The tensors of a layer's output, each under its key."""
    if isinstance(outputs, tf.Tensor):
        return [(None, outputs)]
    return list(_parts(outputs))


def _parts(outputs: Any) -> Iterator[tuple[int | str, tf.Tensor]]:
    if isinstance(outputs, Mapping):
        for key, part in outputs.items():
            inner = _flat(part)
            for number, tensor in inner:
                yield (str(key) if number is None else f"{key}.{number}"), tensor
    else:
        for number, tensor in enumerate(tf.nest.flatten(outputs)):
            if isinstance(tensor, tf.Tensor):
                yield number, tensor
