"""What a model takes: the name, shape and dtype of each input, and how to pass them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType


def library_of(model: Any) -> ModuleType:
    """Give the Keras a model belongs to: keras or tf_keras.

    Raises:
        ModelError: It is no model of either.
    """
    for name in ("keras", "tf_keras"):
        library = sys.modules.get(name)
        if library is not None and isinstance(model, library.Model):
            return library
    raise ModelError(f"expected a model of keras or tf_keras, received {type(model).__name__}")


def read_signature(model: Any) -> dict[str, tf.TensorSpec]:
    """Give shape and dtype of each input, by name, in the model's order.

    The batch axis is the first, and None unless the model was made for one batch size only.

    Args:
        model: A built model of keras or tf_keras.

    Raises:
        ModelError: The model doesn't say what it takes.
    """
    library_of(model)
    symbols = getattr(model, "inputs", None)
    if symbols:
        names = getattr(model, "input_names", None) or [symbol.name for symbol in symbols]
        return {
            name: tf.TensorSpec(tuple(symbol.shape), symbol.dtype)
            for name, symbol in zip(names, symbols, strict=True)
        }
    # A subclassed model remembers at most the shape it was built for.
    shape = _build_config(model).get("input_shape")
    if shape and all(size is None or isinstance(size, int) for size in shape):
        return {"inputs": tf.TensorSpec([None, *shape[1:]], model.compute_dtype)}
    raise ModelError(
        f"the model ({type(model).__name__}) doesn't say what it takes: it is subclassed and "
        "was saved before it was built, or takes several inputs",
        hint="build it by calling it on data once, and save it again",
    )


def _build_config(model: Any) -> dict[str, Any]:
    if not hasattr(model, "get_build_config"):
        return {}
    return model.get_build_config() or {}


def arrange_inputs(model: Any, tensors: Mapping[str, tf.Tensor]) -> Any:
    """Put the inputs into the structure that the model's call takes.

    Args:
        model: A model of keras or tf_keras.
        tensors: A tensor for each input, by name.
    """
    flat = [tensors[name] for name in read_signature(model)]
    # The symbolic inputs as they were given when the model was made: one, a list or a dict.
    # Keras warns of any other structure, even of a bare tensor for a list of one.
    network = getattr(model, "_functional", None) or model
    structure = getattr(network, "_inputs_struct", getattr(network, "_nested_inputs", None))
    if structure is None:
        return flat[0] if len(flat) == 1 else flat
    return tf.nest.pack_sequence_as(structure, flat)
