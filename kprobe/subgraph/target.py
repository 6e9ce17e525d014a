"""The target of gradients: which tensor it is, and which of its values are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.errors import AddressError, Hint, Setting
from kprobe.naming import list_names
from kprobe.trace.fetch import Fetch, find_fetches

if TYPE_CHECKING:
    from kprobe.subgraph.unit import Unit
    from kprobe.trace.trace import Trace


def find_target(trace: Trace, address: str) -> Fetch:
    """Look up the tensor whose gradients are asked for.

    Args:
        trace: The trace.
        address: Its address.

    Raises:
        AddressError: It isn't one tensor that has a row for each sample and can be differentiated.
    """
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
    if fetch.own or fetch.gradient:
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


def make_mask(target: Fetch, unit: Unit) -> tf.Tensor:
    """Give ones where the values lie that are meant, and zeros elsewhere, in the target's shape.

    Raises:
        AddressError: No row of the target has such a unit.
    """
    tensor = target.tensor
    places = find_places(target, unit)
    if places is None:
        return tf.ones_like(tensor)
    sizes = tf.shape(tensor)
    return tf.reshape(tf.one_hot(places, tf.reduce_prod(sizes[1:]), dtype=tensor.dtype), sizes)


def find_places(target: Fetch, unit: Unit) -> tf.Tensor | None:
    """Give where in each row of a target the value lies that is meant.

    Args:
        target: The target.
        unit: Which value. Of several that are largest it is the first.

    Returns:
        int64 of shape (rows,): its number in the row, whose axes are one behind the other, the last
        one running first. None where all values are meant.

    Raises:
        AddressError: No row of the target has such a unit.
    """
    if unit.kind == "sum":
        return None
    tensor = target.tensor
    sizes = tf.shape(tensor, out_type=tf.int64)
    if unit.kind == "max":
        return tf.argmax(tf.reshape(tensor, [sizes[0], tf.reduce_prod(sizes[1:])]), axis=1)
    _check_index(target, unit)
    place = tf.constant(0, tf.int64)
    for axis, number in enumerate(unit.index, 1):
        size = sizes[axis]
        wanted = number + size if number < 0 else tf.constant(number, tf.int64)
        inside = tf.logical_and(wanted >= 0, wanted < size)
        message = f"{target.address} has no unit {unit} in this batch: its shape is"
        with tf.control_dependencies([tf.debugging.Assert(inside, [message, sizes])]):
            place = place * size + wanted
    return tf.fill(sizes[:1], place)


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
