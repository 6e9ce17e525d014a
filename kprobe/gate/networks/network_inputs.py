"""How large what layers take is at most, where that says how much Keras makes for them.

Some layers make a call for each step of their input, and some keep a state for each of its samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.architecture.network import find_refs, read_layer, read_network
from kprobe.architecture.network_shapes import find_offsets, infer_shapes, order_calls
from kprobe.architecture.shapes import infer_shape
from kprobe.gate.networks.extents import Extent, bound, join_extents, measure
from kprobe.gate.networks.network_sizes import Taken, depends_on_input

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from kprobe.architecture.network import Layer, Network, Shape
    from kprobe.architecture.network_shapes import NetworkShapes
    from kprobe.architecture.shapes import Shapes


def measure_inputs(config: dict[str, Any], keras_major: int) -> dict[int, Taken]:
    """Tell how large what layers take is at most.

    Args:
        config: A model's config, which has no more layers and calls than allowed.
        keras_major: 3 for the library `keras`, 2 for `tf_keras`.

    Returns:
        The most of all calls, by the `id` of the layer's own config. Only of layers that make a
        call for each step, or keep states.
    """
    network = read_network(config)
    if network is None:
        return {}
    measuring = _Measuring(keras_major)
    measuring.go(network, infer_shapes(network, None, measuring.known, told=False), ())
    return measuring.most


class _Measuring:
    """Goes through the calls of networks in networks, with what each takes."""

    def __init__(self, keras_major: int) -> None:
        self.most: dict[int, Taken] = {}
        self.known: dict[Hashable, NetworkShapes] = {}
        self._major = keras_major
        self._done: dict[Hashable, Extent] = {}
        # What was read here has to stay, for others are told apart by where they lie.
        self._kept: list[Layer] = []

    def go(self, network: Network, shapes: NetworkShapes, given: tuple[Extent, ...]) -> Extent:
        """Go through a network that is called on what is given, and tell what it gives."""
        key = (id(network), id(shapes), given)
        if key not in self._done:
            goes = self._go_through_stack if network.sequential else self._go_through_graph
            self._done[key] = goes(network, shapes, given)
        return self._done[key]

    def _go_through_stack(
        self, network: Network, shapes: NetworkShapes, given: tuple[Extent, ...]
    ) -> Extent:
        extent = join_extents(given)
        for layer in network.layers:
            extent = self._call(layer, 0, [extent], shapes)
        return extent

    def _go_through_graph(
        self, network: Network, shapes: NetworkShapes, given: tuple[Extent, ...]
    ) -> Extent:
        offsets = find_offsets(network)
        made: dict[tuple[str, int], Extent] = {}
        for layer, call in order_calls(network, offsets):
            refs = [*find_refs(layer.nodes[call])] if call < len(layer.nodes) else []
            inputs = [
                _find(ref.layer, ref.node - offsets.get(ref.layer, 0), made, shapes) for ref in refs
            ]
            if layer.is_input:
                inputs = [join_extents(given)]
            made[layer.name, call] = self._call(layer, call, inputs, shapes)
        ends = [(ref.layer, ref.node - offsets.get(ref.layer, 0)) for ref in network.outputs]
        return join_extents(made.get(end, Extent()) for end in ends)

    def _call(
        self, layer: Layer, call: int, inputs: Sequence[Extent], shapes: NetworkShapes
    ) -> Extent:
        """Note what a call takes, and tell what it gives."""
        taken = (shapes.inputs.get((layer.name, call)) or [None])[0]
        inner = shapes.inner.get((layer.name, call))
        given: Extent | None = None
        if layer.network is not None and inner is not None:
            given = self.go(layer.network, inner, tuple(inputs))
        elif layer.is_input:
            given = join_extents(inputs)
        else:
            given = self._enter(layer, taken, join_extents(inputs))
        made = shapes.calls.get((layer.name, call))
        if made is not None:
            return _measure_all(made)
        node = layer.nodes[call] if call < len(layer.nodes) else None
        return bound(layer, node, inputs) if given is None else given

    def _enter(self, layer: Layer, shape: Shape | None, extent: Extent) -> Extent | None:
        """Go into a layer and what it wraps, and tell what a model in it gives."""
        if layer.is_own:
            self._note(layer, shape, extent)
        if layer.is_own and layer.class_name == "Pipeline":
            return self._go_through_pipeline(layer, shape, extent)
        if not layer.is_own or layer.class_name not in ("Bidirectional", "TimeDistributed"):
            return None
        if layer.class_name == "TimeDistributed" and shape is not None:
            shape = (shape[0], *shape[2:])
        made: list[Extent] = []
        for wrapped in layer.wrapped:
            if wrapped.network is not None:
                inner = infer_shapes(wrapped.network, shape, self.known, told=False)
                made.append(self.go(wrapped.network, inner, (extent,)))
            elif (within := self._enter(wrapped, shape, extent)) is not None:
                made.append(within)
        # Of a model that is called for each step, all steps are given.
        return join_extents(made).grow(extent.axis, extent.axis) if made else None

    def _go_through_pipeline(self, layer: Layer, shape: Shape | None, extent: Extent) -> Extent:
        """Go through the layers of a `Pipeline`, each of which takes what the one before gives."""
        items = layer.config.get("layers")
        for item in items if isinstance(items, list) else []:
            inner = read_layer(item)
            if inner is None:
                continue
            self._kept.append(inner)
            made: Shapes | None = None
            if inner.network is not None:
                shapes = infer_shapes(inner.network, shape, self.known, told=False)
                extent, made = self.go(inner.network, shapes, (extent,)), shapes.outputs
            else:
                within = self._enter(inner, shape, extent)
                extent = bound(inner, None, [extent]) if within is None else within
                if inner.is_own:
                    made = infer_shape(inner.class_name, inner.config, [shape])
            shape = made if isinstance(made, tuple) else None
            extent = extent if shape is None else measure(shape)
        return extent

    def _note(self, layer: Layer, shape: Shape | None, extent: Extent) -> None:
        config = layer.config
        if not depends_on_input(layer.class_name, config, self._major):
            return
        taken = Taken(extent.axis, extent.axis, extent.volume)
        if shape is not None:
            batch, steps = (length or 1 for length in (*shape, 1, 1)[:2])
            taken = Taken(batch, steps, measure(shape).volume)
        before = self.most.get(id(config), Taken())
        self.most[id(config)] = Taken(*map(max, before, taken))


def _find(
    name: str, call: int, made: Mapping[tuple[str, int], Extent], shapes: NetworkShapes
) -> Extent:
    told = shapes.calls.get((name, call))
    return made.get((name, call), Extent()) if told is None else _measure_all(told)


def _measure_all(shapes: Shapes) -> Extent:
    return join_extents(
        measure(each) for each in (shapes if isinstance(shapes, list) else [shapes])
    )
