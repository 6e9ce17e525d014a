"""Class activation maps: operations added to a trace, so that maps leave the device, not gradients.

With A the activations of a layer, of shape (rows, height, width, channels), and y the score of a
class, each method weights the channels, and the map is the sum of the channels so weighted:

- CAM: by the weights of the dense layer that gives the score, behind global average pooling. Zhou,
  Khosla, Lapedriza, Oliva and Torralba, "Learning Deep Features for Discriminative Localization",
  CVPR 2016, equation 2.
- Grad-CAM: by the mean of dy/dA over height and width; what is negative in the map is 0. Selvaraju,
  Cogswell, Das, Vedantam, Parikh and Batra, "Grad-CAM: Visual Explanations from Deep Networks via
  Gradient-based Localization", ICCV 2017, equations 1 and 2.
- Grad-CAM++: by the sum of a * relu(dy/dA) with a = g^2 / (2 g^2 + sum(A) g^3), where g is dy/dA;
  both sums are over height and width; what is negative in the map is 0. Chattopadhay, Sarkar,
  Howlader and Balasubramanian, "Grad-CAM++: Generalized Gradient-Based Visual Explanations for Deep
  Convolutional Networks", WACV 2018: its closed form for a score behind an exponential, without the
  factor exp(y), which is one number for a sample.

The score is the one before the softmax, as in these papers: else a class would change with the
scores of all others. It is the one before a sigmoid, too, which differs by one factor for a sample
and becomes 0 where the sigmoid is 1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.errors import AddressError, Hint, Setting
from kprobe.graphdef.liveness import find_ancestors
from kprobe.naming import list_names
from kprobe.subgraph.gradients import find_gradients
from kprobe.subgraph.head import find_head, find_scores, follow_back
from kprobe.subgraph.target import find_places, find_target, make_mask
from kprobe.trace.fetch import Fetch, Origin, find_fetches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.subgraph.selection import Method
    from kprobe.subgraph.unit import Unit
    from kprobe.trace.trace import Trace

Axes = tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Mapped:
    """A trace with class activation maps.

    Attributes:
        trace: The trace, to be used in the place of the one before.
        fetches: The maps, the units and the scores.
        notes: What the user should know of them, a line each.
    """

    trace: Trace
    fetches: Sequence[Fetch]
    notes: Sequence[str] = ()


def add_map(
    trace: Trace,
    layer: Fetch | None,
    target: str | None,
    unit: Unit,
    method: Method,
    axes: Mapping[int, Axes],
) -> Mapped:
    """Add class activation maps to a trace.

    Args:
        trace: The trace, to whose graph operations are added.
        layer: The layer whose maps they are; None for the last one with height and width that the
            target depends on, or the one that the head pools.
        target: The address of the scores; None for the model's only output.
        unit: Which of them.
        method: How the channels are weighted.
        axes: The names of the axes of tensors, without that of samples, by the tensors' ids.

    Raises:
        AddressError: There is no such layer or target, or no such map of it.
    """
    of = find_target(trace, _name_output(trace) if target is None else target)
    # An operation is meant as it stands.
    before, activation = (of.tensor, "") if "//" in of.address else find_scores(of.tensor)
    scored = dataclasses.replace(of, tensor=before)
    head = find_head(trace, of) if method == "cam" else None
    notes: list[str] = []
    with trace.graph.as_default(), tf.name_scope("cam"):
        if head is not None:
            layer = _find_pooled(trace, head.pooled, layer)
            channel = head.channel_axis
        else:
            layer = layer or _find_last(trace, scored, axes)
            channel = _find_channel(layer, axes, notes)
        mask, places = make_mask(scored, unit), find_places(scored, unit)
        if head is not None:
            weights = tf.matmul(mask, head.kernel, transpose_b=True)
        else:
            weights = _weigh(trace, layer, scored, mask, method, channel)
        maps = _add_up(layer.tensor, weights, channel)
        maps = maps if head is not None else tf.nn.relu(maps)
        # Elsewhere there may be infinity, of which 0 times is NaN.
        chosen = tf.where(mask > 0, of.tensor, tf.zeros_like(of.tensor))
        score = tf.reduce_sum(chosen, list(range(1, of.tensor.shape.rank)))
        numbers = None if places is None else _spread(places, of.tensor)
    told = {
        "method": method,
        "map_of": layer.address,
        "score_of": of.address,
        "before": activation,
        "unit": str(unit),
    }
    parts = {"cam": (maps, ("height", "width")), "unit": (numbers, ()), "score": (score, ())}
    fetches = _make_fetches(layer, parts, told)
    # What a trace knows of its graph is out of date now.
    return Mapped(dataclasses.replace(trace), fetches, notes)


def _make_fetches(
    layer: Fetch, parts: Mapping[str, tuple[Any, tuple[str, ...]]], told: Mapping[str, str]
) -> list[Fetch]:
    """Give what was added, by its name: each a tensor, or None, and the names of its axes."""
    return [
        dataclasses.replace(
            layer, address=name, name=name, tensor=tensor, origin=Origin(told, axes=named)
        )
        for name, (tensor, named) in parts.items()
        if tensor is not None
    ]


def _weigh(
    trace: Trace, layer: Fetch, scored: Fetch, mask: tf.Tensor, method: Method, channel: int
) -> tf.Tensor:
    """Give the weights of channels by gradients.

    Raises:
        AddressError: There is no gradient with regard to the layer.
    """
    found, missing = find_gradients(trace, scored, mask, {id(layer.tensor): layer.tensor})
    if missing:
        raise AddressError(f"{layer.address} {missing[id(layer.tensor)]}")
    gradient = found[id(layer.tensor)]
    if method == "grad-cam":
        return tf.reduce_mean(gradient, _find_space(channel))
    return _weigh_pixels(layer.tensor, gradient, _find_space(channel))


def _add_up(activations: tf.Tensor, weights: tf.Tensor, channel: int) -> tf.Tensor:
    """Add up channels, each with its weight."""
    order = "brwc,bc->brw" if channel == 3 else "bcrw,bc->brw"
    return tf.einsum(order, activations, tf.cast(weights, activations.dtype))


def _weigh_pixels(activations: tf.Tensor, gradient: tf.Tensor, space: list[int]) -> tf.Tensor:
    """Give the weights of channels by Grad-CAM++."""
    total = tf.reduce_sum(activations, space, keepdims=True)
    # Divided by the square, which may be too small for its dtype.
    share = tf.math.divide_no_nan(tf.ones_like(gradient), 2 + total * gradient)
    share = tf.where(gradient == 0, tf.zeros_like(share), share)
    return tf.reduce_sum(share * tf.nn.relu(gradient), space)


def _find_space(channel: int) -> list[int]:
    return [1, 2] if channel == 3 else [2, 3]


def _spread(places: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Give the index that a number in a row stands for, or itself where a row has one axis."""
    if target.shape.rank <= 2:
        return places
    sizes = tf.shape(target, out_type=tf.int64)
    return tf.transpose(tf.unravel_index(places, sizes[1:]))


def _name_output(trace: Trace) -> str:
    """Give the address of the model's only output.

    Raises:
        AddressError: It has several, or the one has no address.
    """
    names = [_find_address(trace, tensor) for tensor in trace.outputs]
    hint = Hint("say of which one with ", Setting("of", "ADDRESS", python='"ADDRESS"'))
    if len(names) != 1:
        told = list_names([name for name in names if name], 8)
        raise AddressError(f"the model has {len(names)} outputs: {told}", hint=hint)
    return names[0]


def _find_address(trace: Trace, tensor: tf.Tensor) -> str:
    """Give the address of a tensor: of the outermost call that gives it, or of its operation."""
    made = follow_back(tensor)
    for call in sorted(trace.calls, key=lambda call: len(call.steps)):
        for key, output in call.outputs:
            if follow_back(output) is made:
                return call.address if key is None else f"{call.address}[{key}]"
    return f"//{tensor.op.name}:{tensor.value_index}"


def _find_pooled(trace: Trace, pooled: tf.Tensor, layer: Fetch | None) -> Fetch:
    """Give the layer whose output is pooled, which is the one that CAM has maps of.

    Raises:
        AddressError: Another one is asked for.
    """
    address = _find_address(trace, pooled)
    if layer is None:
        return find_fetches(trace, [address])[0]
    if follow_back(layer.tensor) is not follow_back(pooled):
        raise AddressError(
            f"cam has maps of what global average pooling takes: expected {address}, received "
            f"{layer.address}",
            hint="grad-cam and grad-cam++ have maps of any layer",
        )
    return layer


def _find_last(trace: Trace, target: Fetch, axes: Mapping[int, Axes]) -> Fetch:
    """Give the last layer whose output has height and width and changes the target.

    Raises:
        AddressError: There is none.
    """
    upstream = find_ancestors([target.tensor])
    found = [
        (trace.find_place(tensor), number, call, key)
        for number, call in enumerate(trace.calls)
        for key, tensor in call.outputs
        if tensor.op in upstream
        and tensor.graph is trace.graph
        and tensor.op is not target.tensor.op
        and _is_spatial(tensor, axes.get(id(tensor), ()))
        and not call.is_input
    ]
    if not found:
        raise AddressError(
            f"{target.address} depends on no layer that is known to have height and width",
            hint=Hint("say which has with ", Setting("layer", "ADDRESS", python='"ADDRESS"')),
        )
    _, _, call, key = max(found, key=lambda each: each[:2])
    return find_fetches(trace, [call.address if key is None else f"{call.address}[{key}]"])[0]


def _is_spatial(tensor: tf.Tensor, names: Axes) -> bool:
    """Tell whether a tensor has height, width and channels, and is larger than one pixel."""
    if not {"height", "width"} <= set(names) or len(names) != 3 or not tensor.dtype.is_floating:
        return False
    sizes = [size for size, name in zip(tensor.shape[1:], names, strict=True) if name != "channel"]
    return sizes != [1, 1]


def _find_channel(layer: Fetch, axes: Mapping[int, Axes], notes: list[str]) -> int:
    """Give the axis of channels of a layer's tensor.

    Raises:
        AddressError: It has no height and width.
    """
    tensor = layer.tensor
    if layer.is_weight or layer.own or layer.gradient:
        raise AddressError(f"{layer.address}: expected what a layer gives, received something else")
    if tensor.shape.rank != 4:
        shape = None if tensor.shape.rank is None else tuple(tensor.shape)
        raise AddressError(
            f"{layer.address}: expected height, width and channels of each sample, received "
            f"shape {shape}",
            hint=Hint("choose a convolution, or leave ", Setting("layer"), " out"),
        )
    names = axes.get(id(tensor), ())
    if not names:
        notes.append(
            f"what the axes of {layer.address} are isn't known: its last one is taken for channels"
        )
    return 1 if names[:1] == ("channel",) else 3
