"""Look up the tensors of a trace that addresses name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.graph.resolve import Target, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kprobe.graph.address import Index
    from kprobe.graph.trace import Trace, TracedCall

Part = tuple[int | str | None, tf.Tensor]


@dataclass(frozen=True, eq=False)
class Fetch:
    """A tensor to compute.

    Attributes:
        address: The one address that names it and nothing else.
        name: What its dataset is to be called after: the alias, or the address.
        tensor: The tensor, in the trace.
        call: The layer call it belongs to.
    """

    address: str
    name: str
    tensor: tf.Tensor
    call: TracedCall


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
    if addresses is None:
        addresses = [call.address for call in trace.calls if not call.is_input]
    fetches: dict[tuple[str, str], Fetch] = {}
    errors: list[KprobeError] = []
    for target in resolve(addresses, trace.calls):
        try:
            for fetch in _fetch(target):
                fetches.setdefault((fetch.name, fetch.address), fetch)
        except AddressError as error:
            errors.append(error)
    if errors:
        raise merge_errors(errors)
    return list(fetches.values())


def _fetch(target: Target[TracedCall]) -> list[Fetch]:
    call, address = target.call, target.address
    if address.operation is not None:
        raise AddressError(f"{address.text!r}: operations inside layers can't be fetched yet")
    port = "" if address.port == "out" else f":{address.port}"
    place = call.address + port
    parts = _port(call, address.port)
    if not parts:
        raise AddressError(f"{place!r} has no tensor")
    chosen = _choose(place, parts, address.index)
    if address.alias and len(chosen) > 1:
        raise AddressError(f"the alias {address.alias!r} stands for {len(chosen)} tensors: {place}")
    fetches = []
    for key, tensor in chosen:
        name = place if key is None else f"{place}[{key}]"
        fetches.append(Fetch(name, address.alias or name, tensor, call))
    return fetches


def _port(call: TracedCall, port: str) -> Sequence[Part]:
    if port == "out":
        return call.outputs
    if port == "in":
        keys = range(len(call.inputs)) if len(call.inputs) > 1 else [None]
        return list(zip(keys, call.inputs, strict=False))
    masks = [(key, getattr(tensor, "_keras_mask", None)) for key, tensor in call.outputs]
    return [(key, mask) for key, mask in masks if mask is not None]


def _choose(place: str, parts: Sequence[Part], index: Index) -> Sequence[Part]:
    if index is None:
        return parts
    if isinstance(index, str):
        chosen: Sequence[Part] = [part for part in parts if part[0] == index]
    else:
        chosen = parts[index] if isinstance(index, slice) else parts[index : index + 1 or None]
    if not chosen:
        keys = ", ".join(f"[{key}]" for key, _ in parts if key is not None)
        has = f"it has {keys}" if keys else "it is one tensor"
        text = f"{index.start or ''}:{index.stop or ''}" if isinstance(index, slice) else index
        raise AddressError(f"{place!r} has no [{text}]; {has}")
    return chosen
