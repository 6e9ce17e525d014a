"""The shape that a function of TensorFlow gives which a Keras 2 model calls as a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.architecture.network import find_refs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.architecture.network import Shape

_CONSTANT = "_CONSTANT_VALUE"  # stands where a tensor would

# fmt: off
KEEPING = {
    "abs", "bias_add", "cast", "ceil", "clip_by_value", "cos", "cumsum", "elu", "erf", "exp",
    "floor", "gelu", "identity", "l2_normalize", "leaky_relu", "log", "log1p", "log_softmax",
    "negative", "ones_like", "reciprocal", "relu", "relu6", "round", "rsqrt", "selu", "sigmoid",
    "sign", "silu", "sin", "softmax", "softplus", "softsign", "sqrt", "square", "stop_gradient",
    "swish", "tanh", "zeros_like",
}
COMBINING = {
    "add", "radd", "subtract", "rsub", "multiply", "mul", "rmul", "truediv", "rtruediv", "divide",
    "pow", "rpow", "floordiv", "maximum", "minimum", "squared_difference", "greater", "less",
    "equal", "greater_equal", "less_equal", "not_equal",
}
REDUCING = {
    "reduce_all", "reduce_any", "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min",
    "reduce_prod", "reduce_std", "reduce_sum", "reduce_variance",
}
# fmt: on


def infer_operation(
    config: Mapping[str, Any], node: Any, inputs: Sequence[Shape | None]
) -> Shape | None:
    """Infer what a function gives for a call.

    Args:
        config: The config of the layer that calls it.
        node: The call, as the config has it.
        inputs: The shapes of all tensors in it, in order; None for an unknown one.

    Returns:
        The shape; None if it isn't certain.
    """
    known = [shape for shape in inputs if shape is not None]
    if not known or len(known) != len(inputs):
        return None
    try:
        name = str(config["function"]).rpartition(".")[2]
        return _infer(name, known, _read_constants(node))
    # A config that isn't as Keras writes it tells nothing.
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None


def _read_constants(node: Any) -> dict[str, Any]:
    """Read the arguments of a call that are no tensors: by name, the first one under ""."""
    own = node if isinstance(node[0], str) else node[0]
    first = {"": own[2]} if own[:2] == [_CONSTANT, -1] else {}
    keywords = own[3] if len(own) > 3 else {}
    return {**first, **{key: each for key, each in keywords.items() if not [*find_refs(each)]}}


def _infer(name: str, inputs: Sequence[Shape], others: Mapping[str, Any]) -> Shape | None:
    if name in KEEPING and len(inputs) == 1:
        return inputs[0]
    if name in COMBINING:
        constants = [
            measure_constant(value) for key, value in others.items() if key not in ("name", "dtype")
        ]
        return broadcast([*inputs, *constants])
    if name in REDUCING and len(inputs) == 1:
        return reduce_axes(inputs[0], others.get("axis"), bool(others.get("keepdims")))
    if name == "concat":
        return join(inputs, others.get("axis"))
    if name == "expand_dims" and len(inputs) == 1:
        return expand(inputs[0], others.get("axis"))
    if name == "getitem" and len(inputs) == 1:
        return slice_tensor(inputs[0], others.get("slice_spec"))
    return None


def broadcast(shapes: Sequence[Shape | None]) -> Shape | None:
    """Give the shape of what an operation makes of tensors element by element.

    Returns:
        None where it isn't certain: a length that varies may be 1.
    """
    made: list[int | None] = []
    if any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    for place in range(1, max(map(len, known), default=0) + 1):
        sizes = {shape[-place] for shape in known if len(shape) >= place} - {1}
        if len(sizes) > 1:
            return None
        made.append(sizes.pop() if sizes else 1)
    return tuple(reversed(made))


def measure_constant(value: Any) -> Shape | None:
    """Give the shape of a constant: a number, or lists of them, also as Keras 3 writes arrays."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        value = value["config"]["value"]
    if value is None or isinstance(value, bool | int | float):
        return ()
    if isinstance(value, list) and value:
        inner = measure_constant(value[0])
        return None if inner is None else (len(value), *inner)
    return None


def reduce_axes(shape: Shape, axis: Any, keepdims: bool) -> Shape:
    """Give the shape that is left when some axes are summed up; all of them where it is None."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, list) else [axis]
    gone = {number % len(shape) for number in axes}
    if keepdims:
        return tuple(1 if axis in gone else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in gone)


def join(shapes: Sequence[Shape], axis: Any) -> Shape | None:
    """Give the shape of tensors put behind each other; None if it isn't certain."""
    place = axis % len(shapes[0])
    rests = {(*shape[:place], *shape[place + 1 :]) for shape in shapes}
    lengths = [shape[place] for shape in shapes]
    if len(rests) > 1:
        return None
    length = None if None in lengths else sum(size for size in lengths if size is not None)
    return (*shapes[0][:place], length, *shapes[0][place + 1 :])


def expand(shape: Shape, axis: Any) -> Shape:
    """Give the shape with an axis more, of length 1."""
    place = axis % (len(shape) + 1)
    return (*shape[:place], 1, *shape[place:])


def slice_tensor(shape: Shape, spec: Any, *, varying: bool = False) -> Shape | None:
    """Give the shape of `tensor[spec]`, where that is made of numbers and slices.

    Args:
        shape: The shape of the tensor.
        spec: As configs write it.
        varying: Whether any part of an axis whose length varies varies, too, as in Keras 3.
    """
    items = spec if isinstance(spec, list) else [spec]
    ellipses = [place for place, item in enumerate(items) if _is_ellipsis(item)]
    missing = len(shape) - len(items) + items.count(None)
    if missing < -len(ellipses):
        return None
    if ellipses:
        place = ellipses[0]
        items = [*items[:place], *[_WHOLE] * (missing + 1), *items[place + 1 :]]
    else:
        items = [*items, *[_WHOLE] * missing]
    made: list[int | None] = []
    sizes = iter(shape)
    for item in items:
        if item is None:  # a new axis
            made.append(1)
            continue
        size = next(sizes)
        if isinstance(item, int):
            continue
        parts = [item["start"], item["stop"], item["step"]]
        if any(part is not None and not isinstance(part, int) for part in parts):
            return None
        if size is None and not varying and parts not in ([None, None, None], [None, None, -1]):
            return None
        made.append(None if size is None else len(range(*slice(*parts).indices(size))))
    return tuple(made)


_WHOLE: dict[str, None] = {"start": None, "stop": None, "step": None}


def _is_ellipsis(item: Any) -> bool:
    return isinstance(item, dict) and item.get("class_name") == "__ellipsis__"
