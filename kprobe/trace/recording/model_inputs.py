"""What a model takes: the name, shape and dtype of each input, and how to pass them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from kprobe.compat.keras_names import (
    FUNCTIONAL,
    HISTORY,
    INPUT_STRUCTURE,
    NESTED_INPUTS,
    RESTORED_MODEL,
)
from kprobe.compat.tensorflow_names import ARGUMENT_NAMES
from kprobe.errors import Hint, ModelError, Setting
from kprobe.saved_signature import SavedSignature

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from kprobe.trace.recording.recorder import Recorder


class Keywords(dict[str, Any]):
    """Inputs that a model takes as keyword arguments, rather than as a dict."""


@dataclass(frozen=True)
class WithParts:
    """What a model is called with, and the parts of it that are called by themselves.

    Attributes:
        own: What the model is called with; None where it isn't called.
        parts: The parts, each with what it is called with.
    """

    own: Any
    parts: Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Learned:
    """What was found out by calling a model that doesn't say what it takes.

    Attributes:
        specs: Shape (batch axis first) and dtype of each input, by name.
        arrange: Gives, from a tensor for each input, what the model is called with.
    """

    specs: Mapping[str, tf.TensorSpec]
    arrange: Callable[[Mapping[str, tf.Tensor]], Any]


_learned: WeakKeyDictionary[Any, Learned] = WeakKeyDictionary()


def library_of(model: Any) -> ModuleType:
    """Give the Keras a model belongs to: keras or tf_keras; tensorflow for a SavedSignature.

    Raises:
        ModelError: It is no model of these.
    """
    if isinstance(model, SavedSignature):
        return sys.modules["tensorflow"]
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
    if isinstance(model, SavedSignature):
        return _read_saved(model)
    library_of(model)
    if model in _learned:
        return dict(_learned[model].specs)
    symbols = getattr(model, "inputs", None)
    if symbols:
        names = getattr(model, "input_names", None) or [_name(symbol) for symbol in symbols]
        return {
            name: tf.TensorSpec(tuple(symbol.shape), symbol.dtype)
            for name, symbol in zip(names, symbols, strict=True)
        }
    # A subclassed model remembers at most the shape it was built for.
    shape: Any = _build_config(model).get("input_shape")
    if _is_shape(shape):
        return {"inputs": tf.TensorSpec([None, *shape[1:]], model.compute_dtype)}
    if isinstance(shape, Mapping) and all(_is_shape(part) for part in shape.values()):
        return {
            name: tf.TensorSpec([None, *part[1:]], model.compute_dtype)
            for name, part in shape.items()
        }
    spec = _saved_spec(model)
    if spec is not None:
        flat = tf.nest.flatten(spec)
        if isinstance(spec, Mapping):
            return dict(zip(sorted(spec), flat, strict=True))
        # As tf_keras names those of a list.
        names = ["inputs"] if len(flat) == 1 else [f"input_{n + 1}" for n in range(len(flat))]
        return dict(zip(names, flat, strict=True))
    raise ModelError(
        f"the model ({type(model).__name__}) doesn't say what it takes: it is subclassed, and "
        "isn't built or takes several inputs",
        hint=Hint("give it samples: ", Setting("inputs", "NAME=SRC", python="{'NAME': …}")),
    )


def _name(symbol: Any) -> str:
    """Name a symbolic input after its layer, as listings do: its own name may be an automatic one.

    In Keras 3 `Input((3,))` makes a layer `input_layer` that gives a symbol `keras_tensor`.
    """
    layer = HISTORY.read(symbol, [None])[0]
    return str(getattr(layer, "name", symbol.name))


def takes_any_size(model: Any) -> bool:
    """Tell whether the sizes that `read_signature` gives are only those it was first called with.

    A subclassed model doesn't say what it takes. It may take other sizes; calling it tells.
    """
    if isinstance(model, SavedSignature) or getattr(model, "inputs", None):
        return False
    restored = "tf_keras" in sys.modules and isinstance(model, RESTORED_MODEL.find())
    return not restored


def list_optional(model: Any) -> set[str]:
    """Give the names of the inputs that a model can be called without."""
    symbols = getattr(model, "inputs", None) or ()
    if isinstance(model, SavedSignature) or model in _learned or not symbols:
        return set()
    names = read_signature(model)
    return {
        name
        for name, symbol in zip(names, symbols, strict=False)
        # Keras 3 notes it at the layer, keras/src/layers/core/input_layer.py.
        if getattr(HISTORY.read(symbol, [None])[0], "optional", False)
    }


def _is_shape(value: Any) -> bool:
    return bool(value) and all(size is None or isinstance(size, int) for size in value)


def _make_composite(symbol: Any, tensor: tf.Tensor) -> Any:
    """Make of a tensor a sparse or a ragged one where the input was declared so."""
    spec = getattr(symbol, "type_spec", None)  # of tf_keras
    if getattr(symbol, "sparse", False) or isinstance(spec, tf.SparseTensorSpec):
        return tf.sparse.from_dense(tensor)
    if getattr(symbol, "ragged", False) or isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(tensor)
    return tensor


def _read_saved(signature: SavedSignature) -> dict[str, tf.TensorSpec]:
    specs = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype)
        for name, tensor in zip(
            ARGUMENT_NAMES.find(signature.function), signature.function.inputs, strict=False
        )
    }
    for name, spec in specs.items():
        if not spec.shape.rank:
            found = "is a scalar" if spec.shape.rank == 0 else "may have any number of axes"
            raise ModelError(
                f"the input {name} of the signature {signature.name} {found}, and the axis of "
                "samples is expected first"
            )
    return specs


def _saved_spec(model: Any) -> Any:
    """What a subclassed model of tf_keras was called on first, and says even when saved."""
    spec = model.save_spec(dynamic_batch=True) if hasattr(model, "save_spec") else None
    inputs = spec[0][0] if spec else None
    flat = tf.nest.flatten(inputs)
    return inputs if flat and all(isinstance(part, tf.TensorSpec) for part in flat) else None


def _build_config(model: Any) -> dict[str, Any]:
    if not hasattr(model, "get_build_config"):
        return {}
    return model.get_build_config() or {}


def remember(model: Any, learned: Learned) -> None:
    """Let `read_signature` and `arrange_inputs` give what was found out, from now on."""
    _learned[model] = learned


def call_model(model: Any, inputs: Any, *, training: bool, recorder: Recorder | None = None) -> Any:
    """Call a model with what `arrange_inputs` gave, and its parts as called by it.

    Args:
        model: The model.
        inputs: What it is called with.
        training: Whether its layers are to behave as in training.
        recorder: What records the calls, if anything does.
    """
    if isinstance(inputs, WithParts):
        outputs = []
        if inputs.own is not None:
            outputs.append(call_model(model, inputs.own, training=training))
        with contextlib.nullcontext() if recorder is None else recorder.inside(model):
            outputs += [call_model(p, given, training=training) for p, given in inputs.parts]
        return outputs
    if isinstance(inputs, Keywords):
        return model(**inputs, training=training)
    return model(inputs, training=training)


def arrange_inputs(model: Any, tensors: Mapping[str, tf.Tensor]) -> Any:
    """Put the inputs into the structure that the model's call takes.

    Args:
        model: A model of keras or tf_keras, or a SavedSignature.
        tensors: A tensor for each input, by name; an optional one may be left out.
    """
    if isinstance(model, SavedSignature):
        return dict(tensors)
    if model in _learned:
        return _learned[model].arrange(tensors)
    signature = read_signature(model)
    flat = [tensors.get(name) for name in signature]
    for number, symbol in enumerate(getattr(model, "inputs", None) or ()):
        if flat[number] is not None:
            flat[number] = _make_composite(symbol, flat[number])
    # The symbolic inputs as they were given when the model was made: one, a list or a dict.
    # Keras warns of any other structure, even of a bare tensor for a list of one.
    network = FUNCTIONAL.read(model) or model
    structure = INPUT_STRUCTURE.read(network, NESTED_INPUTS.read(network))
    if structure is None and isinstance(_build_config(model).get("input_shape"), Mapping):
        return dict(zip(signature, flat, strict=True))
    if structure is None and not getattr(model, "inputs", None):
        structure = _saved_spec(model)
    if structure is None:
        return flat[0] if len(flat) == 1 else flat
    return tf.nest.pack_sequence_as(structure, flat)
