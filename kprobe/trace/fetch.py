"""Look up the tensors of a trace that addresses name."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.addresses.grammar import Address, Step
from kprobe.addresses.resolve import Target, resolve
from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.naming import list_names
from kprobe.trace.operations import find_operations
from kprobe.trace.recording.dropped import VECTORIZED, hint_at_vectorized
from kprobe.trace.weights import find_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kprobe.addresses.grammar import Index
    from kprobe.trace.trace import Trace, TracedCall

Part = tuple[int | str | None, tf.Tensor]


@dataclass(frozen=True, eq=False)
class Origin:
    """What is known of a tensor that was added to a trace.

    Attributes:
        attrs: What a dump says of it, beside what it says of every tensor.
        like: The tensor of the trace whose axes it has; None for none.
        axes: The names of the axes of its rows, where they are known beforehand.
        source: The tensor whose place it takes, in the order of the model and in what follows from
            what; None for its own.
        names: By which names that one was asked for.
    """

    attrs: Mapping[str, str]
    like: tf.Tensor | None = None
    axes: tuple[str | None, ...] = ()
    source: tf.Tensor | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Fetch:
    """A tensor to compute.

    Attributes:
        address: The one address that names it and nothing else.
        name: What its dataset is to be called after: the alias, or the address.
        tensor: The tensor, in the trace; of a weight the variable, which lives outside of it.
        layer: The address of the layer call it belongs to, or "".
        layer_class: That layer's class, or the type of an operation outside of layers.
        by_pattern: Whether a pattern found it, rather than its name, and gave it no other name.
        own: Whether it is meant as computed, where it is fed.
        gradient: Whether the gradient with regard to the tensor is meant.
        origin: Of a tensor that was added to the trace, such as a gradient, what it is.
    """

    address: str
    name: str
    tensor: tf.Tensor
    layer: str
    layer_class: str
    by_pattern: bool
    own: bool = False
    gradient: bool = False
    origin: Origin | None = None

    @property
    def is_weight(self) -> bool:
        """Whether it is a weight, which no input changes."""
        return isinstance(self.tensor, tf.Variable)

    @property
    def source(self) -> tf.Tensor:
        """The tensor whose place it takes: itself, unless it is what a reduction leaves of one."""
        if self.origin is None or self.origin.source is None:
            return self.tensor
        return self.origin.source

    @property
    def names(self) -> set[str]:
        """What it was asked for by: its address, its name, and those of what was reduced."""
        return {self.address, self.name, *(() if self.origin is None else self.origin.names)}

    def read(self) -> tf.Tensor:
        """Give the present value of a weight, on a CPU without copying it."""
        return tf.convert_to_tensor(self.tensor)


def find_fetches(trace: Trace, addresses: Iterable[str] | None) -> list[Fetch]:
    """Look up the tensors that the addresses name.

    Args:
        trace: The model's trace.
        addresses: The addresses; None for the outputs of every layer call.

    Returns:
        The fetches in the order of the addresses, each address once.

    Raises:
        AddressError: Addresses that name nothing, or not what they should; all are reported.
    """
    errors: list[KprobeError] = []
    if addresses is None:
        every = Address("**", steps=(Step("**"),))
        resolved = [Target(call, every) for call in trace.calls if not call.is_input]
    else:
        resolved = resolve(addresses, trace.calls, trace.dropped, errors)
    fetches: dict[tuple[str, str], Fetch] = {}
    for _, group in itertools.groupby(resolved, lambda target: id(target.address)):
        missing: list[KprobeError] = []
        found: list[Fetch] = []
        for targets in _take_together(list(group)):
            try:
                found += _fetch(targets, trace)
            except AddressError as error:
                missing.append(error)
        # Of the layers that a pattern names, not all need to have what it asks of them.
        errors += missing[:1] if not found else []
        for fetch in found:
            fetches.setdefault((fetch.name, fetch.address), fetch)
    if errors:
        raise merge_errors(errors)
    return list(fetches.values())


def _take_together(targets: list[Target[TracedCall]]) -> list[list[Target[TracedCall]]]:
    """A weight may be that of all the calls an address names, a tensor belongs to one."""
    return [targets] if targets[0].address.weight is not None else [[t] for t in targets]


def _fetch(targets: Sequence[Target[TracedCall]], trace: Trace) -> list[Fetch]:
    call, address = targets[0].call, targets[0].address
    if address.weight is not None:
        return _fetch_weights(address, [t.call for t in targets if t.call is not None], trace)
    if call is None or address.operation is not None:
        found = find_operations(trace, call, address)
        layer = ("", found[0][1].op.type) if call is None else (call.address, call.class_name)
        return _name(found, address, *layer)
    if (address.own or address.gradient) and address.port == "out" and address.index is None:
        # A layer may have a weight of that name.
        with contextlib.suppress(AddressError):
            mark = "own" if address.own else "gradient"
            weight = replace(address, own=False, gradient=False, weight=mark)
            return _fetch_weights(weight, [call], trace)
    port = "" if address.port == "out" else f":{address.port}"
    place = call.address + port
    parts = _port(call, address.port)
    if not parts and address.port == "scores":
        # A layer without attention may have a weight of that name.
        return _fetch_weights(replace(address, port="out", weight="scores"), [call], trace)
    if not parts:
        raise AddressError(f"{place!r} has no tensor")
    chosen = _choose(place, parts, address.index)
    named = [(place if key is None else f"{place}[{key}]", tensor) for key, tensor in chosen]
    # A call of which one output is used may have another that is of one row only.
    kept = [(name, tensor) for name, tensor in named if not trace.is_leftover(tensor)]
    if not kept:
        raise AddressError(f"{named[0][0]!r} {VECTORIZED}", hint=hint_at_vectorized(call.address))
    return _name(kept, address, call.address, call.class_name)


def _fetch_weights(address: Address, calls: Sequence[TracedCall], trace: Trace) -> list[Fetch]:
    found = find_weights(address, calls)
    if address.alias:
        # A weight of a shared layer has several addresses, of which a name of its own needs one.
        found = list({id(weight.variable): (place, weight) for place, weight in found}.values())
    _check_alias(address, [f"{place}:{weight.name}" for place, weight in found])
    return [
        Fetch(
            address=f"{place}:{weight.name}",
            name=address.alias or f"{place}:{weight.name}",
            tensor=trace.find_value(weight.variable),
            layer=place,
            layer_class=weight.call.class_name,
            by_pattern=address.is_pattern and not address.alias,
        )
        for place, weight in found
    ]


def _name(
    tensors: Sequence[tuple[str, tf.Tensor]], address: Address, layer: str, layer_class: str
) -> list[Fetch]:
    _check_alias(address, [name for name, _ in tensors])
    by_pattern = address.is_pattern and not address.alias
    mark = ":own" if address.own else ":gradient" if address.gradient else ""
    return [
        Fetch(
            address=f"{name}{mark}",
            name=address.alias or f"{name}{mark}",
            tensor=tensor,
            layer=layer,
            layer_class=layer_class,
            by_pattern=by_pattern,
            own=address.own,
            gradient=address.gradient,
        )
        for name, tensor in tensors
    ]


def _check_alias(address: Address, names: Sequence[str]) -> None:
    if address.alias and len(names) > 1:
        raise AddressError(
            f"the alias {address.alias!r} stands for {len(names)} tensors: {list_names(names, 8)}"
        )


def _port(call: TracedCall, port: str) -> Sequence[Part]:
    if port == "out":
        return call.outputs
    if port == "in":
        keys = range(len(call.inputs)) if len(call.inputs) > 1 else [None]
        return list(zip(keys, call.inputs, strict=False))
    if port == "scores":
        return [] if call.scores is None else [(None, call.scores)]
    return call.masks


def _choose(place: str, parts: Sequence[Part], index: Index) -> Sequence[Part]:
    if index is None:
        return parts
    if isinstance(index, str):
        inside = f"{index}."  # of a dict in a dict, or a list in one
        chosen: Sequence[Part] = [
            part for part in parts if part[0] == index or str(part[0]).startswith(inside)
        ]
    else:
        chosen = parts[index] if isinstance(index, slice) else parts[index : index + 1 or None]
    if not chosen:
        keys = ", ".join(f"[{key}]" for key, _ in parts if key is not None)
        has = f"it has {keys}" if keys else "it is one tensor"
        text = f"{index.start or ''}:{index.stop or ''}" if isinstance(index, slice) else index
        raise AddressError(f"{place!r} has no [{text}]; {has}")
    return chosen
