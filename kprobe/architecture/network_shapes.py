"""Tell the shapes of a network's calls from its config, where they are certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.architecture.network import find_refs, read_shape
from kprobe.architecture.operation_shapes import infer_operation
from kprobe.architecture.shapes import infer_shape

if TYPE_CHECKING:
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
    known: dict[tuple[int, Shape | None], NetworkShapes],
) -> NetworkShapes:
    """Infer the shapes of a network.

    Args:
        network: The network.
        given: The shape it is called on, for a Sequential that says none itself.
        known: What was inferred so far, by network and given shape. Without it the work would
            double with every level of models that are called twice.

    Returns:
        All that is certain.
    """
    key = (id(network), given)
    if key not in known:
        known[key] = _infer_network(network, given, known)
    return known[key]


def _infer_network(
    network: Network,
    given: Shape | None,
    known: dict[tuple[int, Shape | None], NetworkShapes],
) -> NetworkShapes:
    inner: dict[tuple[str, int], NetworkShapes] = {}
    calls: dict[tuple[str, int], Shapes] = {}
    taken: dict[tuple[str, int], list[Shape | None]] = {}
    if network.sequential:
        shape: Shapes | None = network.build_shape or given
        for layer in network.layers:
            before = _read_input_shape(layer) or (shape if isinstance(shape, tuple) else None)
            taken[layer.name, 0] = [before]
            shape = _infer_call(layer, 0, [before], inner, known)
            if shape is not None:
                calls[layer.name, 0] = shape
        return NetworkShapes(calls, inner, taken, shape)

    by_name = {layer.name: layer for layer in network.layers}
    offsets = _find_offsets(network)
    mentioned = _collect_mentioned(network, by_name)
    todo = [(layer, call) for layer in network.layers for call in range(len(layer.calls))]
    # The order of the config is that of the data but for shared layers, which take another round.
    for _ in range(8):
        left = []
        for layer, call in todo:
            is_function = layer.class_name in _FUNCTIONS and call < len(layer.nodes)
            refs = [*find_refs(layer.nodes[call])] if is_function else layer.calls[call]
            inputs = [_find_shape(ref, by_name, offsets, calls, mentioned) for ref in refs]
            taken[layer.name, call] = inputs
            if is_function:
                made: Shapes | None = infer_operation(layer.config, layer.nodes[call], inputs)
            else:
                made = _infer_call(layer, call, inputs or [None], inner, known)
            if made is None:
                left.append((layer, call))
            else:
                calls[layer.name, call] = made
        if len(left) == len(todo):
            break
        todo = left
    for (name, call), tensors in mentioned.items():
        if (name, call) not in calls and list(tensors) == list(range(len(tensors))):
            calls[name, call] = list(tensors.values()) if len(tensors) > 1 else tensors[0]
    outputs = [_find_shape(ref, by_name, offsets, calls, mentioned) for ref in network.outputs]
    told = [shape for shape in outputs if shape is not None]
    returned: Shapes | None = None
    if told and len(told) == len(outputs):
        returned = told[0] if len(told) == 1 else told
    return NetworkShapes(calls, inner, taken, returned)


def _infer_call(
    layer: Layer,
    call: int,
    inputs: list[Shape | None],
    inner: dict[tuple[str, int], NetworkShapes],
    known: dict[tuple[int, Shape | None], NetworkShapes],
) -> Shapes | None:
    if layer.network is not None:
        shapes = inner[layer.name, call] = infer_shapes(layer.network, inputs[0], known)
        return shapes.outputs
    if layer.is_input:
        return _read_input_shape(layer)
    # `Add` the operation isn't `Add` the layer, and the user's own class is neither.
    if layer.is_operation or not layer.is_own:
        return None
    return infer_shape(layer.class_name, layer.config, inputs)


def _find_offsets(network: Network) -> dict[str, int]:
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
