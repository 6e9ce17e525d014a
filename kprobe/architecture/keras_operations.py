"""The shape that an operation of Keras 3 gives, which a model has beside its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any, TypeAlias

from kprobe.architecture.network import Shape, find_refs
from kprobe.architecture.operation_shapes import (
    expand,
    join,
    measure_constant,
    reduce_axes,
    slice_tensor,
)
from kprobe.architecture.shapes import Shapes, are_lengths

_Config: TypeAlias = Mapping[str, Any]
_Rule: TypeAlias = Callable[[_Config, Sequence[Shape], Sequence[Any]], Shapes | None]

# fmt: off
KEEPING = frozenset({
    "Abs", "Absolute", "Arccos", "Arcsin", "Arctan", "Cast", "Ceil", "Celu", "Clip", "Copy", "Cos",
    "Cosh", "Elu", "Erf", "Erfinv", "Exp", "Expm1", "Flip", "Floor", "Gelu", "HardShrink",
    "HardSigmoid", "HardSilu", "HardTanh", "Isfinite", "Isinf", "Isnan", "LeakyRelu", "Log",
    "Log10", "Log1p", "Log2", "LogSigmoid", "LogSoftmax", "LogicalNot", "NanToNum", "Negative",
    "Normalize", "OnesLike", "Reciprocal", "Relu", "Relu6", "Roll", "Round", "Rsqrt", "Selu",
    "Sigmoid", "Sign", "Silu", "Sin", "Sinh", "SoftShrink", "Softmax", "Softplus", "Softsign",
    "SparsePlus", "Sparsemax", "Sqrt", "Square", "Squareplus", "StopGradient", "Tan", "Tanh",
    "TanhShrink", "Threshold", "Tril", "Triu", "ZerosLike",
})
COMBINING = frozenset({
    "Add", "Arctan2", "Divide", "DivideNoNan", "Equal", "FloorDivide", "Greater", "GreaterEqual",
    "Less", "LessEqual", "Logaddexp", "LogicalAnd", "LogicalOr", "LogicalXor", "Maximum",
    "Minimum", "Mod", "Multiply", "NotEqual", "Power", "Subtract", "TrueDivide", "Where",
})
REDUCING = frozenset({
    "All", "Amax", "Amin", "Any", "Argmax", "Argmin", "CountNonzero", "Logsumexp", "Max", "Mean",
    "Min", "Prod", "Std", "Sum", "Var",
})
# fmt: on


def infer_keras_operation(
    class_name: str, config: _Config, node: Any, inputs: Sequence[Shape | None]
) -> Shapes | None:
    """Infer what an operation gives for a call.

    Args:
        class_name: The operation's class, e.g. "Repeat".
        config: Its config.
        node: The call, as the config has it.
        inputs: The shapes of all tensors in it, in order; None for an unknown one.

    Returns:
        Its shape, a list of them where it gives several; None if it isn't certain.
    """
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) != len(inputs):
        return None
    try:
        made = _infer(class_name, config, known, _read_constants(node))
    # A config that isn't as Keras writes it tells nothing.
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None
    return made if are_lengths(made) else None


def _read_constants(node: Any) -> list[Any]:
    """Read the arguments of a call that are no tensors, but for what is None."""
    values = [*node["args"], *node["kwargs"].values()]
    return [each for each in values if each is not None and not [*find_refs(each)]]


def _infer(
    kind: str, config: _Config, inputs: Sequence[Shape], constants: Sequence[Any]
) -> Shapes | None:
    if kind in KEEPING:
        return inputs[0] if len(inputs) == 1 else None
    if kind in COMBINING:
        return _broadcast([*inputs, *(measure_constant(value) for value in constants)])
    if kind in REDUCING and len(inputs) == 1:
        return reduce_axes(inputs[0], config.get("axis"), bool(config.get("keepdims")))
    rule = _RULES.get(kind)
    return None if rule is None else rule(config, inputs, constants)


def _broadcast(shapes: Sequence[Shape | None]) -> Shape | None:
    """As Keras does: where one length varies and another doesn't, that one holds."""
    made: list[int | None] = []
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes):
        return None
    for place in range(1, max(map(len, known), default=0) + 1):
        sizes = {shape[-place] for shape in known if len(shape) >= place} - {1}
        fixed = sizes - {None}
        if len(fixed) > 1:
            return None
        made.append(fixed.pop() if fixed else None if sizes else 1)
    return tuple(reversed(made))


def _times(length: int | None, times: int) -> int | None:
    return None if length is None else length * times


def _replace(shape: Shape, axis: int, *lengths: int | None) -> Shape:
    axis %= len(shape)
    return (*shape[:axis], *lengths, *shape[axis + 1 :])


def _repeat(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape | None:
    repeats, axis, shape = config["repeats"], config.get("axis"), inputs[0]
    if axis is None:
        shape, axis = (None if None in shape else prod(n or 0 for n in shape),), 0
    length = shape[axis]
    if isinstance(repeats, int):
        return _replace(shape, axis, _times(length, repeats))
    if len(repeats) == 1:
        return _replace(shape, axis, _times(length, repeats[0]))
    return None if length is None else _replace(shape, axis, sum(repeats))


def _tile(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape:
    given = config["repeats"]
    repeats = [given] if isinstance(given, int) else list(given)
    shape = inputs[0]
    repeats = [1] * (len(shape) - len(repeats)) + repeats
    shape = (*[1] * (len(repeats) - len(shape)), *shape)
    return tuple(map(_times, shape, repeats))


def _reshape(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape | None:
    wanted = config["newshape"]
    if any(type(length) is not int for length in wanted):
        return None
    total = None if None in inputs[0] else prod(n or 0 for n in inputs[0])
    rest = prod(length for length in wanted if length >= 0)
    free = None if total is None else total // rest
    return tuple(free if length == -1 else length for length in wanted)


def _transpose(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape:
    axes = config.get("axes")
    shape = inputs[0]
    return shape[::-1] if axes is None else tuple(shape[axis] for axis in axes)


def _swap(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape:
    made = list(inputs[0])
    one, other = config["axis1"], config["axis2"]
    made[one], made[other] = made[other], made[one]
    return tuple(made)


def _move(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape | None:
    source, target = config["source"], config["destination"]
    if not isinstance(source, int) or not isinstance(target, int):
        return None
    made = list(inputs[0])
    made.insert(target % len(made), made.pop(source))
    return tuple(made)


def _concatenate(
    config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]
) -> Shape | None:
    axis = config.get("axis", -1)
    return None if axis is None else join(inputs, axis)


def _stack(config: _Config, inputs: Sequence[Shape], constants: Sequence[Any]) -> Shape | None:
    axis = config.get("axis", 0)
    if len(set(inputs)) > 1 or constants:
        return None
    place = axis % (len(inputs[0]) + 1)
    return (*inputs[0][:place], len(inputs), *inputs[0][place:])


def _expand(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape | None:
    axis = config["axis"]
    return expand(inputs[0], axis) if isinstance(axis, int) else None


def _squeeze(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape:
    axis = config.get("axis")
    if axis is None:
        return tuple(length for length in inputs[0] if length != 1)
    return reduce_axes(inputs[0], axis, keepdims=False)


def _pad(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape:
    width: Any = config["pad_width"]
    if isinstance(width, int):
        width = [[width, width]]
    elif isinstance(width[0], int):
        width = [width]
    pairs = [(each[0], each[-1]) for each in width]
    if len(pairs) == 1:
        pairs *= len(inputs[0])
    return tuple(
        None if length is None else length + before + after
        for length, (before, after) in zip(inputs[0], pairs, strict=True)
    )


def _one_hot(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape:
    made = list(inputs[0])
    axis = config.get("axis", -1)
    made.insert(len(made) if axis == -1 else axis, config["num_classes"])
    return tuple(made)


def _broadcast_to(config: _Config, _inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shape:
    return tuple(config["shape"])


def _take(config: _Config, inputs: Sequence[Shape], constants: Sequence[Any]) -> Shape | None:
    axis = config.get("axis")
    if axis is None or len(inputs) + len(constants) != 2:
        return None
    places = inputs[1] if len(inputs) == 2 else measure_constant(constants[0])
    return None if places is None else _replace(inputs[0], axis, *places)


def _split(config: _Config, inputs: Sequence[Shape], _constants: Sequence[Any]) -> Shapes | None:
    parts, axis, shape = config["indices_or_sections"], config.get("axis", 0), inputs[0]
    length = shape[axis]
    if isinstance(parts, int):
        # Many of them are refused, and not listed for that.
        if not 0 < parts <= 1_000:
            return None
        return [_replace(shape, axis, None if length is None else length // parts)] * parts
    if length is None:
        return None
    ends = [0, *(min(end, length) for end in parts), length]
    return [_replace(shape, axis, stop - start) for start, stop in pairwise(ends)]


def _multiply_matrices(
    _config: _Config, inputs: Sequence[Shape], constants: Sequence[Any]
) -> Shape | None:
    if len(inputs) != 2 or constants or min(map(len, inputs)) < 2:
        return None
    first, second = inputs
    outer = _broadcast([first[:-2], second[:-2]])
    return None if outer is None else (*outer, first[-2], second[-1])


def _get_item(_config: _Config, inputs: Sequence[Shape], constants: Sequence[Any]) -> Shape | None:
    if len(inputs) != 1 or len(constants) != 1:
        return None
    key = constants[0]
    keys = key if isinstance(key, list) else [key]
    return slice_tensor(inputs[0], [_read_slice(each) for each in keys], varying=True)


def _read_slice(item: Any) -> Any:
    if isinstance(item, dict) and item.get("class_name") == "__slice__":
        return item["config"]
    return item


_RULES: dict[str, _Rule] = {
    "BroadcastTo": _broadcast_to,
    "Concatenate": _concatenate,
    "ExpandDims": _expand,
    "GetItem": _get_item,
    "Matmul": _multiply_matrices,
    "Moveaxis": _move,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Repeat": _repeat,
    "Reshape": _reshape,
    "Split": _split,
    "Squeeze": _squeeze,
    "Stack": _stack,
    "Swapaxes": _swap,
    "Take": _take,
    "Tile": _tile,
    "Transpose": _transpose,
}
