"""How many steps the inputs of layers have, where a layer makes a call for each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.architecture.network import read_layer, read_network
from kprobe.architecture.network_shapes import infer_shapes
from kprobe.gate.networks.network_sizes import goes_by_step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.architecture.network import Layer, Network, Shape
    from kprobe.architecture.network_shapes import NetworkShapes


def measure_steps(config: dict[str, Any], keras_major: int) -> dict[int, int]:
    """Tell how many steps the inputs of layers have.

    Args:
        config: A model's config, which has no more layers and calls than allowed.
        keras_major: 3 for the library `keras`, 2 for `tf_keras`.

    Returns:
        The most steps of any call, by the `id` of the layer's own config; none where it isn't
        known. Only of layers that make a call for each step.
    """
    network = read_network(config)
    if network is None:
        return {}
    most: dict[int, int] = {}
    for layer, shape in _walk(network, infer_shapes(network, None, {}, told=False)):
        steps = shape[1] if shape is not None and len(shape) > 1 else None
        if steps is None or not layer.is_own:
            continue
        if goes_by_step(layer.class_name, layer.config, keras_major):
            most[id(layer.config)] = max(most.get(id(layer.config), 0), steps)
    return most


def _walk(network: Network, shapes: NetworkShapes) -> Iterator[tuple[Layer, Shape | None]]:
    """Go through the calls of layers, with the shape of what each takes first."""
    for layer in network.layers:
        for call in range(len(layer.calls)):
            inputs = shapes.inputs.get((layer.name, call)) or [None]
            inner = shapes.inner.get((layer.name, call))
            if layer.network is not None and inner is not None:
                yield from _walk(layer.network, inner)
            else:
                yield from _enter(layer, inputs[0])


def _enter(layer: Layer, shape: Shape | None) -> Iterator[tuple[Layer, Shape | None]]:
    """Go through a layer and what it wraps."""
    yield layer, shape
    if layer.class_name not in ("Bidirectional", "TimeDistributed"):
        return
    if layer.class_name == "TimeDistributed" and shape is not None:
        shape = (shape[0], *shape[2:])
    for key in ("layer", "backward_layer"):
        wrapped = read_layer(layer.config.get(key))
        if wrapped is None:
            continue
        if wrapped.network is not None:
            yield from _walk(wrapped.network, infer_shapes(wrapped.network, shape, {}, told=False))
        else:
            yield from _enter(wrapped, shape)
