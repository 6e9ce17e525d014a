"""Sort out the recorded calls that have no tensor to fetch, and say why."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.addresses.calls import DroppedCall
from kprobe.compat.keras_names import FLATTEN_LAYERS
from kprobe.errors import CommandText
from kprobe.graphdef.functions import functions_of
from kprobe.graphdef.liveness import find_ancestors, find_needed, is_in_vectorized_map
from kprobe.models.layer_names import find_step, list_inside
from kprobe.trace.recording.composite import list_components
from kprobe.trace.recording.recorder import graphs_around

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kprobe.addresses.calls import LayerCall
    from kprobe.trace.recording.recorder import Record
    from kprobe.trace.trace import Trace

UNUSED = "is called, but no output of the model depends on it"
SEVERAL = "lies in a function that runs in several places, and has a value in each"
_CONDITION = "is called in the condition of a loop, whose tensors can't be fetched"
_NO_TENSOR = "gives no tensor"
UNCALLED = "isn't called as a layer: only its weights have addresses"
FRAMED = "lies in a loop of TensorFlow 1, whose iterations have no tensors outside of it"
FRAMED_HINT = "call tf.compat.v1.enable_control_flow_v2() before the model is built"
VECTORIZED = (
    "runs in tf.vectorized_map, which computes all rows at once: no tensor of a single call exists"
)


def hint_at_vectorized(address: str) -> str:
    """Say what there is instead of what a function gave to `tf.vectorized_map`.

    Args:
        address: The address of the layer that called it; "" for the model.
    """
    command = CommandText(" ".join(["ls MODEL", *([address] if address else [])]), ["ops"])
    return f"{command} lists the vectorised operations, named …/pfor/…"


class Sorting:
    """Sorts the recorded calls into those that have tensors to fetch, and the others."""

    def __init__(self, records: Sequence[Record], trace: Trace) -> None:
        """Prepare.

        Args:
            records: All calls, in the order they began.
            trace: The trace they were recorded in.
        """
        self._records = records
        self._trace = trace
        self._live: dict[tf.Graph, set[tf.Operation]] = {trace.graph: trace.live}
        self._needed = {"": {operation.name for operation in trace.live}}

    def keep(self) -> list[Record]:
        """Give the calls that have tensors to fetch, those around them, and their inputs.

        Keras builds throw-away graphs of its own, and calls layers only to learn a shape or a mask.
        What the model itself calls is kept, whether or not its outputs depend on it.
        """
        trials = self._find_trials()
        kept = {
            id(record)
            for record in self._records
            if record.parent is None
            or (id(record) not in trials and any(self._is_reached(t) for t in _tensors(record)))
        }
        for record in reversed(self._records):
            if id(record) in kept and record.parent is not None:
                kept.add(id(record.parent))
        # An input may be there although nothing depends on it.
        return [r for r in self._records if id(r.parent if r.is_input else r) in kept]

    def describe(self, addressed: Iterable[tuple[Record, LayerCall]]) -> list[DroppedCall]:
        """Say of each call that wasn't kept where it is, and why it has no tensor.

        Args:
            addressed: Those that were kept, each as the call that it became.
        """
        kept: Mapping[int, LayerCall] = {id(record): call for record, call in addressed}
        paths = {number: call.steps for number, call in kept.items()}
        layers = getattr(self._trace.model, "layers", [])
        positions = {id(layer): number for number, layer in enumerate(layers)}
        dropped: dict[DroppedCall, None] = {}
        for record in self._records:
            if id(record) in kept or record.parent is None or record.is_input:
                continue
            # Without numbers: those are for the calls that can be named.
            step = find_step(record.layer, record.parent.layer)
            path = (*paths.get(id(record.parent), ()), (step, None))
            paths[id(record)] = path
            reason = self._explain(record)
            around: Record | None = record.parent
            while around is not None and id(around) not in kept:
                around = around.parent
            hints = {
                VECTORIZED: hint_at_vectorized(kept[id(around)].address if around else ""),
                FRAMED: FRAMED_HINT,
            }
            call = DroppedCall(
                steps=path,
                class_name=type(record.layer).__name__,
                position=positions.get(id(record.layer)) if len(path) == 1 else None,
                reason=reason,
                hint=hints.get(reason),
                layer=record.layer,
            )
            dropped[call] = None
        return list(dropped)

    def _find_trials(self) -> set[int]:
        """Give the ids of calls that are made to learn a shape or a mask, and of those inside.

        No output depends on them, and the same layer is called in earnest: an RNN calls its cell
        once ahead of the loop; of a model inside a wrapper, tf_keras computes the mask by calling
        its layers, which aren't the wrapper's own.
        """
        live = {id(r) for r in self._records if any(self._is_live(t) for t in _tensors(r))}
        # Loops of TensorFlow 1 lie in the graph itself.
        framed = {id(r) for r in self._records if any(map(self._trace.is_framed, _tensors(r)))}
        earnest = live | framed
        by_layer: dict[int, list[Record]] = defaultdict(list)
        for record in self._records:
            if id(record) in earnest:
                by_layer[id(record.layer)].append(record)
        trials: set[int] = set()
        for record in self._records:
            around = record.parent
            if around is None or record.is_input or id(record) in earnest:
                continue
            others = by_layer[id(record.layer)]
            if (
                id(around) in trials
                or any(
                    r.parent is around and (r.graph is not record.graph or id(r) in framed)
                    for r in others
                )
                or (any(_is_inside(r, around) for r in others) and not _owns(around, record))
            ):
                trials.add(id(record))
        return trials

    def _is_reached(self, tensor: tf.Tensor) -> bool:
        """Tell whether a tensor has a value, wherever it lies."""
        trace = self._trace
        if trace.is_leftover(tensor) or trace.is_framed(tensor):
            return False
        return trace.has_way(tensor.graph)

    def _is_live(self, tensor: tf.Tensor) -> bool:
        """Tell whether the model's outputs depend on a tensor, wherever it lies."""
        graph, trace = tensor.graph, self._trace
        if not self._is_reached(tensor):
            return False
        if graph is not trace.graph:
            way = trace.find_way(graph)
            if way is None:
                return False
            places = ["", *(entry.function for entry in way)]
            if any(e.node not in self._needed_in(p) for p, e in zip(places, way, strict=False)):
                return False
        if graph not in self._live:
            self._live[graph] = find_ancestors(graph.outputs)
        return tensor.op in self._live[graph]

    def _needed_in(self, name: str) -> set[str]:
        if name not in self._needed:
            self._needed[name] = find_needed(self._trace.library[name])
        return self._needed[name]

    def _explain(self, record: Record) -> str:
        if not _tensors(record):
            return _NO_TENSOR
        if any(self._trace.is_framed(tensor) for tensor in _tensors(record)):
            return FRAMED
        if any(is_in_vectorized_map(scope) for scope in record.scopes):
            return VECTORIZED
        graphs = list(graphs_around(record.graph))
        if any(self._trace.runs_in_several_places(graph) for graph in graphs):
            return SEVERAL
        if any(getattr(graph, "name", "") in self._conditions for graph in graphs):
            return _CONDITION
        return UNUSED

    @cached_property
    def _conditions(self) -> set[str]:
        """The names of the functions that are the condition of a loop."""
        library = self._trace.library.values()
        return {
            function.name
            for nodes in (self._trace.definition.node, *(f.node_def for f in library))
            for node in nodes
            for attr, function in functions_of(node)
            if attr == "cond"
        }


def describe_uncalled(
    model: Any, calls: Sequence[LayerCall], dropped: Sequence[DroppedCall]
) -> list[DroppedCall]:
    """List the layers of a model that no call was recorded of. They have weights all the same.

    Args:
        model: The model.
        calls: All calls that were recorded, as they are addressed, each with its layer.
        dropped: Those without a tensor.
    """
    places: dict[int, tuple[tuple[str, int | None], ...]] = {id(model): ()}
    for call in (*calls, *dropped):
        places.setdefault(id(getattr(call, "layer", None)), call.steps)
    taken = {tuple(name for name, _ in steps) for steps in places.values()}
    found = []
    pending = [model]
    seen = {id(model)}
    while pending:
        around = pending.pop()
        for position, layer in enumerate(list_inside(around)):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            pending.append(layer)
            if id(layer) in places:
                continue
            steps = (*places[id(around)], (find_step(layer, around), None))
            places[id(layer)] = steps
            if tuple(name for name, _ in steps) in taken:
                continue  # it can't be told from the one that is called
            found.append(
                DroppedCall(
                    steps=steps,
                    class_name=type(layer).__name__,
                    position=position if around is model else None,
                    reason=UNCALLED,
                    layer=layer,
                )
            )
    return found


def _is_inside(record: Record, around: Record) -> bool:
    """Tell whether a call lies in another, with a third between them."""
    outer = record.parent.parent if record.parent is not None else None
    while outer is not None and outer is not around:
        outer = outer.parent
    return outer is around


def _owns(around: Record, record: Record) -> bool:
    """Tell whether a layer that is called is one of the caller's own."""
    if not FLATTEN_LAYERS.is_in(around.layer):
        return False
    own = FLATTEN_LAYERS.find(around.layer)(recursive=False, include_self=False)
    return any(layer is record.layer for layer in own)


def _tensors(record: Record) -> list[tf.Tensor]:
    return [part for part in list_components(record.outputs) if isinstance(part, tf.Tensor)]
