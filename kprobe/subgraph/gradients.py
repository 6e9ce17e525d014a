"""Gradients: operations that are added to a trace, before anything is cut out of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.errors import AddressError, Hint, KprobeError, Setting, merge_errors
from kprobe.graphdef.liveness import find_ancestors
from kprobe.naming import list_names
from kprobe.subgraph.target import find_target, make_mask
from kprobe.trace.fetch import Fetch, Origin, find_fetches
from kprobe.trace.recording.dropped import FRAMED_HINT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
    named = [fetch for fetch in fetches if fetch.gradient]
    if target is None:
        if named:
            names = list_names([fetch.address for fetch in named], 8)
            raise AddressError(
                f"{names}: expected a target of gradients, received none",
                hint=Hint("say of which tensor with ", Setting("gradients_of", "predictions")),
            )
        return Differentiated(trace, fetches)
    of = find_target(trace, target)
    asked = named or [fetch for fetch in fetches if not fetch.is_weight and not fetch.own]
    if not asked:
        raise AddressError(f"{of.address} has no gradient with regard to weights")
    tensors = {id(fetch.tensor): fetch.tensor for fetch in asked}
    with trace.graph.as_default(), tf.name_scope("gradients"):
        mask = make_mask(of, unit)
        found, missing = find_gradients(trace, of, mask, tensors, fed)
    left_out = _tell_missing(asked, missing, bool(named))
    if not found:
        raise AddressError(*left_out)
    told = {"gradient_of": of.address, "unit": str(unit)}
    # What a trace knows of its graph is out of date now.
    fresh = dataclasses.replace(trace)
    result: list[Fetch] = []
    for fetch in fetches:
        if not fetch.gradient:
            result.append(_find_again(fresh, fetch))
        if fetch in asked and id(fetch.tensor) in found:
            result.append(_replace(fetch, found[id(fetch.tensor)], told, bool(named)))
    return Differentiated(fresh, result, left_out)


def _tell_missing(asked: Sequence[Fetch], missing: Mapping[int, str], named: bool) -> list[str]:
    """Tell what has no gradient among what patterns named, each with the reason.

    Raises:
        AddressError: Something has none that was asked for by its name.
    """
    without = [fetch for fetch in asked if id(fetch.tensor) in missing]
    faults: list[KprobeError] = [
        AddressError(f"{fetch.address} {missing[id(fetch.tensor)]}")
        for fetch in without
        if not fetch.by_pattern
    ]
    if faults:
        hint = "" if named else f"write {_SUFFIX} behind the addresses whose gradients are wanted"
        raise AddressError(*merge_errors(faults).faults, hint=hint)
    lines = (
        f"{_name(fetch)}: {fetch.address.removesuffix(_SUFFIX)} {missing[id(fetch.tensor)]}"
        for fetch in without
    )
    return [*dict.fromkeys(lines)]


def _replace(fetch: Fetch, gradient: tf.Tensor, told: Mapping[str, str], named: bool) -> Fetch:
    """Give a gradient in the place of the tensor that it is of."""
    return dataclasses.replace(
        fetch,
        address=_name(fetch),
        name=fetch.name if named else f"{fetch.name}{_SUFFIX}",
        tensor=gradient,
        gradient=True,
        origin=Origin(told, fetch.tensor),
    )


def _find_again(trace: Trace, fetch: Fetch) -> Fetch:
    """Look up what lies in a function, which may be another one that keeps more for gradients."""
    if fetch.is_weight or fetch.tensor.graph is trace.graph:
        return fetch
    found = find_fetches(trace, [fetch.address])[0]
    return dataclasses.replace(fetch, tensor=found.tensor)


def _name(fetch: Fetch) -> str:
    return f"{fetch.address.removesuffix(_SUFFIX)}{_SUFFIX}"


def find_gradients(
    trace: Trace,
    target: Fetch,
    mask: tf.Tensor,
    tensors: Mapping[int, tf.Tensor],
    fed: Collection[int] = (),
) -> tuple[dict[int, tf.Tensor], dict[int, str]]:
    """Add gradients to the graph of a trace.

    Args:
        trace: The trace, whose graph is TensorFlow's default.
        target: What is differentiated.
        mask: What each of its values counts.
        tensors: With regard to what, by the tensors' ids.
        fed: As for `differentiate`.

    Returns:
        By the id of each tensor its gradient; or why it has none, to be put behind its address.

    Raises:
        AddressError: TensorFlow can't differentiate it.
    """
    looped = _find_looped(trace, target)
    missing = {
        key: why for key, tensor in tensors.items() if (why := _find_fault(trace, tensor, looped))
    }
    wanted = {key: tensor for key, tensor in tensors.items() if key not in missing}
    stops = [tensor for tensor in _list_tensors(trace) if id(tensor) in fed]
    try:
        gradients = tf.gradients(
            target.tensor, list(wanted.values()), grad_ys=mask, stop_gradients=stops
        )
    except (LookupError, NotImplementedError, TypeError, ValueError) as error:
        raise AddressError(f"{target.address} can't be differentiated: {error}") from error
    found = {}
    upstream = find_ancestors([target.tensor])
    for (key, tensor), gradient in zip(wanted.items(), gradients, strict=True):
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
