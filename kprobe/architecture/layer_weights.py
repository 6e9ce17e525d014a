"""Tell the shapes of a layer's weights from its config and the shapes of its inputs.

None is a length that isn't known. A layer without a rule here has none that are known: what is
told is the least that the layer has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from kprobe.architecture.network import Shape, read_shape

_Config: TypeAlias = dict[str, Any]
_Rule: TypeAlias = Callable[[_Config, Sequence[Shape | None]], list[Shape]]
_Axes: TypeAlias = Sequence[int | None]

# Lists of numbers that say how a layer is quantized, in its dtype.
_QUANTIZED = ("int8", "int4", "float8", "gptq", "awq")


def expect_weights(
    class_name: str, config: _Config, inputs: Sequence[Shape | None]
) -> list[Shape] | None:
    """Tell the shapes of the weights that a layer has.

    Args:
        class_name: The layer's class, e.g. "Conv2D".
        config: The layer's config.
        inputs: The shapes of the tensors of its first argument; None for an unknown one.

    Returns:
        The shapes; an empty list for a layer without weights. None where no rule is certain.
    """
    rule = _RULES.get(class_name)
    if rule is None:
        return None
    try:
        shapes = rule(config, inputs or [None])
    # A config that isn't as its class writes it tells nothing.
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None
    lengths = [length for shape in shapes for length in shape if length is not None]
    return shapes if all(type(length) is int and length >= 0 for length in lengths) else None


def is_quantized(config: _Config) -> bool:
    """Tell whether a layer's weights are stored in other shapes than it computes with."""
    dtype = config.get("dtype")
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        kind = str(dtype.get("class_name"))
        if kind not in ("DTypePolicy", "FloatDTypePolicy", "Policy"):
            return True
        dtype = inner.get("name") if isinstance(inner, dict) else None
    return str(dtype).startswith(_QUANTIZED) or bool(config.get("quantization_config"))


def _last(inputs: Sequence[Shape | None]) -> int | None:
    return inputs[0][-1] if inputs[0] else None


def _channels(config: _Config, inputs: Sequence[Shape | None]) -> int | None:
    if not inputs[0]:
        return None
    return inputs[0][1 if config.get("data_format") == "channels_first" else -1]


def _times(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first * second


def _each(value: Any, rank: int) -> list[int]:
    values = [value] * rank if isinstance(value, int) else list(value)
    if len(values) != rank:
        raise ValueError
    return values


def _with_bias(config: _Config, kernels: list[Shape], bias: Shape) -> list[Shape]:
    return [*kernels, bias] if config.get("use_bias", True) else kernels


def _dense(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    units = config["units"]
    return _with_bias(config, [(_last(inputs), units)], (units,))


def _convolve(rank: int) -> _Rule:
    def rule(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
        channels, filters = _channels(config, inputs), config["filters"]
        group = None if channels is None else channels // config.get("groups", 1)
        kernel = (*_each(config["kernel_size"], rank), group, filters)
        return _with_bias(config, [kernel], (filters,))

    return rule


def _deconvolve(rank: int) -> _Rule:
    def rule(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
        filters = config["filters"]
        kernel = (*_each(config["kernel_size"], rank), filters, _channels(config, inputs))
        return _with_bias(config, [kernel], (filters,))

    return rule


def _by_depth(rank: int) -> _Rule:
    def rule(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
        channels, many = _channels(config, inputs), config["depth_multiplier"]
        kernel = (*_each(config["kernel_size"], rank), channels, many)
        return _with_bias(config, [kernel], (_times(channels, many),))

    return rule


def _separate(rank: int) -> _Rule:
    def rule(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
        channels, many, filters = (
            _channels(config, inputs),
            config["depth_multiplier"],
            config["filters"],
        )
        by_depth = (*_each(config["kernel_size"], rank), channels, many)
        by_point = (*[1] * rank, _times(channels, many), filters)
        return _with_bias(config, [by_depth, by_point], (filters,))

    return rule


def _embed(config: _Config, _inputs: Sequence[Shape | None]) -> list[Shape]:
    return [(config["input_dim"], config["output_dim"])]


def _embed_both_ways(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    own = _embed(config, inputs)
    return own if config["tie_weights"] else [*own, own[0][::-1]]


def _pick(shape: Shape | None, axes: Any) -> Shape:
    """Give the lengths of some axes of an input."""
    numbers = axes if isinstance(axes, list | tuple) else [axes]
    if any(type(axis) is not int for axis in numbers):
        raise ValueError
    return tuple(None if shape is None else shape[axis] for axis in sorted(numbers))


def _scaled(config: _Config, shape: Shape, more: int = 0) -> list[Shape]:
    own = bool(config.get("scale", True)) + bool(config.get("center", True))
    return [shape] * (own + more)


def _normalize_batch(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    shape = _pick(inputs[0], config["axis"])
    return [] if len(shape) != 1 else _scaled(config, shape, 2)


def _normalize_layer(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    if config.get("rms_scaling"):
        config = {**config, "center": False}
    return _scaled(config, _pick(inputs[0], config["axis"]))


def _normalize_group(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    return _scaled(config, _pick(inputs[0], config["axis"]))


def _normalize_root(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    return [_pick(inputs[0], config["axis"])]


def _normalize_as_adapted(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    if config.get("mean") is not None:
        return []
    axis = config["axis"]
    shape = () if axis is None else _pick(inputs[0], axis)
    return [shape, shape, ()]


def _bend(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    if inputs[0] is None:
        return []
    shared = config.get("shared_axes") or []
    own = enumerate(inputs[0][1:], 1)
    return [tuple(1 if axis in shared else length for axis, length in own)]


def _recur(gates: int, bias: Callable[[_Config, int], Shape]) -> _Rule:
    def rule(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
        units = config["units"]
        kernels: list[Shape] = [(_last(inputs), gates * units), (units, gates * units)]
        return _with_bias(config, kernels, bias(config, units))

    return rule


def _gru_bias(config: _Config, units: int) -> Shape:
    return (2, 3 * units) if config.get("reset_after", True) else (3 * units,)


def _convolve_in_time(rank: int) -> _Rule:
    def rule(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
        filters, sizes = config["filters"], _each(config["kernel_size"], rank)
        channels = None
        if inputs[0]:
            channels = inputs[0][2 if config.get("data_format") == "channels_first" else -1]
        kernels: list[Shape] = [(*sizes, channels, 4 * filters), (*sizes, filters, 4 * filters)]
        return _with_bias(config, kernels, (4 * filters,))

    return rule


def _einsum(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    """Follow the letters of the equation: a kernel's are those of the input or of the output."""
    taken, _, given = config["equation"].partition("->")
    source, _, kernel = taken.partition(",")
    output = config["output_shape"]
    sizes: list[int | None] = [output] if isinstance(output, int) else list(output)
    known: dict[str, int | None] = {}
    # The axes that an ellipsis stands for aren't told by `output_shape`, nor is the first one.
    named = given.replace("...", "")
    told = named if given.startswith("...") else named[1:]
    if given.startswith("...") or source.startswith("..."):
        sizes = sizes[-len(told) :] if told else []
    known.update(zip(told, sizes, strict=False))
    if inputs[0] is not None:
        own = source.replace("...", "")
        ends = inputs[0][-len(own) :] if source.startswith("...") else inputs[0][: len(own)]
        if len(ends) != len(own):
            raise ValueError
        known.update(zip(own, ends, strict=True))
    shapes: list[Shape] = [tuple(known.get(letter) for letter in kernel)]
    axes = config.get("bias_axes")
    if axes and "..." not in config["equation"]:
        first = min(named.index(letter) for letter in axes)
        shapes.append(tuple(known.get(n) if n in axes else 1 for n in named[first:]))
    return shapes


def _attend(config: _Config, inputs: Sequence[Shape | None]) -> list[Shape]:
    heads, dim = config["num_heads"], config["key_dim"]
    value = config.get("value_dim") or dim
    query = read_shape(config.get("query_shape")) or inputs[0]
    own = query[-1] if query else None
    kernels: list[Shape] = [(own, heads, dim), (None, heads, dim), (None, heads, value)]
    biases: list[Shape] = [(heads, dim), (heads, dim), (heads, value)]
    if config.get("use_gate"):
        kernels.append((own, heads, value))
        biases.append((heads, value))
    output = config.get("output_shape")
    if output is None:
        output = own
    ends: Shape = tuple(output) if isinstance(output, list | tuple) else (output,)
    kernels.append((heads, value, *ends))
    return [*kernels, *biases, ends] if config.get("use_bias", True) else kernels


_RULES: dict[str, _Rule] = {
    "BatchNormalization": _normalize_batch,
    "BatchNormalizationV1": _normalize_batch,
    "BatchNormalizationV2": _normalize_batch,
    "CuDNNGRU": _recur(3, lambda _config, units: (6 * units,)),
    "CuDNNLSTM": _recur(4, lambda _config, units: (8 * units,)),
    "Dense": _dense,
    "EinsumDense": _einsum,
    "Embedding": _embed,
    "GRU": _recur(3, _gru_bias),
    "GRUCell": _recur(3, _gru_bias),
    "GroupNormalization": _normalize_group,
    "LSTM": _recur(4, lambda _config, units: (4 * units,)),
    "LSTMCell": _recur(4, lambda _config, units: (4 * units,)),
    "LayerNormalization": _normalize_layer,
    "MultiHeadAttention": _attend,
    "Normalization": _normalize_as_adapted,
    "PReLU": _bend,
    "RMSNormalization": _normalize_root,
    "ReversibleEmbedding": _embed_both_ways,
    "SimpleRNN": _recur(1, lambda _config, units: (units,)),
    "SimpleRNNCell": _recur(1, lambda _config, units: (units,)),
    "SyncBatchNormalization": _normalize_batch,
}
for _rank in (1, 2, 3):
    _RULES[f"Conv{_rank}D"] = _convolve(_rank)
    _RULES[f"Conv{_rank}DTranspose"] = _deconvolve(_rank)
    _RULES[f"ConvLSTM{_rank}D"] = _convolve_in_time(_rank)
    _RULES[f"DepthwiseConv{_rank}D"] = _by_depth(_rank)
    _RULES[f"SeparableConv{_rank}D"] = _separate(_rank)
