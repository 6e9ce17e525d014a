"""The head of a classifier, as far as operations tell: pooling, a dense layer, a softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Collection

    from kprobe.trace.fetch import Fetch
    from kprobe.trace.trace import Trace, TracedCall

# What these give is what they take.
_PASSING = {"Identity", "StopGradient", "Snapshot", "PreventGradient", "CheckNumerics"}
# Or the same in another shape or precision.
_RESHAPING = {"Cast", "ExpandDims", "Reshape", "Squeeze"}
_ACTIVATIONS = {"LogSoftmax", "Sigmoid", "Softmax"}
_ADDING = {"Add", "AddV2", "BiasAdd"}


@dataclass(frozen=True, eq=False)
class Head:
    """Global average pooling, and one dense layer behind it.

    Attributes:
        pooled: What is pooled.
        kernel: The weights of the dense layer, of shape (channels, units).
        channel_axis: The axis of channels in what is pooled: 1 or 3.
    """

    pooled: tf.Tensor
    kernel: tf.Tensor
    channel_axis: int


def follow_back(tensor: tf.Tensor, through: Collection[str] = ()) -> tf.Tensor:
    """Give the tensor that another one is equal to.

    Args:
        tensor: The tensor.
        through: The types of further operations to go back through.
    """
    while True:
        op = tensor.op
        if op.type == "IdentityN":
            tensor = op.inputs[tensor.value_index]
        elif op.type in _PASSING or op.type in through:
            tensor = op.inputs[0]
        else:
            return tensor


def find_scores(tensor: tf.Tensor) -> tuple[tf.Tensor, str]:
    """Give what goes into the softmax or sigmoid that gives a tensor, and which of both it is.

    Returns:
        The tensor itself, and "", where none does.
    """
    op = follow_back(tensor).op
    return (op.inputs[0], str(op.type)) if op.type in _ACTIVATIONS else (tensor, "")


def find_head(trace: Trace, target: Fetch) -> Head:
    """Find the head that gives a target.

    Args:
        trace: The trace.
        target: The target: what a dense layer gives, behind its activation or before it.

    Raises:
        AddressError: It has another head; says what was found.
    """
    tensor = follow_back(target.tensor, _RESHAPING | _ACTIVATIONS)
    if tensor.op.type in _ADDING:
        sides = [follow_back(side, _RESHAPING) for side in tensor.op.inputs]
        tensor = next((side for side in sides if side.op.type == "MatMul"), tensor)
    if tensor.op.type != "MatMul":
        raise _explain(trace, target, "a dense layer", tensor)
    data, kernel = tensor.op.inputs
    if tensor.op.get_attr("transpose_b"):
        kernel = tf.transpose(kernel)
    average = follow_back(data, _RESHAPING)
    pooled = follow_back(average.op.inputs[0], {"Cast"}) if average.op.inputs else average
    if pooled.shape.rank == 4 and average.op.type == "Mean":
        axes = tf.get_static_value(average.op.inputs[1])
        places = [] if axes is None else sorted(axis % 4 for axis in axes.ravel().tolist())
        if places in ([1, 2], [2, 3]):
            return Head(pooled, kernel, channel_axis=3 if places == [1, 2] else 1)
    elif pooled.shape.rank == 4 and average.op.type == "AvgPool":
        first = average.op.get_attr("data_format") == b"NCHW"
        space = slice(2, 4) if first else slice(1, 3)
        window = list(average.op.get_attr("ksize"))[space]
        # Else a border counts, or there are several windows.
        single = average.shape.as_list()[space] == [1, 1]
        if single and window == pooled.shape.as_list()[space]:
            return Head(pooled, kernel, channel_axis=1 if first else 3)
    raise _explain(trace, target, "global average pooling before it", average)


def _explain(trace: Trace, target: Fetch, expected: str, found: tf.Tensor) -> AddressError:
    call = find_call(trace, found)
    if call is None:
        told = f"the operation {found.op.name} ({found.op.type})"
    else:
        told = f"{call.address} ({call.class_name}, its operation {found.op.type})"
    return AddressError(
        f"cam needs global average pooling and one dense layer that gives {target.address}: "
        f"expected {expected}, received {told}",
        hint="grad-cam and grad-cam++ do without",
    )


def find_call(trace: Trace, tensor: tf.Tensor) -> TracedCall | None:
    """Give the innermost layer call that a tensor was made in; None where it is of no layer."""
    if tensor.graph is not trace.graph:
        return None
    place = trace.find_place(tensor)[-1]
    around = [
        call
        for call in trace.calls
        if call.graph is trace.graph and call.span[0] <= place < call.span[1]
    ]
    return max(around, key=lambda call: len(call.steps), default=None)
