"""The weights of layers: their paths in a layer, and those that an address names."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.addresses.globs import compile_glob
from kprobe.errors import AddressError
from kprobe.naming import find_nearest, list_names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import tensorflow as tf

    from kprobe.addresses.calls import DroppedCall, LayerCall
    from kprobe.addresses.grammar import Address
    from kprobe.trace.trace import TracedCall


@dataclass(frozen=True, eq=False)
class Weight:
    """A weight of the layer of a call.

    Attributes:
        call: The call.
        path: The weight's path in the layer.
        all: All weights of the layer, by path: the variables of TensorFlow.
    """

    call: LayerCall
    path: str
    all: Mapping[str, tf.Variable]

    @property
    def variable(self) -> tf.Variable:
        """The variable."""
        return self.all[self.path]

    @property
    def name(self) -> str:
        """The last steps of its path that no other weight of the layer has."""
        steps = self.path.split("/")
        ends = ("/".join(steps[i:]) for i in reversed(range(len(steps))))
        return next(end for end in ends if _match(end, self.all) == [self.path])


def list_variables(layer: Any) -> dict[str, tf.Variable]:
    """Give the variables of a layer, and of the layers inside it, by their paths in it.

    Args:
        layer: A layer of keras or tf_keras; or an operation, which has none.

    Returns:
        The variables of TensorFlow by paths such as "kernel", "forward_lstm/lstm_cell/kernel".
    """
    found: dict[str, tf.Variable] = {}
    for variable in getattr(layer, "variables", ()):
        # tf_keras's variables have no path, but TensorFlow's names: "conv1/kernel:0".
        path = getattr(variable, "path", None) or variable.name.partition(":")[0]
        steps = path.split("/")
        if layer.name in steps[:-1]:
            path = "/".join(steps[steps.index(layer.name) + 1 :])
        # Nameless variables are all called the same, and so may layers inside be.
        distinct, numbers = path, itertools.count(1)
        while distinct in found:
            distinct = f"{path}_{next(numbers)}"
        found[distinct] = variable.value if hasattr(variable, "path") else variable
    return found


def find_weights(
    address: Address, calls: Sequence[TracedCall | DroppedCall]
) -> list[tuple[str, Weight]]:
    """Look up the weights that an address names.

    Args:
        address: The address.
        calls: The calls that its path names.

    Returns:
        The path of the layer, and the weight, at least one. A pattern of layers gives a weight
        through every call of the innermost layers that have it; a name that means several
        calls of a shared layer once, through the first.

    Raises:
        AddressError: No layer has such a weight; or a name fits several.
    """
    wanted = address.weight or ""
    every = [(call, list_variables(call.layer)) for call in calls]
    found = [Weight(call, path, own) for call, own in every for path in _match(wanted, own)]
    if not found:
        raise _unknown(
            address, [Weight(call, path, own) for call, own in every for path in own], calls
        )
    if address.steps is None or any(s.is_glob or s.call == "*" for s in address.steps):
        return [(weight.call.address, weight) for weight in _keep_innermost(found)]
    one = "*" not in wanted and "?" not in wanted
    distinct: dict[str, dict[int, Weight]] = {}
    for weight in found:
        same = distinct.setdefault("" if one else weight.path, {})
        same.setdefault(id(weight.variable), weight)
    for several in distinct.values():
        if len(several) > 1:
            texts = [f"{weight.call.address}:{weight.name}" for weight in several.values()]
            raise AddressError(
                f"{address.text!r} fits {len(texts)} weights: {list_names(texts, 8)}",
                hint="name one of them",
            )
    place = calls[0].address if len(calls) == 1 else address.text.removesuffix(f":{wanted}")
    return [(place, weight) for same in distinct.values() for weight in same.values()]


def _match(wanted: str, paths: Collection[str]) -> list[str]:
    """Give the path that a name is, or else those whose last steps a name or a glob is."""
    if wanted in paths:
        return [wanted]
    glob = compile_glob(f"*/{wanted}")
    return [path for path in paths if glob.fullmatch(f"/{path}")]


def _keep_innermost(weights: Sequence[Weight]) -> list[Weight]:
    """Leave out a weight of a layer where a layer inside it has the same one."""
    paths: dict[int, set[tuple[Any, ...]]] = {}
    for weight in weights:
        steps = weight.call.steps
        around = (steps[:i] for i in range(1, len(steps)))
        paths.setdefault(id(weight.variable), set()).update(around)
    return [w for w in weights if w.call.steps not in paths[id(w.variable)]]


def _unknown(
    address: Address, weights: Sequence[Weight], calls: Sequence[TracedCall | DroppedCall]
) -> AddressError:
    tensors = [tensor for call in calls for _, tensor in getattr(call, "outputs", ())]
    ports = {
        "in": any(getattr(call, "inputs", ()) for call in calls),
        "out": bool(tensors),
        "mask": any(getattr(call, "masks", ()) for call in calls),
        "scores": any(getattr(call, "scores", None) is not None for call in calls),
    }
    # What several layers have in common is the last step.
    own = [w.name if len(calls) == 1 else w.path.rpartition("/")[2] for w in weights]
    names = list(dict.fromkeys([*own, *(port for port, there in ports.items() if there)]))
    near = find_nearest(address.weight or "", names, 3)
    shown = list_names([f":{name}" for name in dict.fromkeys([*near, *names])], 8)
    if len(calls) == 1:
        return AddressError(f"{calls[0].address!r} has no :{address.weight}; it has {shown}")
    return AddressError(f"{address.text!r} names no weight; these layers have {shown}")
