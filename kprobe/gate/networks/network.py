"""What a config says of its network, checked before Keras builds it.

Keras believes it: a reference to a call that is never made is waited for without end, models that
are called twice double their calls with every level, and a Sequential is built anew with every
layer that it is given. Nothing here recurses, and the work is linear in the config.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kprobe.gate.networks.network_calls import find_call_faults
from kprobe.gate.networks.network_inputs import measure_inputs
from kprobe.gate.networks.network_sizes import (
    MAX_MADE,
    MAX_TAKEN,
    Taken,
    count_made,
    count_own_work,
    count_taken,
    depends_on_input,
    find_size_faults,
    read_class,
)
from kprobe.gate.networks.patterns import Patterns
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The keys under which configs keep layers.
_LAYER_KEYS = frozenset({"layer", "layers", "cell", "cells", "forward_layer", "backward_layer"})
# How often Keras makes the layers inside of a wrapper, and how often it calls them for each call
# of its own. A Bidirectional makes two copies of the layer that it is given, and throws that away;
# StackedRNNCells ask the last cell twice for the size of its output.
_MAKING = {"Bidirectional": 3}
_CALLING = {"Bidirectional": 2, "StackedRNNCells": 2}
# Of a layer that waits for others: looking at it again costs that part of a call.
_LOOKS_PER_CALL = 8


@dataclass(frozen=True)
class NetworkLimits:
    """How large a model may be.

    Attributes:
        layers: How many layers it may have, nested models counted with what is inside. The
            largest of keras.applications, NASNetLarge, has 1,042.
        calls: How many calls of layers Keras may make to build it. One takes about 0.3 ms.
        steps: How many calls of layers are made one by one for the steps of an input, whenever
            the model runs or is traced. One takes 5 to 10 ms. InceptionV3 over 40 frames of a
            film makes about 12,800.
        objects: How many objects of any kind its config may have.
    """

    layers: int = 10_000
    calls: int = 100_000
    steps: int = 20_000
    objects: int = 300_000


class _Place(NamedTuple):
    """Where something stands in a config.

    Attributes:
        value: What stands there: a dict or a list.
        owner: The layer that it belongs to, such as "layer 'dense'"; "" for the model.
        path: How long the path of that layer's name is.
        is_layer: Whether it is a layer, or a list of layers.
        makes: How often Keras makes it.
        calls: How often Keras calls it, or what it belongs to.
        by_step: Whether it is called for each step of something's input.
    """

    value: Any
    owner: str = ""
    path: int = 0
    is_layer: bool = False
    makes: int = 1
    calls: int = 0
    by_step: bool = False


def find_network_faults(
    config: dict[str, Any], keras_major: int, limits: NetworkLimits | None = None
) -> Iterator[Fault]:
    """Find what is wrong with the network that a config describes.

    Args:
        config: The config of a model, as parsed: `class_name`, `config` and so on.
        keras_major: 3 for the library `keras`, 2 for `tf_keras`.
        limits: How large it may be; None for the usual limits.

    Yields:
        Its faults: of references, cycles, sizes and patterns of names. After one of too much,
        no more is looked at.
    """
    limits = limits or NetworkLimits()
    walk = _Walk(keras_major, limits, {})
    faulty = False
    for fault in walk.go(config):
        faulty = True
        yield fault
    if walk.needs_inputs and not faulty:
        # How large the inputs are follows from the layers, which had to be sound for that.
        yield from _Walk(keras_major, limits, measure_inputs(config, keras_major)).go(config)


class _Walk:
    """One way through a config.

    Args:
        keras_major: 3 for the library `keras`, 2 for `tf_keras`.
        limits: How large the model may be.
        inputs: What layers take, by the `id` of the layer's own config, of those for which that
            was measured. Some make a call for each step, or keep a state of each sample.
    """

    def __init__(
        self, keras_major: int, limits: NetworkLimits, inputs: Mapping[int, Taken]
    ) -> None:
        self.needs_inputs = False
        self._major = keras_major
        self._limits = limits
        self._inputs = inputs
        self._patterns = Patterns()
        self._layers = self._objects = self._work = self._steps = self._made = self._taken = 0
        self._longest = 0

    def go(self, config: dict[str, Any]) -> Iterator[Fault]:
        """Find the faults of a model's config."""
        # Loaded with compile=False, this is never looked at.
        root = {key: value for key, value in config.items() if key != "compile_config"}
        pending = [_Place(root, is_layer=True)]
        while pending:
            place = pending.pop()
            if isinstance(place.value, list):
                pending.extend(
                    place._replace(value=item)
                    for item in reversed(place.value)
                    if isinstance(item, dict | list)
                )
                continue
            value = place.value
            if value.get("class_name") == "__keras_tensor__":
                continue
            if "class_name" in value:
                self._objects += 1
                if place.is_layer or _is_known_layer(value):
                    place = place if value is root else _enter(place)
                    self._count_layer(place)
                    yield from find_size_faults(value, place.owner)
            for holder in (value, value.get("config")):
                if isinstance(holder, dict) and "policy_map" in holder:
                    yield from self._patterns.find_faults(holder, place.owner)
            network = read_lists(value)
            # Other classes than these may keep lists of layers with names of their own.
            if network is not None and ("input_layers" in network or _is_stack(value)):
                faults, looks = find_call_faults(network, self._major, place.owner)
                yield from faults
                self._work += looks // _LOOKS_PER_CALL
            fault = self._find_excess()
            if fault is not None:
                yield fault
                return
            pending.extend(reversed([*self._list_inside(place, network)]))
        yield from self._patterns.judge_all(self._longest)

    def _count_layer(self, place: _Place) -> None:
        config = place.value.get("config")
        taken = self._inputs.get(id(config))
        own = count_own_work(place.value, taken, self._major)
        self._layers += 1
        self._work += place.makes
        if place.by_step or own > 1:
            self._steps += max(place.calls, 1) * own
        else:
            self._work += max(place.calls, 1)
        # Without an input layer, the first layer says the same.
        is_input, given = read_class(place.value) == "InputLayer", count_taken(place.value)
        self._taken = self._taken + given if is_input else max(self._taken, given)
        self._made += place.makes * count_made(place.value, taken)
        self._longest = max(self._longest, place.path)
        kind = read_class(place.value)
        if isinstance(config, dict) and kind:
            self.needs_inputs |= depends_on_input(kind, config, self._major)

    def _find_excess(self) -> Fault | None:
        for what, count, most in (
            ("layers", self._layers, self._limits.layers),
            ("calls of layers to build it", self._work, self._limits.calls),
            ("calls of layers step by step", self._steps, self._limits.steps),
            ("objects in its config", self._objects, self._limits.objects),
        ):
            if count > most:
                return Fault("network-size", f"expected at most {most:,} {what}, received more")
        if self._taken > MAX_TAKEN:
            text = f"expected at most {MAX_TAKEN:,} numbers in its inputs for a batch, received"
            return Fault("network-size", f"{text} {self._taken:.3g} or more")
        if self._made > MAX_MADE:
            text = f"makes {self._made:.2g} numbers that are no weights, more than {MAX_MADE:,}"
            return Fault("network-size", text)
        return None

    def _list_inside(self, place: _Place, network: dict[str, Any] | None) -> Iterator[_Place]:
        """List what is in an object or a dict, and how often Keras makes and calls it."""
        value = place.value
        within = place._replace(is_layer=False)
        if network is not None:
            yield from _list_layers(network, place)
        elif "config" in value:
            kind = read_class(value)
            calls = place.calls * _CALLING.get(kind, 1)
            by_step = place.by_step
            if kind == "TimeDistributed" and (taken := self._inputs.get(id(value["config"]))):
                calls, by_step = calls * taken.steps, True
            makes = place.makes * _MAKING.get(kind, 1)
            within = within._replace(makes=makes, calls=calls, by_step=by_step)
        for key, item in value.items():
            if key == "config" and isinstance(item, dict):
                for name, inner in item.items():
                    if isinstance(inner, dict | list) and (network is None or name != "layers"):
                        yield within._replace(value=inner, is_layer=name in _LAYER_KEYS)
            elif isinstance(item, dict | list) and (network is None or key != "config"):
                yield within._replace(value=item, is_layer=key in _LAYER_KEYS)


def _is_stack(value: dict[str, Any]) -> bool:
    return value.get("class_name") == "Sequential"


def _is_known_layer(value: dict[str, Any]) -> bool:
    """Tell a layer that stands where layers don't usually: by what only configs of layers have."""
    config = value.get("config")
    return isinstance(config, dict) and ("trainable" in config or "layers" in config)


def read_lists(value: dict[str, Any]) -> dict[str, Any] | None:
    """Give the config of a network of layers, where an object has one of its own.

    Returns:
        A dict with `layers`, and `input_layers` and `output_layers` where it is a graph; None for
        everything else.
    """
    config = value.get("config")
    if isinstance(config, list):
        return {"layers": config}  # of a Sequential before Keras 2.2
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        return None
    return config


def _enter(place: _Place) -> _Place:
    config = place.value.get("config")
    name = place.value.get("name") or (config.get("name") if isinstance(config, dict) else None)
    if not isinstance(name, str):
        return place
    return place._replace(owner=f"layer {show(name)}", path=place.path + len(name) + 1)


def _list_layers(network: dict[str, Any], place: _Place) -> Iterator[_Place]:
    """List the layers of a network: how often each is called follows from how it is built."""
    layers = network["layers"]
    for position, layer in enumerate(layers):
        if "input_layers" in network:
            nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else None
            own = len(nodes) if isinstance(nodes, list) else 0
            calls = own * (place.makes + place.calls)
        else:
            # A Sequential is built anew with each layer that it is given.
            calls = place.makes * (len(layers) - position) + place.calls
        if isinstance(layer, dict | list):
            yield place._replace(value=layer, is_layer=True, calls=calls)
