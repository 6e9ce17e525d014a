"""Gradients: operations that are added to a trace, before anything is cut out of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.errors import AddressError, Hint, KprobeError, Setting, merge_errors
from kprobe.graphdef.liveness import find_ancestors
from kprobe.naming import list_names
from kprobe.trace.fetch import Fetch, Gradient, find_fetches
from kprobe.trace.recording.dropped import FRAMED_HINT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kprobe.subgraph.unit import Unit
    from kprobe.trace.trace import Trace

_SUFFIX = ":gradient"


@dataclass(frozen=True, eq=False)
class Differentiated:
    """A trace with gradients.

    Attributes:
        trace: The trace, to be used in the place of the one before.
        fetches: What is asked for, gradients among it.
        left_out: What has no gradient among what patterns named, each with the reason.
    """

    trace: Trace
    fetches: Sequence[Fetch]
    left_out: Sequence[str] = ()


def differentiate(
    trace: Trace, fetches: Sequence[Fetch], target: str | None, unit: Unit, fed: Collection[int]
) -> Differentiated:
    """Add the gradients of a target with regard to the tensors that are asked for.

    The target is summed over the samples: where samples don't depend on each other, each gets the
    gradient of its own.

    Args:
        trace: The trace, to whose graph operations are added.
        fetches: What is asked for. Where some are gradients, those alone are added; else that of
            each tensor, behind it.
        target: The address of the target; None for none.
        unit: Which of its values.
        fed: The ids of the tensors whose values come from outside, or are replaced: gradients end
            there. Behind noise, too: what computes a tensor is differentiated where it was
            computed, and the graph holds the noisy value in its place.

    Raises:
        AddressError: The target isn't one tensor that has a row for each sample and can be
            differentiated, or has no such unit; or it has no gradient with regard to something
            that was asked for by its name. All that is wrong with those is reported.
    """
    named = [fetch for fetch in fetches if fetch.gradient is not None]
    if target is None:
        if named:
            raise AddressError(
                f"{list_names([fetch.address for fetch in named], 8)}: a gradient of what?",
                hint=Hint("say of which tensor with ", Setting("gradients_of", "predictions")),
            )
        return Differentiated(trace, fetches)
    of = _find_target(trace, target)
    asked = named or [fetch for fetch in fetches if not fetch.is_weight and not fetch.own]
    if not asked:
        raise AddressError(f"{of.address} has no gradient with regard to weights")
    found, missing = _add(trace, of, unit, asked, fed)
    faults: list[KprobeError] = [
        AddressError(f"{fetch.address} {missing[id(fetch.tensor)]}")
        for fetch in asked
        if id(fetch.tensor) in missing and not fetch.by_pattern
    ]
    left_out = dict.fromkeys(
        f"{_name(fetch)}: {fetch.address.removesuffix(_SUFFIX)} {missing[id(fetch.tensor)]}"
        for fetch in asked
        if id(fetch.tensor) in missing
    )
    if faults:
        hint = "" if named else f"write {_SUFFIX} behind the addresses whose gradients are wanted"
        raise AddressError(*merge_errors(faults).faults, hint=hint)
    if not found:
        raise AddressError(*left_out)
    # What a trace knows of its graph is out of date now.
    fresh = dataclasses.replace(trace)
    result: list[Fetch] = []
    for fetch in fetches:
        if fetch.gradient is None:
            result.append(_find_again(fresh, fetch))
        if fetch in asked and id(fetch.tensor) in found:
            gradient = Gradient(of.address, str(unit), fetch.tensor)
            name = fetch.name if named else f"{fetch.name}{_SUFFIX}"
            result.append(_replace(fetch, name, found[id(fetch.tensor)], gradient))
    return Differentiated(fresh, result, list(left_out))


def _replace(fetch: Fetch, name: str, tensor: tf.Tensor, gradient: Gradient) -> Fetch:
    return dataclasses.replace(
        fetch, address=_name(fetch), name=name, tensor=tensor, gradient=gradient
    )


def _find_again(trace: Trace, fetch: Fetch) -> Fetch:
    """Look up what lies in a function, which may be another one that keeps more for gradients."""
    if fetch.is_weight or fetch.tensor.graph is trace.graph:
        return fetch
    found = find_fetches(trace, [fetch.address])[0]
    return dataclasses.replace(fetch, tensor=found.tensor)


def _name(fetch: Fetch) -> str:
    return f"{fetch.address.removesuffix(_SUFFIX)}{_SUFFIX}"


def _find_target(trace: Trace, address: str) -> Fetch:
    """Look up the target, and check that it has a gradient of each sample by itself."""
    try:
        fetches = find_fetches(trace, [address])
    except AddressError as error:
        raise AddressError(
            *(f"the target of gradients: {fault}" for fault in error.faults), hint=error.hint
        ) from error
    if len(fetches) != 1:
        names = list_names([fetch.address for fetch in fetches], 8)
        raise AddressError(
            f"the target {address} stands for {len(fetches)} tensors: {names}", hint="choose one"
        )
    fetch = fetches[0]
    tensor = fetch.tensor
    if fetch.is_weight:
        raise AddressError(f"the target {address} is a weight, which depends on nothing")
    if fetch.own or fetch.gradient is not None:
        plain, _, mark = fetch.address.rpartition(":")
        raise AddressError(
            f"the target {address}: expected a layer's tensor, received its :{mark}",
            hint=f"write {plain}",
        )
    if not tensor.dtype.is_floating:
        raise AddressError(f"the target {address} holds {tensor.dtype.name}: it has no gradient")
    if tensor.graph is not trace.graph:
        raise AddressError(
            f"the target {address} lies in a loop, a branch or a function, and has no gradient",
            hint="take what that gives",
        )
    sizes = {given.shape[0] for given in trace.inputs.values() if given.shape.rank}
    first = tensor.shape[0] if tensor.shape.rank else 0
    if first is not None and first not in sizes:
        shape = None if tensor.shape.rank is None else tuple(tensor.shape)
        raise AddressError(f"the target {address} has no row for each sample: its shape is {shape}")
    return fetch


def _add(
    trace: Trace, target: Fetch, unit: Unit, asked: Sequence[Fetch], fed: Collection[int]
) -> tuple[dict[int, tf.Tensor], dict[int, str]]:
    """Add gradients to the trace's graph.

    Returns:
        By the id of each tensor its gradient; or why it has none, to be put behind its address.
    """
    tensors = {id(fetch.tensor): fetch.tensor for fetch in asked}
    looped = _find_looped(trace, target)
    missing = {
        key: why for key, tensor in tensors.items() if (why := _find_fault(trace, tensor, looped))
    }
    tensors = {key: tensor for key, tensor in tensors.items() if key not in missing}
    stops = [tensor for tensor in _list_tensors(trace) if id(tensor) in fed]
    with trace.graph.as_default(), tf.name_scope("gradients"):
        mask = _make_mask(target, unit)
        try:
            gradients = tf.gradients(
                target.tensor, list(tensors.values()), grad_ys=mask, stop_gradients=stops
            )
        except (LookupError, NotImplementedError, TypeError, ValueError) as error:
            raise AddressError(f"{target.address} can't be differentiated: {error}") from error
        found = {}
        upstream = find_ancestors([target.tensor])
        for (key, tensor), gradient in zip(tensors.items(), gradients, strict=True):
            if gradient is None:
                missing[key] = _explain(target, tensor, upstream, bool(stops))
                continue
            # A tensor of its own: addends of a sum share theirs. Slices become whole here.
            found[key] = tf.identity(tf.convert_to_tensor(gradient))
            found[key].set_shape(tensor.shape)
    return found, missing


def _list_tensors(trace: Trace) -> list[tf.Tensor]:
    return [tensor for op in trace.graph.get_operations() for tensor in op.outputs]


def _find_looped(trace: Trace, target: Fetch) -> Collection[tf.Operation]:
    """Give what changes a target through loops of TensorFlow 1, which can't be differentiated.

    They need a record of the loop that graphs lose when they are copied.
    """
    if not trace.framed:
        return ()
    framed = [op for op in find_ancestors([target.tensor]) if op.name in trace.framed]
    return find_ancestors([tensor for op in framed for tensor in op.inputs])


def _find_fault(trace: Trace, tensor: tf.Tensor, looped: Collection[tf.Operation]) -> str:
    if isinstance(tensor, tf.Variable):
        return "is a weight, which all samples share: it has no gradient for each"
    if not tensor.dtype.is_floating:
        return f"holds {tensor.dtype.name}, and no gradient can be taken with regard to it"
    if tensor.graph is not trace.graph:
        return (
            "lies in a loop, a branch or a function, and no gradient can be taken with regard to it"
        )
    if tensor.op in looped:
        return f"goes into a loop of TensorFlow 1, which has no gradient: {FRAMED_HINT}"
    return ""


def _explain(
    target: Fetch, tensor: tf.Tensor, upstream: Collection[tf.Operation], fed: bool
) -> str:
    """Say why a target has no gradient with regard to a tensor."""
    if tensor.op not in upstream:
        return f"isn't among what {target.address} depends on"
    if fed:
        return "lies upstream of what is fed or replaced, where gradients end"
    return (
        f"changes {target.address} only through operations that have no gradient, such as rounding"
    )


def _make_mask(target: Fetch, unit: Unit) -> tf.Tensor:
    """Give ones where the values lie that the gradient is taken of, and zeros elsewhere."""
    tensor = target.tensor
    if unit.kind == "sum":
        return tf.ones_like(tensor)
    sizes = tf.shape(tensor)
    if unit.kind == "max":
        flat = tf.reshape(tensor, [sizes[0], tf.reduce_prod(sizes[1:])])
        largest = tf.argmax(flat, axis=1)
        return tf.reshape(tf.one_hot(largest, tf.shape(flat)[1], dtype=tensor.dtype), sizes)
    _check_index(target, unit)
    mask = tf.ones_like(tensor)
    for axis, number in enumerate(unit.index, 1):
        size = sizes[axis]
        place = number + size if number < 0 else tf.constant(number)
        inside = tf.logical_and(place >= 0, place < size)
        message = f"{target.address} has no unit {unit} in this batch: its shape is"
        with tf.control_dependencies([tf.debugging.Assert(inside, [message, sizes])]):
            chosen = tf.one_hot(place, size, dtype=tensor.dtype)
        mask *= tf.reshape(chosen, [-1, *[1] * (tensor.shape.rank - axis - 1)])
    return mask


def _check_index(target: Fetch, unit: Unit) -> None:
    """Refuse a unit that no row of the target has, as far as its shape tells."""
    shape = target.tensor.shape[1:]
    told = f"the target {target.address} has shape {tuple(shape)} for each sample"
    rank = target.tensor.shape.rank - 1
    if len(unit.index) != rank:
        numbers = "no number" if not rank else f"{rank} number{'s' * (rank > 1)}"
        raise AddressError(
            f"unit: expected {numbers}, received {unit}: {told}",
            hint=Hint("choose the largest with ", Setting("unit", "max")),
        )
    for number, size in zip(unit.index, shape, strict=True):
        if size is not None and not -size <= number < size:
            raise AddressError(
                f"unit: expected a number from 0 to {size - 1}, received {number}: {told}"
            )
