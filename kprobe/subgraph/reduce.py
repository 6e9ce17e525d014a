"""Add reductions to a trace, before anything is cut out of it: so less leaves the device."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.subgraph.operand import Operand
from kprobe.trace.fetch import Fetch, Origin, find_fetches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.subgraph.reductions import Chain, Request
    from kprobe.trace.trace import Trace

Axes = tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Reduced:
    """A trace with reductions.

    Attributes:
        trace: The trace, to be used in the place of the one before.
        fetches: What is asked for, reduced.
        left_out: What can't be reduced among what patterns named, each with the reason.
        notes: What the user should know, a line each.
    """

    trace: Trace
    fetches: Sequence[Fetch]
    left_out: Sequence[str] = ()
    notes: Sequence[str] = ()


def reduce(
    trace: Trace,
    fetches: Sequence[Fetch],
    requests: Sequence[Request],
    axes: Mapping[int, Axes],
) -> Reduced:
    """Put what is left of tensors in their place.

    Args:
        trace: The trace, to whose graph operations are added.
        fetches: What is asked for.
        requests: What is to be left of which. Those that name addresses go before those that name
            none, which weights don't count for.
        axes: The names of the axes of their tensors, without that of samples, by the tensors' ids.

    Raises:
        AddressError: A request names nothing that is asked for, or something that was asked for by
            its name can't be reduced so. All that is wrong is reported.
    """
    if not requests:
        return Reduced(trace, fetches)
    asked = _assign(trace, fetches, requests)
    masks = {
        id(tensor): mask
        for call in trace.calls
        for key, mask in call.masks
        for name, tensor in call.outputs
        if name == key
    }
    faults: list[KprobeError] = []
    left_out: dict[str, None] = {}
    notes: dict[str, None] = {}
    result: list[Fetch] = []
    done: dict[tuple[int, str], Operand] = {}
    for fetch, chains in zip(fetches, asked, strict=True):
        if not chains:
            result.append(fetch)
        for chain in chains:
            try:
                operand = _open(trace, fetch, axes, masks)
                # A tensor of several addresses is computed and stored once, and so is this.
                key = id(fetch.tensor), str(chain)
                left = done.get(key) or done.setdefault(key, _apply(trace, chain, operand))
                result.append(_name(fetch, chain, left))
                notes |= dict.fromkeys(f"{fetch.address}: {note}" for note in left.notes)
            except AddressError as error:
                lines = [f"{fetch.address}.{chain}: {fault}" for fault in error.faults]
                if fetch.by_pattern:
                    left_out |= dict.fromkeys(lines)
                else:
                    faults.append(AddressError(*lines, hint=error.hint))
    if faults:
        raise merge_errors(faults)
    if not result:
        raise AddressError(*left_out)
    # What a trace knows of its graph is out of date now.
    return Reduced(dataclasses.replace(trace), result, [*left_out], [*notes])


def _assign(
    trace: Trace, fetches: Sequence[Fetch], requests: Sequence[Request]
) -> list[list[Chain]]:
    """Give for each of what is asked for what is to be left of it.

    Raises:
        AddressError: A request names nothing that is asked for.
    """
    everywhere = {str(c): c for one in requests if not one.addresses for c in one.chains}
    assigned: list[dict[str, Chain]] = [{} for _ in fetches]
    errors: list[KprobeError] = []
    for request in requests:
        for address in request.addresses:
            try:
                for number in _find_asked(trace, fetches, address):
                    assigned[number] |= {str(chain): chain for chain in request.chains}
            except AddressError as error:
                errors.append(error)
    if errors:
        raise merge_errors(errors)
    return [
        [*(chains or ({} if fetch.is_weight else everywhere)).values()]
        for fetch, chains in zip(fetches, assigned, strict=True)
    ]


def _find_asked(trace: Trace, fetches: Sequence[Fetch], address: str) -> list[int]:
    """Give the numbers of those of the fetches that an address, or an alias, names."""
    named = [n for n, fetch in enumerate(fetches) if address in (fetch.name, fetch.address)]
    if not named:
        meant = {fetch.address for fetch in find_fetches(trace, [address])}
        named = [n for n, fetch in enumerate(fetches) if fetch.address in meant]
    if not named:
        raise AddressError(
            f"reduce: {address} isn't among what is asked for", hint="ask for it, too"
        )
    return named


def _open(
    trace: Trace, fetch: Fetch, axes: Mapping[int, Axes], masks: Mapping[int, tf.Tensor]
) -> Operand:
    """Take a tensor to be reduced.

    Raises:
        AddressError: It can't be.
    """
    tensor = fetch.tensor
    if fetch.is_weight:
        raise AddressError("a weight has no rows to be reduced")
    if fetch.own:
        raise AddressError("what is computed in the place of what is fed isn't reduced")
    if tensor.graph is not trace.graph:
        raise AddressError("it lies in a loop, a branch or a function, where it isn't reduced")
    if id(tensor) in trace.ragged:
        raise AddressError("it is a ragged tensor, whose rows aren't reduced")
    dtype = tensor.dtype
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise AddressError(f"expected numbers, received {dtype.name}")
    if tensor.shape.rank is None:
        raise AddressError("nobody knows how many axes it has")
    first = tensor.shape[0] if tensor.shape.rank else 0
    sizes = {given.shape[0] for given in trace.inputs.values() if given.shape.rank}
    if first is not None and first not in sizes:
        raise AddressError(f"it has no row for each sample: its shape is {tuple(tensor.shape)}")
    names = axes.get(id(tensor)) or (None,) * (tensor.shape.rank - 1)
    # A boolean is stored as 0 or 1, and counts so.
    with trace.graph.as_default():
        values = tf.cast(tensor, tf.uint8) if dtype.is_bool else tensor
    return Operand(values, names, masks.get(id(tensor)), among_masked=bool(masks))


def _apply(trace: Trace, chain: Chain, operand: Operand) -> Operand:
    """Give what a chain leaves of a tensor.

    Raises:
        AddressError: It doesn't fit.
    """
    with trace.graph.as_default(), tf.name_scope("reductions"):
        for step in chain.steps:
            operand = step.apply(operand)
        # A tensor of its own, where nothing was done, too.
        return dataclasses.replace(operand, tensor=tf.identity(operand.tensor))


def _name(fetch: Fetch, chain: Chain, left: Operand) -> Fetch:
    """Put what is left of a tensor in its place."""
    before = {} if fetch.origin is None else fetch.origin.attrs
    told = {**before, "reduction": str(chain), "reduction_of": fetch.address}
    return dataclasses.replace(
        fetch,
        address=f"{fetch.address}.{chain}",
        name=f"{fetch.name}.{chain}",
        tensor=left.tensor,
        origin=Origin(
            told, axes=left.names, source=fetch.source, names=(fetch.address, fetch.name)
        ),
    )
