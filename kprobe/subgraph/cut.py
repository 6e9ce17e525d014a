"""Cut out of a trace the part between some tensors and others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.compat.tensorflow_names import CAPTURES
from kprobe.errors import AddressError
from kprobe.graphdef.apply_replacement import replace
from kprobe.graphdef.detach import detach
from kprobe.graphdef.extract import extract, find_updates, find_written
from kprobe.graphdef.functions import edge_of, node_of
from kprobe.graphdef.lift import lift
from kprobe.subgraph.state import holds_seed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from kprobe.graphdef.functions import Entry
    from kprobe.graphdef.replacement import Replacement
    from kprobe.trace.trace import Trace


@dataclass(frozen=True, eq=False)
class Cut:
    """The part of a trace that gives some tensors from others, and nothing else.

    A tensor is named as a GraphDef writes it, an edge: without its number where that is 0.

    Attributes:
        trace: The trace, whose model's variables live as long as it does.
        definition: The nodes.
        specs: Shape and dtype of each tensor to supply, by its name: of those given, the ones
            that are needed.
        arguments: The edges that these come in by, in the same order.
        wanted: The edges of the tensors to compute.
        updates: The nodes that write to variables.
        handles: By edge the resources that are needed, such as those of variables: passing in all
            of a model's costs seconds a call.
        variables: By edge, the variables among them.
        seeds: The variables that seeds are read from, each with its number in the model, so
            that it doesn't depend on what is fetched.
        replaced: The names of the tensors that are replaced: of those given, the ones needed.
        lifted: Which fetches, by number, lie in loops, branches or functions.
    """

    trace: Trace
    definition: tf.compat.v1.GraphDef
    specs: Mapping[str, tf.TensorSpec]
    arguments: Sequence[str]
    wanted: Sequence[str]
    updates: Sequence[str]
    handles: Mapping[str, tf.Tensor]
    variables: Mapping[str, tf.Variable]
    seeds: Mapping[int, tf.Variable]
    replaced: Sequence[str]
    lifted: frozenset[int]

    @property
    def written(self) -> list[tf.Variable]:
        """The variables that it writes to."""
        edges = find_written(self.definition)
        return [variable for edge, variable in self.variables.items() if edge in edges]

    @property
    def weight_bytes(self) -> int:
        """The size of the variables that it reads, in bytes."""
        return sum(
            variable.dtype.size * (variable.shape.num_elements() or 0)
            for variable in self.variables.values()
        )


def cut_out(
    trace: Trace,
    feeds: Mapping[str, tf.Tensor],
    fetches: Sequence[tf.Tensor],
    *,
    own: Collection[int] = (),
    replaced: Mapping[str, tuple[tf.Tensor, Replacement]] | None = None,
    stateful: bool = False,
) -> Cut:
    """Cut out what gives some tensors.

    Args:
        trace: The model's trace.
        feeds: The tensors that will be supplied, by name; any tensors of the trace.
        fetches: The tensors to compute. An input or a fed tensor comes back as it went in.
        own: The fetches, by number, that are given as computed all the same where they are fed, or
            replaced. What takes them takes what was fed.
        replaced: The tensors whose values are replaced on the way, by name.
        stateful: Whether what the model writes to its variables is to be written.

    Raises:
        AddressError: The fetches depend on an input of the model that isn't fed, or lie in a
            function that runs in several places.
    """
    graph_def = trace.graph.as_graph_def()
    wanted = find_edges(trace, graph_def, fetches)
    replacing: dict[str, str] = {}
    for name, (tensor, replacement) in (replaced or {}).items():
        replacing[name] = replace(graph_def, tensor, replacement)
        _exchange(wanted, {edge_of(tensor): replacing[name]}, own)
    fed = {edge_of(tensor): name for name, tensor in feeds.items()}
    inputs = {edge_of(tensor): name for name, tensor in trace.inputs.items()}
    computed = {wanted[number]: fetches[number] for number in own if wanted[number] in fed}
    detached = detach(graph_def, {e: t for e, t in computed.items() if e not in inputs})
    _exchange(wanted, detached, own)
    fed = {detached.get(edge, edge): name for edge, name in fed.items()}
    captures = {edge_of(inner): outer for outer, inner in CAPTURES.find(trace.graph)}
    by_handle = {id(variable.handle): variable for variable in trace.graph.variables}
    stops = {*fed, *captures, *inputs}
    updates = _list_updates(trace, graph_def, wanted, stops) if stateful else []
    definition, consumed = extract(graph_def, [*wanted, *updates], stops)
    # What is fed is taken where it is fetched as computed, too, though nothing may need it.
    needed = consumed | set(wanted) | set(detached.values())
    _check_fed([name for edge, name in inputs.items() if edge in needed and edge not in fed])
    arguments = {edge: name for edge, name in fed.items() if edge in needed}
    handles = {edge: outer for edge, outer in captures.items() if edge in needed}
    variables = {e: by_handle[id(outer)] for e, outer in handles.items() if id(outer) in by_handle}
    return Cut(
        trace=trace,
        definition=definition,
        specs={n: tf.TensorSpec(feeds[n].shape, feeds[n].dtype) for n in arguments.values()},
        arguments=list(arguments),
        wanted=wanted,
        updates=updates,
        handles=handles,
        variables=variables,
        seeds=_number_seeds([(e, by_handle.get(id(o))) for e, o in captures.items()], variables),
        replaced=_list_replaced(definition, replacing, replaced or {}, [fetches[n] for n in own]),
        lifted=frozenset(n for n, t in enumerate(fetches) if t.graph is not trace.graph),
    )


def _list_updates(
    trace: Trace, graph_def: tf.compat.v1.GraphDef, wanted: Sequence[str], stops: Collection[str]
) -> list[str]:
    return sorted(find_updates(graph_def, wanted, stops, list(_list_nodes(trace))))


def _number_seeds(
    captured: Sequence[tuple[str, tf.Variable | None]], needed: Mapping[str, tf.Variable]
) -> dict[int, tf.Variable]:
    """Give the variables that seeds are read from, of those needed, by their number among all."""
    seeds = [edge for edge, variable in captured if holds_seed(variable)]
    return {number: needed[edge] for number, edge in enumerate(seeds) if edge in needed}


def _list_replaced(
    definition: tf.compat.v1.GraphDef,
    edges: Mapping[str, str],
    replaced: Mapping[str, tuple[tf.Tensor, Replacement]],
    own: Sequence[tf.Tensor],
) -> list[str]:
    """List which replaced tensors, by name, are needed, or are given as computed beside that."""
    kept = {node.name for node in definition.node}
    own_ids = {id(tensor) for tensor in own}
    return [n for n, e in edges.items() if node_of(e) in kept or id(replaced[n][0]) in own_ids]


def find_edges(
    trace: Trace, graph_def: tf.compat.v1.GraphDef, tensors: Sequence[tf.Tensor]
) -> list[str]:
    """Give the edges of some tensors, those in functions brought out of them; that adds nodes."""
    return [
        edge_of(tensor)
        if tensor.graph is trace.graph
        else lift(graph_def, _find_way(trace, tensor), tensor, number)
        for number, tensor in enumerate(tensors)
    ]


def _exchange(wanted: list[str], edges: Mapping[str, str], own: Collection[int]) -> None:
    """Put other edges in the place of those that are wanted, but for what is given as computed."""
    for number, edge in enumerate(wanted):
        if number not in own:
            wanted[number] = edges.get(edge, edge)


def _check_fed(missing: Sequence[str]) -> None:
    """Refuse inputs that are needed and not fed."""
    if missing:
        raise AddressError(
            f"the fetches depend on {', '.join(missing)}, which is not among the feeds",
            hint="feed it too, or fetch only what lies behind the feeds",
        )


def _list_nodes(trace: Trace) -> Iterator[tuple[list[str], set[str]]]:
    """Give, for each innermost call in the trace's own graph, the nodes of its outputs, and all."""
    operations = trace.graph.get_operations()
    around = {call.steps[:-1] for call in trace.calls}
    for call in trace.calls:
        if call.graph is trace.graph and not call.is_input and call.steps not in around:
            outputs = [tensor.op.name for _, tensor in call.outputs]
            yield outputs, {operation.name for operation in operations[slice(*call.span)]}


def _find_way(trace: Trace, tensor: tf.Tensor) -> Sequence[Entry]:
    way = trace.find_way(tensor.graph)
    if way is None:
        raise AddressError(
            f"{tensor.name} lies in a function that runs in several places, and has a value in each"
        )
    return way
