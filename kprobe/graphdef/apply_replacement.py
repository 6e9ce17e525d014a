"""Replace the value of a tensor inside a graph by one made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.errors import AddressError
from kprobe.graphdef.functions import Body

if TYPE_CHECKING:
    from kprobe.graphdef.replacement import Replacement


def replace(definition: tf.compat.v1.GraphDef, tensor: tf.Tensor, by: Replacement) -> str:
    """Change a graph so that all that took a tensor takes the replacement.

    Args:
        definition: The graph; nodes are added.
        tensor: A tensor of that graph, its first axis that of the samples.
        by: What replaces it.

    Returns:
        The edge of the replacement. Draws in it are stateful ones.

    Raises:
        AddressError: The tensor's dtype has no zero, no mean or no noise.
    """
    dtype = tensor.dtype
    if not (dtype.is_floating or (by.kind == "zero" and _has_zero(dtype))):
        expected = "numbers" if by.kind == "zero" else "floating-point numbers"
        raise AddressError(f"{by.kind} expects {expected}, received {dtype.name}")
    edge = str(tensor.name).removesuffix(":0")
    consumers = list(definition.node)
    body = Body(definition)
    if by.kind == "noise":
        shape = body.add("Shape", [edge], "output", T=dtype, out_type=tf.int32)
        # What is drawn follows from this name, which is the same in every run.
        name = f"noise/{edge.replace(':', '_')}"
        attrs = {"T": tf.int32, "dtype": dtype}
        drawn = body.add("RandomStandardNormal", [shape], "output", name, **attrs)
        deviation = body.add_constant(by.deviation, dtype)
        scaled = body.add("Mul", [drawn, deviation], "z", T=dtype)
        result = body.add("AddV2", [edge, scaled], "z", T=dtype)
    else:
        result = body.add("ZerosLike", [edge], "y", T=dtype)
    if by.kind == "mean":
        axis = body.add_constant([0])
        mean = body.add("Mean", [edge, axis], "output", T=dtype, Tidx=tf.int32, keep_dims=True)
        result = body.add("AddV2", [result, mean], "z", T=dtype)
    for node in consumers:
        for number, given in enumerate(node.input):
            if given == edge:
                node.input[number] = result
    return result


def _has_zero(dtype: tf.DType) -> bool:
    return bool(dtype.is_integer or dtype.is_bool or dtype.is_complex)
