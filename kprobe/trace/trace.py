"""What a trace is: a model's graph, and the calls of layers in it with their tensors."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kprobe.addresses.calls import DroppedCall, LayerCall
from kprobe.compat.tensorflow_names import CACHED_GRAPH, FUNCTION_DEF_TO_GRAPH, FUNCTIONS
from kprobe.errors import AddressError
from kprobe.graphdef.functions import Entry, find_ways
from kprobe.graphdef.liveness import find_ancestors, find_leftovers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import tensorflow as tf


@dataclass(frozen=True, kw_only=True)
class TracedCall(LayerCall):
    """A layer's call, with the tensors it took and gave.

    Attributes:
        inputs: The tensors that went in, flat, in the order of the arguments.
        outputs: What came out, flat: the key of each part and the tensor. The key is None for
            a layer with one output, else its number, or its key in a dict.
        masks: The mask of each output that has one, under the output's key.
        scores: The scores of a layer with attention; None for other layers.
        graph: The graph the call ran in: the trace's own, or the body of a loop, a branch or a
            function in it.
        scope: The name scope of its operations, "" for none.
        span: The positions in `graph` of the operations the call created, a half-open range.
        layer: The layer or operation itself.
    """

    inputs: Sequence[tf.Tensor]
    outputs: Sequence[tuple[int | str | None, tf.Tensor]]
    masks: Sequence[tuple[int | str | None, tf.Tensor]]
    scores: tf.Tensor | None
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
        calls: Every layer call that has a tensor to fetch, in the order they began.
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
            is_outer = graph is self.graph
            ends = [] if is_outer else [*graph.outputs]
            for call in self.calls:
                given = [tensor for _, tensor in (*call.outputs, *call.masks)]
                given += [] if call.scores is None else [call.scores]
                ends += [tensor for tensor in given if tensor.graph is graph]
            found = find_ancestors(ends, self.live if is_outer else ())
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
            self._opened[name] = FUNCTION_DEF_TO_GRAPH.find()(function) if function else None
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
        for name, function in FUNCTIONS.find(self.origin or self.graph).items():
            # Those that came with a copied graph weren't traced.
            if CACHED_GRAPH.is_in(function):
                names[id(CACHED_GRAPH.find(function))].append(name)
        return names
