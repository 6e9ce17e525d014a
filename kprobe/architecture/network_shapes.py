"""Tell the shapes of a network's calls from its config, where they are certain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kprobe.architecture.keras_operations import infer_keras_operation
from kprobe.architecture.network import find_refs, read_shape
from kprobe.architecture.operation_shapes import infer_operation
from kprobe.architecture.shapes import infer_shape

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from kprobe.architecture.network import Layer, Network, Shape, TensorRef
    from kprobe.architecture.shapes import Shapes


# How Keras 2 names functions of TensorFlow that are called on its tensors.
_FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")


@dataclass(frozen=True)
class NetworkShapes:
    """What is known of a network's shapes.

    Attributes:
        calls: The outputs of each call, by layer and number of the call.
        inner: The shapes inside each call of a nested model.
        inputs: What each call takes in its first argument; None for an unknown shape.
        outputs: The network's own outputs.
    """

    calls: dict[tuple[str, int], Shapes]
    inner: dict[tuple[str, int], NetworkShapes]
    inputs: dict[tuple[str, int], list[Shape | None]]
    outputs: Shapes | None


def infer_shapes(
    network: Network,
    given: Shape | None,
    known: dict[Hashable, NetworkShapes],
    *,
    told: bool = True,
) -> NetworkShapes:
    """Infer the shapes of a network.

    Args:
        network: The network.
        given: The shape it is called on, for a Sequential that says none itself.
        known: What was inferred so far, by network and given shapes. Without it the work would
            double with every level of models that are called twice.
        told: Whether to take what the file says of tensors, where nothing follows from the layers.
            Without it all is as Keras makes it of the layers, whatever the file says.

    Returns:
        All that is certain.
    """
    return _Inference(known, told).infer(network, [given])


class _Inference:
    """Infers the shapes of a network and of those in it: see `infer_shapes`."""

    def __init__(self, known: dict[Hashable, NetworkShapes], told: bool) -> None:
        self._known = known
        self._told = told

    def infer(self, network: Network, given: list[Shape | None]) -> NetworkShapes:
        key = (id(network), *given)
        if key not in self._known:
            infers = self._infer_stack if network.sequential else self._infer_graph
            self._known[key] = infers(network, given)
        return self._known[key]

    def _infer_stack(self, network: Network, given: list[Shape | None]) -> NetworkShapes:
        shapes = NetworkShapes({}, {}, {}, None)
        shape: Shapes | None = network.build_shape or given[0]
        if not self._told:
            shape = _complete(given[0], network.build_shape)
        is_first = True
        for layer in network.layers:
            before = shape if isinstance(shape, tuple) else None
            own = _read_input_shape(layer)
            if self._told:
                before = own or before
            elif is_first:  # only there it counts
                before = _complete(before, own)
            is_first = is_first and layer.is_input
            shapes.inputs[layer.name, 0] = [before]
            shape = before if layer.is_input else self._infer_call(layer, 0, [before], shapes)
            if shape is not None:
                shapes.calls[layer.name, 0] = shape
        return replace(shapes, outputs=shape)

    def _infer_graph(self, network: Network, given: list[Shape | None]) -> NetworkShapes:
        shapes = NetworkShapes({}, {}, {}, None)
        by_name = {layer.name: layer for layer in network.layers}
        offsets = find_offsets(network)
        mentioned = _collect_mentioned(network, by_name) if self._told else {}

        def find(ref: TensorRef) -> Shape | None:
            told = ref if self._told else replace(ref, shape=None)
            return _find_shape(told, by_name, offsets, shapes.calls, mentioned)

        # What is open in a model's own inputs follows from what it is called on.
        taken = dict(zip((ref.layer for ref in network.inputs), given, strict=False))
        if self._told or len(given) != len(network.inputs):
            taken = {}
        for layer, call in order_calls(network, offsets):
            inputs = [find(ref) for ref in _list_refs(layer, call)]
            shapes.inputs[layer.name, call] = inputs
            made = self._infer_call(layer, call, inputs or [None], shapes)
            if layer.is_input and isinstance(made, tuple):
                made = _complete(taken.get(layer.name), made)
            if made is not None:
                shapes.calls[layer.name, call] = made
        for (name, call), tensors in mentioned.items():
            if (name, call) not in shapes.calls and list(tensors) == list(range(len(tensors))):
                shapes.calls[name, call] = (
                    list(tensors.values()) if len(tensors) > 1 else tensors[0]
                )
        outputs = [find(ref) for ref in network.outputs]
        told = [shape for shape in outputs if shape is not None]
        returned: Shapes | None = None
        if told and len(told) == len(outputs):
            returned = told[0] if len(told) == 1 else told
        return replace(shapes, outputs=returned)

    def _infer_call(
        self, layer: Layer, call: int, inputs: list[Shape | None], shapes: NetworkShapes
    ) -> Shapes | None:
        if layer.network is not None:
            inner = shapes.inner[layer.name, call] = self.infer(layer.network, inputs)
            return inner.outputs
        if layer.is_input:
            return _read_input_shape(layer)
        node = layer.nodes[call] if call < len(layer.nodes) else None
        if layer.class_name in _FUNCTIONS:
            return infer_operation(layer.config, node, inputs)
        if layer.is_operation:
            return infer_keras_operation(layer.class_name, layer.config, node, inputs)
        if not layer.is_own:
            return None  # the user's own class of a name is another than Keras's
        if layer.class_name == "TimeDistributed" and layer.wrapped and layer.wrapped[0].network:
            return self._infer_steps(layer.wrapped[0].network, inputs[0])
        return infer_shape(layer.class_name, layer.config, inputs)

    def _infer_steps(self, network: Network, shape: Shape | None) -> Shapes | None:
        """Infer what a model gives that is called for each step of its input."""
        step = None if shape is None else (shape[0], *shape[2:])
        made = self.infer(network, [step]).outputs
        if shape is None or len(shape) < 2 or not isinstance(made, tuple):
            return None
        return (made[0], shape[1], *made[1:])


def _list_refs(layer: Layer, call: int) -> list[TensorRef]:
    """List the tensors of a call from which its shape follows."""
    whole = layer.is_operation or layer.class_name in _FUNCTIONS
    return (
        [*find_refs(layer.nodes[call])] if whole and call < len(layer.nodes) else layer.calls[call]
    )


def order_calls(network: Network, offsets: Mapping[str, int]) -> list[tuple[Layer, int]]:
    """Order the calls of a graph so that each stands behind those whose outputs it takes.

    Args:
        network: The graph.
        offsets: What the config counts each layer's first call as.

    Returns:
        All calls. Those that wait for each other stand at the end.
    """
    calls = [(layer, call) for layer in network.layers for call in range(len(layer.calls))]
    missing: dict[tuple[str, int], int] = {}
    users: dict[tuple[str, int], list[tuple[Layer, int]]] = {}
    there = {(layer.name, call) for layer, call in calls}
    for layer, call in calls:
        refs = _list_refs(layer, call)
        sources = {(ref.layer, ref.node - offsets.get(ref.layer, 0)) for ref in refs} & there
        missing[layer.name, call] = len(sources)
        for source in sources:
            users.setdefault(source, []).append((layer, call))
    ordered = [(layer, call) for layer, call in calls if not missing[layer.name, call]]
    for made, number in ordered:  # it grows meanwhile
        for layer, call in users.get((made.name, number), ()):
            missing[layer.name, call] -= 1
            if not missing[layer.name, call]:
                ordered.append((layer, call))
    return [*ordered, *(each for each in calls if missing[each[0].name, each[1]])]


def find_offsets(network: Network) -> dict[str, int]:
    """Find what the config counts each layer's first call as.

    Versions differ in whether the calls that Keras made of a nested model itself are counted.
    """
    asked: dict[str, list[int]] = {}
    for ref in [*network.outputs, *(ref for layer in network.layers for ref in layer.mentions)]:
        asked.setdefault(ref.layer, []).append(ref.node)
    offsets = {}
    for layer in network.layers:
        nodes = asked.get(layer.name, [layer.node_offset])
        least = max(nodes) - len(layer.calls) + 1
        offsets[layer.name] = max(min(layer.node_offset, min(nodes)), least)
    return offsets


def _read_input_shape(layer: Layer) -> Shape | None:
    """Read the input shape that a layer's own config says."""
    for key in ("batch_shape", "batch_input_shape"):
        shape = read_shape(layer.config.get(key))
        if shape is not None:
            return shape
    return None


def _collect_mentioned(
    network: Network, by_name: dict[str, Layer]
) -> dict[tuple[str, int], dict[int, Shape]]:
    """Collect the shapes that consumers say their inputs have, as configs of Keras 3 do."""
    mentioned: dict[tuple[str, int], dict[int, Shape]] = {}
    for layer in network.layers:
        for ref in layer.mentions:
            producer = by_name.get(ref.layer)
            if ref.shape is None or producer is None:
                continue
            if ref.node < len(producer.calls):
                mentioned.setdefault((ref.layer, ref.node), {})[ref.tensor] = ref.shape
    return {key: dict(sorted(tensors.items())) for key, tensors in mentioned.items()}


def _find_shape(
    ref: TensorRef,
    by_name: dict[str, Layer],
    offsets: dict[str, int],
    calls: dict[tuple[str, int], Shapes],
    mentioned: dict[tuple[str, int], dict[int, Shape]],
) -> Shape | None:
    producer = by_name.get(ref.layer)
    if producer is None:
        return ref.shape
    call = ref.node - offsets[ref.layer]
    made = calls.get((ref.layer, call))
    if made is None:
        return ref.shape or mentioned.get((ref.layer, call), {}).get(ref.tensor)
    own: Shape | None = made if isinstance(made, tuple) and ref.tensor == 0 else None
    if isinstance(made, list) and ref.tensor < len(made):
        own = made[ref.tensor]
    return _complete(own, ref.shape)


def _complete(own: Shape | None, told: Shape | None) -> Shape | None:
    """Take what follows from the layers, and where it leaves a length open, what a file says."""
    if own is None or told is None or len(own) != len(told):
        return own or told
    return tuple(b if a is None else a for a, b in zip(own, told, strict=True))
