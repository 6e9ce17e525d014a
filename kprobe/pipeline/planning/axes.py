"""What the axes of tensors are called, as far as the layers that make them tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kprobe.trace.fetch import Fetch
    from kprobe.trace.trace import TracedCall

# Of a row: a name for each axis, None for what isn't known; without the axis of samples.
Axes = tuple[str | None, ...]

_SPACE: dict[str, Axes] = {
    "1": ("step",),
    "2": ("height", "width"),
    "3": ("depth", "height", "width"),
}
_CONVOLUTION = re.compile(r"(?:Separable|Depthwise)?Conv([123])D(?:Transpose)?")
_RECURRENT_CONVOLUTION = re.compile(r"ConvLSTM([123])D")
_RESIZING = re.compile(
    r"(?:(?:Adaptive)?(?:Max|Average)Pooling|UpSampling|ZeroPadding|Cropping)([123])D"
)
_GLOBAL = re.compile(r"Global(?:Max|Average)Pooling([123])D")
_IMAGE = re.compile(r"Resizing|CenterCrop|Random(?:Crop|Flip|Zoom|Rotation|Translation|Shear)")
_RECURRENT = {"RNN", "LSTM", "GRU", "SimpleRNN", "Bidirectional", "CuDNNLSTM", "CuDNNGRU"}
_ATTENTION = {"MultiHeadAttention", "GroupedQueryAttention", "GroupQueryAttention"}
_PLAIN_ATTENTION = {"Attention", "AdditiveAttention"}
# What these give has the axes of what they take: layers, and operations of Keras 3.
_KEEPING = re.compile(
    r"Activation|ActivityRegularization|Masking|Identity|Rescaling|Softmax|GaussianNoise"
    r"|(?:Leaky|P|Thresholded)?ReLU|ELU|(?:Alpha|Gaussian|Spatial)?Dropout(?:[123]D)?"
    r"|(?:Batch|Layer|Group|RMS|Unit|Spectral)?Normalization"
    r"|Add|Subtract|Multiply|Divide|TrueDivide|Average|Maximum|Minimum|Concatenate"
    r"|Absolute|Abs|Negative|Square|Sqrt|Exp|Log|Power|Clip"
    r"|Relu6?|LeakyRelu|Elu|Selu|Gelu|Silu|Sigmoid|Tanh|Softplus|Hard(?:Sigmoid|Silu|Tanh)"
)


def name_axes(calls: Iterable[TracedCall]) -> dict[int, Axes]:
    """Name the axes of what layers take and give.

    Args:
        calls: The calls of a trace, in the order in which they began.

    Returns:
        By the id of a tensor whose first axis is that of samples, the names of the others. Where
        nothing is known of a tensor, it isn't there.
    """
    found: dict[int, Axes] = {}
    for call in calls:
        given = [found.get(id(tensor)) for tensor in call.inputs]
        for key, tensor in call.outputs:
            rank = tensor.shape.rank
            if rank is None or id(tensor) in found:
                continue
            axes = _name(call.layer, rank - 1, given, is_first=key in (None, 0))
            if axes is not None and len(axes) == rank - 1 and any(axes):
                found[id(tensor)] = axes
        _name_images(call, found)
    return found


def name_row(
    axes: Mapping[int, Axes], tensor: Any, address: str, rank: int, place: int | None
) -> Axes:
    """Name the axes of a row of a tensor.

    Args:
        axes: As `name_axes` gives them.
        tensor: The tensor.
        address: Its address.
        rank: How many axes a row has.
        place: Which axis of the tensor is that of samples; None for none.

    Returns:
        A name or None for each axis; () where nothing is known.
    """
    if address.removesuffix(":own").endswith(":scores"):
        names: Axes = ("head", "step", "key_step")[-rank:]
    else:
        names = axes.get(id(tensor), ())
    return names if place == 0 and len(names) == rank else ()


def name_fetch(axes: Mapping[int, Axes], fetch: Fetch, rank: int, place: int | None) -> Axes:
    """Name the axes of a row of what is asked for, as `name_row` does."""
    tensor, address, origin = fetch.tensor, fetch.address, fetch.origin
    if origin is None:
        return name_row(axes, tensor, address, rank, place)
    if origin.like is not None:
        return name_row(axes, origin.like, address.removesuffix(":gradient"), rank, place)
    known = {id(tensor): origin.axes} if any(origin.axes) else {}
    return name_row(known, tensor, address, rank, place)


def name_fetches(calls: Iterable[TracedCall], fetches: Iterable[Fetch]) -> dict[int, Axes]:
    """Name the axes of the rows of what is asked for, by the ids of the tensors."""
    axes = name_axes(calls)
    return {
        id(fetch.tensor): name_fetch(axes, fetch, fetch.tensor.shape.rank - 1, 0)
        for fetch in fetches
        if fetch.tensor.shape.rank
    }


def _name_images(call: TracedCall, found: dict[int, Axes]) -> None:
    """Name the axes of what a convolution takes, if nothing that was called before does."""
    number = _match(_CONVOLUTION, _names_of(call.layer))
    for tensor in call.inputs[:1] if number else ():
        if tensor.shape.rank == len(_SPACE[number]) + 2:
            found.setdefault(id(tensor), _put_channel(call.layer, _SPACE[number]))


def _names_of(layer: Any) -> set[str]:
    """Give the names of a layer's classes, as far as they are Keras's own."""
    return {
        kind.__name__
        for kind in type(layer).__mro__
        if kind.__module__.partition(".")[0] in ("keras", "tf_keras")
    }


def _match(pattern: re.Pattern[str], names: set[str]) -> str:
    """Give the number in the name of a class that fits; "" if none does."""
    return next((found[1] for name in sorted(names) if (found := pattern.fullmatch(name))), "")


def _put_channel(layer: Any, space: Axes, name: str | None = "channel") -> Axes:
    first = getattr(layer, "data_format", None) == "channels_first"
    return (name, *space) if first else (*space, name)


def _name(layer: Any, rank: int, given: Sequence[Axes | None], *, is_first: bool) -> Axes | None:
    """Name the axes of a layer's output of so many axes, given those of its inputs."""
    names = _names_of(layer)
    before = next((axes for axes in given if axes is not None and len(axes) == rank), None)
    if names & (_ATTENTION | _PLAIN_ATTENTION):
        scores = ("head", "step", "key_step") if names & _ATTENTION else ("step", "key_step")
        return ("step", "unit") if is_first else scores
    if "TimeDistributed" in names:
        inner = _name(layer.layer, rank - 1, [axes and axes[1:] for axes in given], is_first=True)
        return None if inner is None else ("step", *inner)
    if names & _RECURRENT and not _match(_RECURRENT_CONVOLUTION, names):
        is_known = rank <= 2 and not getattr(layer, "time_major", False)
        return ("step", "unit")[-rank:] if is_known and rank else None
    if "Dense" in names:
        return (*(given[0] or [None] * rank)[: rank - 1], "unit") if given else None
    if "Embedding" in names:
        return (*((given[0] if given else None) or ["step"] * (rank - 1)), "unit")
    if any(_KEEPING.fullmatch(name) for name in names):
        return before
    return _name_in_space(layer, names, rank, given, before)


def _name_in_space(
    layer: Any, names: set[str], rank: int, given: Sequence[Axes | None], before: Axes | None
) -> Axes | None:
    """Name the axes of what convolutions, pooling and the like give."""
    if number := _match(_CONVOLUTION, names):
        return _put_channel(layer, _SPACE[number])
    if number := _match(_RECURRENT_CONVOLUTION, names):
        space = _put_channel(layer, _SPACE[number])
        return ("step", *space) if rank > len(space) else space
    if number := _match(_RESIZING, names):
        return before or _put_channel(layer, _SPACE[number])
    if number := _match(_GLOBAL, names):
        first = getattr(layer, "data_format", None) == "channels_first"
        channel = (given[0][0 if first else -1] if given and given[0] else None) or "channel"
        return (channel,) if rank == 1 else _put_channel(layer, _SPACE[number], channel)
    if any(_IMAGE.fullmatch(name) for name in names) and rank == 3:
        return _put_channel(layer, _SPACE["2"])
    if "Permute" in names and given and given[0]:
        return tuple(given[0][place - 1] for place in layer.dims)
    if "RepeatVector" in names:
        return ("step", *((given[0] if given else None) or (None,)))
    return None
