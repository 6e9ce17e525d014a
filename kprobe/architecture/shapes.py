"""Tell a layer's output shape from its config and its input shapes, where that is certain.

Shapes have the batch axis; None is a length that varies. A layer without a rule here has no
known shape: its file doesn't tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

from kprobe.architecture.network import Shape, is_own_class, read_shape

Shapes: TypeAlias = Shape | list[Shape]
_Config: TypeAlias = dict[str, Any]
_Rule: TypeAlias = Callable[[_Config, list[Shape]], Shapes | None]

# fmt: off
_KEEPING = (
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization",
    "BatchNormalizationV1", "BatchNormalizationV2", "Dropout", "ELU", "GaussianDropout",
    "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU",
    "Masking", "Normalization", "PReLU", "RMSNormalization", "RandomBrightness", "RandomContrast",
    "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "ReLU", "Rescaling",
    "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "SyncBatchNormalization", "ThresholdedReLU", "UnitNormalization",
)
_MERGING = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
# fmt: on


def infer_shape(class_name: str, config: _Config, inputs: Sequence[Shape | None]) -> Shapes | None:
    """Infer what a layer returns.

    Args:
        class_name: The layer's class, e.g. "Conv2D".
        config: The layer's config.
        inputs: The shapes of the tensors of its first argument; None for an unknown one.

    Returns:
        Its output shape, a list of them for a layer with several outputs; None if it isn't
        certain.
    """
    rule = _RULES.get(class_name)
    known = [shape for shape in inputs if shape is not None]
    if rule is None or not known or len(known) != len(inputs):
        return None
    try:
        made = rule(config, known)
    # A config that isn't as its class writes it tells nothing.
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None
    return made if are_lengths(made) else None


def are_lengths(made: Any) -> bool:
    """Tell a shape, or a list of them, from what a rule makes of an odd config."""
    shapes = made if isinstance(made, list) else [made]
    return all(
        isinstance(shape, tuple)
        and all(length is None or (type(length) is int and length >= 0) for length in shape)
        for shape in shapes
    )


def _keep(_config: _Config, inputs: list[Shape]) -> Shape | None:
    return inputs[0] if len(inputs) == 1 else None


def _dense(config: _Config, inputs: list[Shape]) -> Shape:
    return (*inputs[0][:-1], config["units"])


def _embedding(config: _Config, inputs: list[Shape]) -> Shape:
    return (*inputs[0], config["output_dim"])


def _split(config: _Config, shape: Shape, rank: int) -> tuple[Shape, int | None, bool]:
    """Take a shape apart: its spatial lengths, its channels, and if channels come first."""
    data_format = config.get("data_format", "channels_last" if rank == 1 else None)
    if data_format not in ("channels_last", "channels_first") or len(shape) != rank + 2:
        raise ValueError
    if data_format == "channels_first":
        return shape[2:], shape[1], True
    return shape[1:-1], shape[-1], False


def _join(shape: Shape, lengths: Sequence[int | None], channels: int | None, first: bool) -> Shape:
    return (shape[0], channels, *lengths) if first else (shape[0], *lengths, channels)


def _each(value: Any, rank: int) -> list[int]:
    values = [value] * rank if isinstance(value, int) else list(value)
    if len(values) != rank:
        raise ValueError
    return values


def _slide(length: int | None, window: int, stride: int, padding: str) -> int | None:
    """Count the positions of a window along an axis."""
    if length is None:
        return None
    if padding in ("same", "causal"):
        return -(-length // stride)
    if padding != "valid" or length < window:
        raise ValueError
    return (length - window) // stride + 1


def _convolve(rank: int, *, depthwise: bool = False) -> _Rule:
    def rule(config: _Config, inputs: list[Shape]) -> Shape:
        lengths, channels, first = _split(config, inputs[0], rank)
        windows = [
            (size - 1) * dilation + 1
            for size, dilation in zip(
                _each(config["kernel_size"], rank),
                _each(config.get("dilation_rate", 1), rank),
                strict=True,
            )
        ]
        strides = _each(config["strides"], rank)
        made = [
            _slide(length, window, stride, config["padding"])
            for length, window, stride in zip(lengths, windows, strides, strict=True)
        ]
        if depthwise:
            channels = None if channels is None else channels * config["depth_multiplier"]
        else:
            channels = config["filters"]
        return _join(inputs[0], made, channels, first)

    return rule


def _deconvolve(rank: int) -> _Rule:
    def rule(config: _Config, inputs: list[Shape]) -> Shape | None:
        lengths, _, first = _split(config, inputs[0], rank)
        if config.get("output_padding") is not None or set(
            _each(config.get("dilation_rate", 1), rank)
        ) != {1}:
            return None
        made: list[int | None] = []
        sizes, strides = _each(config["kernel_size"], rank), _each(config["strides"], rank)
        for length, size, stride in zip(lengths, sizes, strides, strict=True):
            extra = {"same": 0, "valid": max(size - stride, 0)}[config["padding"]]
            made.append(None if length is None else length * stride + extra)
        return _join(inputs[0], made, config["filters"], first)

    return rule


def _pool(rank: int) -> _Rule:
    def rule(config: _Config, inputs: list[Shape]) -> Shape:
        lengths, channels, first = _split(config, inputs[0], rank)
        windows = _each(config["pool_size"], rank)
        strides = windows if config["strides"] is None else _each(config["strides"], rank)
        made = [
            _slide(length, window, stride, config["padding"])
            for length, window, stride in zip(lengths, windows, strides, strict=True)
        ]
        return _join(inputs[0], made, channels, first)

    return rule


def _pool_all(rank: int) -> _Rule:
    def rule(config: _Config, inputs: list[Shape]) -> Shape:
        _, channels, first = _split(config, inputs[0], rank)
        if config.get("keepdims"):
            return _join(inputs[0], [1] * rank, channels, first)
        return (inputs[0][0], channels)

    return rule


def _border(rank: int, key: str, sign: int) -> _Rule:
    """Add (ZeroPadding) or take away (Cropping) a border."""

    def rule(config: _Config, inputs: list[Shape]) -> Shape:
        config = {"data_format": "channels_last", **config} if rank == 1 else config
        lengths, channels, first = _split(config, inputs[0], rank)
        borders = [config[key]] if rank == 1 else config[key]
        made = [
            None if length is None else length + sign * (before + after)
            for length, (before, after) in zip(lengths, borders, strict=True)
        ]
        return _join(inputs[0], made, channels, first)

    return rule


def _enlarge(rank: int) -> _Rule:
    def rule(config: _Config, inputs: list[Shape]) -> Shape:
        config = {"data_format": "channels_last", **config} if rank == 1 else config
        lengths, channels, first = _split(config, inputs[0], rank)
        factors = _each(config["size"], rank)
        made = [None if n is None else n * k for n, k in zip(lengths, factors, strict=True)]
        return _join(inputs[0], made, channels, first)

    return rule


def _count(lengths: Sequence[int | None]) -> int | None:
    known = [length for length in lengths if length is not None]
    return prod(known) if len(known) == len(lengths) else None


def _flatten(_config: _Config, inputs: list[Shape]) -> Shape:
    return (inputs[0][0], _count(inputs[0][1:]))


def _reshape(config: _Config, inputs: list[Shape]) -> Shape | None:
    target = read_shape(config["target_shape"])
    if target is None or None in target:
        return None
    total = _count(inputs[0][1:])
    rest = prod(length for length in target if length is not None and length >= 0)
    free = None if total is None else total // rest
    return (inputs[0][0], *(free if length == -1 else length for length in target))


def _permute(config: _Config, inputs: list[Shape]) -> Shape:
    return (inputs[0][0], *(inputs[0][axis] for axis in config["dims"]))


def _repeat(config: _Config, inputs: list[Shape]) -> Shape:
    return (inputs[0][0], config["n"], *inputs[0][1:])


def _concatenate(config: _Config, inputs: list[Shape]) -> Shape | None:
    axis = config["axis"] % len(inputs[0])
    if len({len(shape) for shape in inputs}) != 1:
        return None
    joined = [shape[axis] for shape in inputs]
    lengths = [known for known in joined if known is not None]
    length = sum(lengths) if len(lengths) == len(joined) else None
    # Where one input's length varies and another's is fixed, the fixed one holds.
    rest = [
        next((n for n in column if n is not None), None) for column in zip(*inputs, strict=True)
    ]
    rest[axis] = length
    return tuple(rest)


def _merge(_config: _Config, inputs: list[Shape]) -> Shape | None:
    # Broadcasting differs between versions; equal shapes don't need it.
    return inputs[0] if len(set(inputs)) == 1 else None


def _dot(config: _Config, inputs: list[Shape]) -> Shape | None:
    if len(inputs) != 2:
        return None
    axes = config["axes"]
    first, second = axes if isinstance(axes, list | tuple) else (axes, axes)
    one, other = (
        [size for place, size in enumerate(shape) if place != axis % len(shape)]
        for shape, axis in zip(inputs, (first, second), strict=True)
    )
    made = (*one, *other[1:])
    return made if len(made) > 1 else (*made, 1)


def _resize(config: _Config, inputs: list[Shape]) -> Shape:
    config = {**config, "data_format": config.get("data_format") or "channels_last"}
    _, channels, first = _split(config, inputs[0], 2)
    return _join(inputs[0], [config["height"], config["width"]], channels, first)


def _recur(config: _Config, inputs: list[Shape]) -> Shapes | None:
    batch, steps, _ = inputs[0]
    if len(inputs) > 1 or config.get("time_major"):
        return None
    state = (batch, config["units"])
    output = (batch, steps, config["units"]) if config["return_sequences"] else state
    return [output, *[state] * config["_states"]] if config.get("return_state") else output


def _recur_with(states: int) -> _Rule:
    return lambda config, inputs: _recur({**config, "_states": states}, inputs)


def _recur_by_cell(config: _Config, inputs: list[Shape]) -> Shapes | None:
    cell = config["cell"]
    while cell["class_name"] == "StackedRNNCells":
        cell = cell["config"]["cells"][-1]
    known = cell["class_name"] in ("GRUCell", "LSTMCell", "SimpleRNNCell")
    if not known or not is_own_class(cell) or config.get("return_state"):
        return None
    return _recur({**config, "units": cell["config"]["units"]}, inputs)


def _both_ways(config: _Config, inputs: list[Shape]) -> Shape | None:
    layer = config["layer"]
    one = infer_shape(layer["class_name"], layer["config"], inputs) if is_own_class(layer) else None
    mode = config.get("merge_mode")
    if not isinstance(one, tuple) or mode is None:
        return None
    return (*one[:-1], one[-1] * 2) if mode == "concat" and one[-1] is not None else one


def _each_step(config: _Config, inputs: list[Shape]) -> Shape | None:
    layer = config["layer"]
    batch, steps, *rest = inputs[0]
    if not is_own_class(layer):
        return None
    one = infer_shape(layer["class_name"], layer["config"], [(batch, *rest)])
    return (one[0], steps, *one[1:]) if len(inputs) == 1 and isinstance(one, tuple) else None


def _attend(config: _Config, inputs: list[Shape]) -> Shape | None:
    """Give what attention makes of the first of its inputs, the query."""
    own = config.get("output_shape")
    ends = inputs[0][-1:] if own is None else (own,) if isinstance(own, int) else tuple(own)
    return (*inputs[0][:-1], *ends) if len(inputs) == 1 else None


def _attend_plainly(_config: _Config, inputs: list[Shape]) -> Shape | None:
    return (*inputs[0][:-1], inputs[1][-1]) if len(inputs) in (2, 3) else None


def _einsum(config: _Config, inputs: list[Shape]) -> Shape | None:
    taken, _, given = config["equation"].partition("->")
    source = taken.partition(",")[0]
    own = config["output_shape"]
    sizes = [own] if isinstance(own, int) else list(own)
    if "." in config["equation"] or len(inputs) != 1 or len(sizes) != len(given) - 1:
        return None
    lengths = dict(zip(source, inputs[0], strict=True))
    told = zip(given[1:], sizes, strict=True)
    return (inputs[0][0], *(lengths.get(n) if size is None else size for n, size in told))


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_KEEPING, _keep),
    **dict.fromkeys(_MERGING, _merge),
    "AdditiveAttention": _attend_plainly,
    "Attention": _attend_plainly,
    "Bidirectional": _both_ways,
    "CenterCrop": _resize,
    "Concatenate": _concatenate,
    "CuDNNGRU": _recur_with(1),
    "CuDNNLSTM": _recur_with(2),
    "Dense": _dense,
    "Dot": _dot,
    "EinsumDense": _einsum,
    "Embedding": _embedding,
    "Flatten": _flatten,
    "GRU": _recur_with(1),
    "LSTM": _recur_with(2),
    "MultiHeadAttention": _attend,
    "Permute": _permute,
    "RNN": _recur_by_cell,
    "RepeatVector": _repeat,
    "Reshape": _reshape,
    "Resizing": _resize,
    "SimpleRNN": _recur_with(1),
    "TimeDistributed": _each_step,
}
for _rank in (1, 2, 3):
    _RULES[f"Conv{_rank}D"] = _RULES[f"SeparableConv{_rank}D"] = _convolve(_rank)
    _RULES[f"DepthwiseConv{_rank}D"] = _convolve(_rank, depthwise=True)
    _RULES[f"Conv{_rank}DTranspose"] = _deconvolve(_rank)
    _RULES[f"MaxPooling{_rank}D"] = _RULES[f"AveragePooling{_rank}D"] = _pool(_rank)
    _RULES[f"GlobalMaxPooling{_rank}D"] = _pool_all(_rank)
    _RULES[f"GlobalAveragePooling{_rank}D"] = _pool_all(_rank)
    _RULES[f"ZeroPadding{_rank}D"] = _border(_rank, "padding", 1)
    _RULES[f"Cropping{_rank}D"] = _border(_rank, "cropping", -1)
    _RULES[f"UpSampling{_rank}D"] = _enlarge(_rank)

# What gives no axis that is longer than those it takes, whatever it is called with.
KEEPING_CLASSES = frozenset(
    [*_KEEPING, *_MERGING, "AdditiveAttention", "Attention", "Dot", "Permute"]
    + [name for name in _RULES if "Pooling" in name or name.startswith("Cropping")]
)
# Layers of Keras that call no others, and so have no addresses inside.
LEAF_CLASSES = frozenset(_RULES) - {
    "Bidirectional",
    "GRU",
    "LSTM",
    "MultiHeadAttention",
    "RNN",
    "SimpleRNN",
    "TimeDistributed",
}
