"""How large a tensor is at most whose shape isn't certain.

Where no rule tells a shape, this tells a bound: no axis is longer than `axis`, and all lengths that
don't vary are together no more than `volume`. It follows from what a call takes and the numbers in
its config, for every layer and operation of Keras's own; the user's own classes are taken to keep
lengths.
"""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from kprobe.architecture import keras_operations, operation_shapes
from kprobe.architecture.shapes import KEEPING_CLASSES
from kprobe.gate.networks.network_sizes import NO_SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kprobe.architecture.network import Layer, Shape

# What is larger isn't told apart.
_MOST = 2**62
_WIDTHS = ("filters", "output_dim", "output_shape", "units")
# What changes no more than how long the last axis is, or the one of the channels.
# fmt: off
_WIDENING = frozenset({
    "Bidirectional", "Conv1D", "Conv2D", "Conv3D", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D",
    "CuDNNGRU", "CuDNNLSTM", "Dense", "EinsumDense", "Embedding", "GRU", "LSTM",
    "MultiHeadAttention", "RNN", "SeparableConv1D", "SeparableConv2D", "SimpleRNN",
    "SpectralNormalization", "TimeDistributed",
})
# What gives tensors no longer than the largest number in its config, or than its list of words.
_ENCODING = frozenset({
    "CategoryEncoding", "Discretization", "Hashing", "HashedCrossing", "IntegerLookup",
    "StringLookup", "TextVectorization",
})
# What gives no axis longer than the longest that it takes, or than a number in it: nothing is
# repeated, joined or made flat.
_FITTING = frozenset({
    "AdaptiveAveragePool", "AdaptiveMaxPool", "Argsort", "AveragePool", "CenterCrop", "Conv",
    "Cumprod", "Cumsum", "DepthwiseConv", "Diff", "Einsum", "ExpandDims", "FFT", "FFT2", "Glu",
    "IFFT2", "MaxPool", "Moveaxis", "MultiHot", "OneHot", "Quantile", "RFFT", "RandomCrop",
    "Resize", "Resizing", "STFT", "SeparableConv", "Sort", "Squeeze", "Swapaxes", "Take",
    "TakeAlongAxis", "TopK", "Transpose",
})
# What cuts a wave into frames that overlap: how far each is behind the one before.
_STRIDES = {"MelSpectrogram": "sequence_stride", "STFTSpectrogram": "frame_step"}
_BINS = ("fft_length", "frame_length", "num_mel_bins", "sequence_length")
_FUNCTIONS = frozenset({"SlicingOpLambda", "TFOpLambda"})
_WORDS = ("bin_boundaries", "idf_weights", "vocabulary")
# fmt: on


class Extent(NamedTuple):
    """How large a tensor is at most.

    Attributes:
        axis: The length of its longest axis; lengths that vary don't count.
        volume: All its lengths multiplied.
    """

    axis: int = 1
    volume: int = 1

    def grow(self, longest: int, times: int) -> Extent:
        """Give what may have an axis of `longest` besides, and `times` as many values."""
        return Extent(min(max(self.axis, longest), _MOST), min(self.volume * times, _MOST))


def measure(shape: Shape) -> Extent:
    """Give the extent of a shape."""
    lengths = [length for length in shape if length]
    return Extent(max(lengths, default=1), min(prod(lengths), _MOST))


def join_extents(extents: Iterable[Extent]) -> Extent:
    """Give the extent of what is as large as each of some tensors."""
    both = [*zip(*extents, strict=True)]
    return Extent(max(both[0]), max(both[1])) if both else Extent()


def bound(layer: Layer, node: Any, inputs: Sequence[Extent]) -> Extent:
    """Give the extent of what a layer or operation gives for a call.

    Args:
        layer: The layer, which is no model.
        node: The call, as the config has it.
        inputs: What it takes.
    """
    longest = max((each.axis for each in inputs), default=1)
    together = Extent(longest, min(prod(each.volume for each in inputs), _MOST))
    kind, config = layer.class_name, layer.config
    if not layer.is_own:
        return join_extents(inputs)
    if layer.is_operation or kind in _FUNCTIONS:
        if _is_by_element(layer):
            count = _count_leaves(node)
            return together.grow(count, count)
        numbers = [*_list_numbers(config), *_list_numbers(node)]
        if layer.is_operation and kind in _FITTING:
            return _fit(together, [*numbers, _count_leaves(node)])
        if layer.is_operation and kind in ("Concatenate", "Stack"):
            return together.grow(sum(each.axis for each in inputs), len(inputs))
        if layer.is_operation and kind == "Reshape":
            return _bound_by_reshaping(together, numbers)
        return _bound_by_numbers(together, numbers)
    if kind in _FITTING:
        sizes = {key: value for key, value in config.items() if key not in NO_SIZES}
        return _fit(together, [*_list_numbers(sizes)])
    if kind in _STRIDES:
        stride = max([*_list_numbers(config.get(_STRIDES[kind]))], default=1)
        frames = together.axis // max(stride, 1) + 2
        widths = [*_list_numbers([config.get(key) for key in _BINS])]
        return Extent(max([frames, *widths]), min(together.volume * max(widths, default=1), _MOST))
    if kind in KEEPING_CLASSES:
        return together
    if kind in _WIDENING:
        widths = [*_list_widths(config)]
        twice = 2 * max(widths, default=1)  # a Bidirectional puts both behind each other
        return together.grow(twice, prod(2 * width for width in widths))
    if kind in _ENCODING:
        words = [len(config[key]) for key in _WORDS if isinstance(config.get(key), list)]
        numbers = [*_list_numbers({k: v for k, v in config.items() if k not in _WORDS}), *words]
        return together.grow(max(numbers, default=1), max(numbers, default=1) + 2)
    return _bound_shaping(kind, config, together, inputs)


def _bound_shaping(
    kind: str, config: dict[str, Any], together: Extent, inputs: Sequence[Extent]
) -> Extent:
    """Give the extent of what a layer makes that repeats, joins or arranges values."""
    if kind == "RepeatVector":
        count = max(_list_numbers(config.get("n")), default=1)
        return together.grow(count, count)
    if kind == "Concatenate":
        return together.grow(sum(each.axis for each in inputs), len(inputs))
    if kind == "Flatten":
        return Extent(together.volume, together.volume)
    if kind == "Reshape":
        lengths = [*_list_numbers(config.get("target_shape"))]
        volume = max(together.volume, prod(lengths))
        shape = config.get("target_shape")
        is_open = not isinstance(shape, list) or -1 in shape or None in shape
        return Extent(volume if is_open else max(lengths, default=1), volume)
    if kind.startswith("Depthwise"):
        times = max(_list_numbers(config.get("depth_multiplier")), default=1)
        return together.grow(together.axis * times, times)
    if kind.startswith(("UpSampling", "ZeroPadding")):
        key = "size" if kind.startswith("Up") else "padding"
        numbers = [*_list_numbers(config.get(key))]
        times = max(numbers, default=1)
        longest = together.axis * times if key == "size" else together.axis + sum(numbers)
        return together.grow(longest, prod(2 * number for number in numbers) * times**2)
    return _bound_by_numbers(together, [*_list_numbers(config)])


def _fit(given: Extent, numbers: Iterable[int]) -> Extent:
    """Give the extent of what has a few axes, none of them longer than one given or a number."""
    longest = max([given.axis, *numbers])
    return Extent(longest, min(given.volume * longest, _MOST))


def _bound_by_reshaping(given: Extent, numbers: Sequence[int]) -> Extent:
    """Give the extent of values in another shape, in which one axis may be whatever is left."""
    lengths = [number for number in numbers if number > 1]
    left = ceil(given.volume / max(prod(lengths), 1))
    return Extent(max([left, *lengths], default=1), max(given.volume, prod(lengths)))


def _bound_by_numbers(given: Extent, numbers: Iterable[int]) -> Extent:
    """Give the extent of whatever is made with some numbers: all of it may be one axis."""
    times = 1
    for number in numbers:
        times = min(times * max(2 * number, 1), _MOST)
    axis = min(given.volume * times, _MOST)
    # Of diagonals, there are as many rows as columns.
    return Extent(max(axis, given.axis), min(axis * given.volume, _MOST))


def _is_by_element(layer: Layer) -> bool:
    """Tell an operation that gives no more values than it takes, but for broadcasting."""
    if layer.is_operation:
        kinds = keras_operations
        return layer.class_name in kinds.KEEPING | kinds.COMBINING | kinds.REDUCING
    name = str(layer.config.get("function")).rpartition(".")[2]
    functions = operation_shapes
    return name in functions.KEEPING | functions.COMBINING | functions.REDUCING


def _list_widths(value: Any) -> list[int]:
    """List the numbers of units of a layer, and of those that it wraps."""
    found: list[int] = []
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                if key in _WIDTHS:
                    found += _list_numbers(inner)
                elif isinstance(inner, dict | list):
                    pending.append(inner)
        elif isinstance(item, list):
            pending += [inner for inner in item if isinstance(inner, dict | list)]
    return found


def _list_numbers(value: Any) -> list[int]:
    """List the numbers but 0, without their signs, that stand anywhere in a config or a call."""
    found: list[int] = []
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, int | float) and not isinstance(item, bool) and item:
            found.append(ceil(min(abs(item), _MOST)))
        elif isinstance(item, list):
            pending += item
        elif isinstance(item, dict) and item.get("class_name") != "__keras_tensor__":
            pending += item.values()
    return found


def _count_leaves(value: Any) -> int:
    """Count what stands in a call beside its tensors; at least 1."""
    leaves, pending = 0, [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending += item
        elif isinstance(item, dict) and item.get("class_name") != "__keras_tensor__":
            pending += item.values()
        else:
            leaves += 1
    return max(leaves, 1)
