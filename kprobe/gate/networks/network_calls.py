"""The calls between the layers of a network: what they refer to, and in which order they are made.

Keras makes a call when all that it refers to was made, and looks at the layers in rounds until all
calls are made. tf_keras never stops where one can't be: a reference to what isn't there, and a
cycle, are the same to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from kprobe.gate.networks.network_sizes import read_class
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterator

_Call: TypeAlias = tuple[str, int]

CONSTANT = "_CONSTANT_VALUE"  # stands where the name of a layer would, in Keras 2
# How many layers of a cycle are named.
_SHOWN = 4
_RULE = "network-references"
# What gives one tensor for each call, whatever it is called with.
# fmt: off
_SINGLE = frozenset({
    "Add", "Average", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    "BatchNormalization", "Concatenate", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose",
    "Conv2DTranspose", "Conv3DTranspose", "Dense", "DepthwiseConv1D", "DepthwiseConv2D", "Dot",
    "Embedding", "Flatten", "GlobalAveragePooling1D", "GlobalAveragePooling2D",
    "GlobalAveragePooling3D", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "LayerNormalization", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "Maximum", "Minimum",
    "Multiply", "Permute", "RepeatVector", "Reshape", "SeparableConv1D", "SeparableConv2D",
    "Subtract", "UpSampling1D", "UpSampling2D", "UpSampling3D", "ZeroPadding1D", "ZeroPadding2D",
    "ZeroPadding3D",
})
# fmt: on


class _Ref(NamedTuple):
    """What a call says that it takes; each is to be a layer's name and two counts."""

    layer: Any
    node: Any
    tensor: Any


@dataclass(frozen=True)
class _Layer:
    """A layer, as far as its calls go.

    Attributes:
        name: Its name.
        position: Where it stands among the layers.
        nodes: How often it is called, and with what.
        calls: How many calls of it can be referred to: an input layer has one by itself.
        first: What the first of its calls is counted as.
        slack: Whether they may be counted from one more: what Keras 3 writes of a nested model
            differs between the arguments of calls and the outputs of models.
        tensors: How many tensors each call gives; None where that isn't certain.
    """

    name: str
    position: int
    nodes: list[list[_Ref]]
    calls: int
    first: int
    slack: bool
    tensors: int | None

    def find_call(self, node: int) -> int | None:
        """Give which of its calls is meant, from 0 on; None if there is no such call."""
        call = node - self.first
        if self.slack and call == self.calls > 0:
            call -= 1
        return call if 0 <= call < self.calls else None


def find_call_faults(
    network: dict[str, Any], keras_major: int, owner: str
) -> tuple[list[Fault], int]:
    """Find what is wrong with the calls of a network.

    Args:
        network: Its config, with `layers`, and `input_layers` and `output_layers` for a graph.
        keras_major: 3 for the library `keras`, 2 for `tf_keras`.
        owner: The model that it is, such as "layer 'encoder'"; "" for the outermost.

    Returns:
        The faults, and how often Keras looks at a layer that still has to wait.
    """
    items = network["layers"]
    names = _read_names(items)
    twice = [
        name for name, count in Counter(n for n in names if n is not None).items() if count > 1
    ]
    faults = [Fault(_RULE, f"has several layers called {show(name)}", owner) for name in twice[:1]]
    if "input_layers" not in network and "output_layers" not in network:
        return faults, 0
    if None in names:
        at = names.index(None)
        faults.append(Fault(_RULE, f"has a layer without a name, at place {at} of its list", owner))
    if faults:
        return faults, 0
    layers = {
        layer.name: layer
        for position, item in enumerate(items)
        if (layer := _read_layer(item, names[position] or "", position, keras_major))
    }
    ends = [*_find_refs([network.get("input_layers"), network.get("output_layers")], legacy=True)]
    for layer in layers.values():
        for node in layer.nodes:
            if not node:
                # Called on constants alone, an operation is computed when the model is loaded.
                faults.append(Fault(_RULE, "is called on no tensor", f"layer {show(layer.name)}"))
            for ref in node:
                if wrong := _judge(ref, layers):
                    faults.append(Fault(_RULE, wrong, f"layer {show(layer.name)}"))
                    break
    faults += [
        Fault(_RULE, f"for its inputs or outputs, {wrong}", owner)
        for ref in ends
        if (wrong := _judge(ref, layers))
    ]
    if faults:
        return faults, 0
    return _order_calls(layers)


def _read_names(items: list[Any]) -> list[str | None]:
    names = []
    for item in items:
        config = item.get("config") if isinstance(item, dict) else None
        name = item.get("name") if isinstance(item, dict) else None
        name = name or (config.get("name") if isinstance(config, dict) else None)
        names.append(name if isinstance(name, str) else None)
    return names


def _read_layer(item: Any, name: str, position: int, keras_major: int) -> _Layer:
    kind = read_class(item)
    nodes = item.get("inbound_nodes")
    read = [[*_find_node_refs(node)] for node in nodes] if isinstance(nodes, list) else []
    config = item.get("config")
    inner = isinstance(config, list) or (isinstance(config, dict) and "layers" in config)
    tensors = 1 if kind in _SINGLE or kind == "InputLayer" else None
    if isinstance(config, dict) and "output_layers" in config:
        tensors = sum(1 for _ in _find_refs(config["output_layers"], legacy=True))
    calls = len(read) + (kind == "InputLayer")
    first, slack = 0, inner
    if inner and keras_major < 3 and kind in ("Functional", "Model", "Sequential"):
        # tf_keras has one rule, and waits without end for a call that is counted otherwise.
        first, slack = int(starts_with_input(item)), False
    return _Layer(name, position, read, calls, first, slack, tensors)


def starts_with_input(item: dict[str, Any]) -> bool:
    """Tell whether tf_keras calls a model itself while it makes it: where it knows its input."""
    while True:
        config = item.get("config")
        layers = config if isinstance(config, list) else None
        if isinstance(config, dict):
            if config.get("build_input_shape"):
                return True
            layers = config.get("layers")
        first = layers[0] if isinstance(layers, list) and layers else None
        if not isinstance(first, dict):
            return layers == []
        own = first.get("config")
        if first.get("class_name") == "InputLayer":
            return True
        if isinstance(own, dict) and own.get("batch_input_shape"):
            return True
        if isinstance(config, dict) and "input_layers" in config:
            return False
        item = first


def _find_node_refs(node: Any) -> Iterator[_Ref]:
    if isinstance(node, dict) and ("args" in node or "kwargs" in node):
        yield from _find_refs([node.get("args"), node.get("kwargs")], legacy=False)
    else:
        yield from _find_refs(node, legacy=True)


def _find_refs(value: Any, *, legacy: bool) -> Iterator[_Ref]:
    """Find what is referred to, in the order of the config.

    Args:
        value: Arguments, or inputs or outputs.
        legacy: Whether lists that begin with a text and have three or four items are references,
            as Keras 2 takes them.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            inner = item.get("config")
            if item.get("class_name") == "__keras_tensor__" and isinstance(inner, dict):
                history = inner.get("keras_history")
                if history is not None:
                    whole = isinstance(history, list) and len(history) == 3
                    yield _Ref(*history) if whole else _Ref(history, None, None)
                continue
            pending.extend(reversed(item.values()))
        elif isinstance(item, list):
            if legacy and len(item) in (3, 4) and isinstance(item[0], str):
                if item[0] != CONSTANT:
                    yield _Ref(*item[:3])
                pending.extend(item[3:])
                continue
            pending.extend(reversed(item))


def _judge(ref: _Ref, layers: dict[str, _Layer]) -> str | None:
    """Say what is wrong with a reference."""
    if not isinstance(ref.layer, str):
        return "takes what isn't the name of a layer and two counts"
    layer = layers.get(ref.layer)
    if layer is None:
        return f"takes the output of a layer {show(ref.layer)}, which isn't there"
    if type(ref.node) is not int or type(ref.tensor) is not int:
        return f"takes an output of layer {show(ref.layer)} that isn't told by two counts"
    if layer.find_call(ref.node) is None:
        return (
            f"takes the output of call {ref.node} of layer {show(ref.layer)}, which has "
            f"{layer.calls} call{'' if layer.calls == 1 else 's'}"
        )
    if ref.tensor < 0 or (layer.tensors is not None and ref.tensor >= layer.tensors):
        count = "no such" if layer.tensors is None else str(layer.tensors)
        return f"takes output {ref.tensor} of layer {show(ref.layer)}, which has {count}"
    return None


def _order_calls(layers: dict[str, _Layer]) -> tuple[list[Fault], int]:
    """Make the calls in an order that is possible.

    Returns:
        A fault where there is none, and how often Keras looks at layers that wait.
    """
    waits: dict[_Call, list[_Call]] = {}
    for layer in layers.values():
        for call in range(layer.calls):
            # An input layer has its call by itself.
            refs = layer.nodes[call] if call < len(layer.nodes) else []
            before = [(layer.name, call - 1)] if call else []
            others = [(ref.layer, layers[ref.layer].find_call(ref.node) or 0) for ref in refs]
            waits[layer.name, call] = [*before, *others]
    missing = {waiting: len(others) for waiting, others in waits.items()}
    users: dict[_Call, list[_Call]] = {}
    for waiting, others in waits.items():
        for other in others:
            users.setdefault(other, []).append(waiting)
    rounds = dict.fromkeys(waits, 0)
    ready = [waiting for waiting, count in missing.items() if count == 0]
    while ready:
        made = ready.pop()
        for user in users.get(made, ()):
            # What stands further behind is made in this round, what stands before only in the next.
            later = layers[made[0]].position > layers[user[0]].position
            rounds[user] = max(rounds[user], rounds[made] + later)
            missing[user] -= 1
            if missing[user] == 0:
                ready.append(user)
    if any(missing.values()):
        cycle = _find_cycle(waits, missing)
        names = list(dict.fromkeys(name for name, _ in cycle))
        shown = ", ".join(show(name) for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        text = "waits for its own output"
        if len(names) > 1:
            text += f", through {shown}{more}"
        return [Fault("network-cycle", text, f"layer {show(names[0])}")], 0
    last = {layer.name: layer.calls - 1 for layer in layers.values() if layer.calls}
    return [], sum(rounds[name, call] for name, call in last.items())


def _find_cycle(waits: dict[_Call, list[_Call]], missing: dict[_Call, int]) -> list[_Call]:
    """Find a cycle among the calls that can't be made: each waits for one of them."""
    call = next(call for call, count in missing.items() if count)
    path: dict[_Call, None] = {}
    while call not in path:
        path[call] = None
        call = next(other for other in waits[call] if missing[other])
    cycle = list(path)
    return cycle[cycle.index(call) :]
