"""Preprocessing as a part of the graph: scaling, mean and deviation, keras.applications."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FunctionType, ModuleType
from typing import Any

import tensorflow as tf

from kprobe.errors import Hint, InputError, Setting
from kprobe.preprocessing import Preprocessing

# Of images in colour.
_CHANNELS = 3


def prepare(
    data: tf.Tensor, spec: tf.TensorSpec, preprocessing: Preprocessing, library: ModuleType
) -> tf.Tensor:
    """Turn data of any numeric dtype into what the model takes.

    Args:
        data: The data, in its own dtype.
        spec: Shape and dtype of the model's input.
        preprocessing: What is done to it.
        library: keras or tf_keras, whose applications are asked.

    Returns:
        A tensor of the data's shape and the input's dtype.

    Raises:
        InputError: An unknown model family, or as many values as there are no channels.
    """
    if preprocessing == Preprocessing():
        return data if data.dtype == spec.dtype else tf.cast(data, spec.dtype)
    if not spec.dtype.is_floating:
        raise InputError(f"preprocessing needs a floating-point input, received {spec.dtype.name}")
    result = tf.cast(data, spec.dtype)
    if preprocessing.preprocess is not None:
        result = _apply_family(preprocessing.preprocess, result, library)
    if preprocessing.scale is not None:
        result *= tf.cast(preprocessing.scale, spec.dtype)
    if preprocessing.mean is not None:
        result -= _channels("mean", preprocessing.mean, spec)
    if preprocessing.std is not None:
        result /= _channels("std", preprocessing.std, spec)
    if not spec.shape.is_compatible_with(result.shape):
        raise InputError(
            f"preprocessing gives shape {tuple(result.shape)}, and the model expects "
            f"{tuple(spec.shape)}"
        )
    return result


def _apply_family(name: str, images: tf.Tensor, library: ModuleType) -> tf.Tensor:
    """Do to images what a family of keras.applications does to those it was trained on."""
    preprocess = find_family(name, library).preprocess_input
    channels = images.shape[-1] if images.shape.rank else None
    if channels == _CHANNELS:
        return preprocess(images)
    # Some families do the same to each channel, others know three.
    try:
        made = preprocess(images)
    except (ValueError, tf.errors.InvalidArgumentError):
        made = None
    if made is None or not images.shape.is_compatible_with(made.shape):
        raise InputError(
            f"preprocess: {name}: expected images of {_CHANNELS} channels, and the model takes "
            f"{tuple(images.shape)}",
            hint=Hint("use ", Setting("scale"), ", ", Setting("mean"), " and ", Setting("std")),
        )
    return made


def find_family(name: str, library: ModuleType) -> Any:
    """Give the module of a keras.applications family, such as "resnet50" or "MobileNetV2".

    Args:
        name: A module or a model of keras.applications; case and underscores don't count.
        library: keras or tf_keras, or tensorflow.

    Raises:
        InputError: There is none of that name; lists those there are.
    """
    # A signature is of no Keras: TensorFlow's will do.
    applications = (library.keras if library is tf else library).applications
    families = {
        key: module
        for key, module in vars(applications).items()
        if isinstance(module, ModuleType) and key != "imagenet_utils"
    }
    wanted = _plain(name)
    for key, module in families.items():
        if wanted == _plain(key):
            return module
    for key, model in vars(applications).items():
        # Not every model is in a family's public module, but all know where they come from.
        if wanted == _plain(key) and isinstance(model, FunctionType):
            return sys.modules[model.__module__]
    raise InputError(
        f"no model family {name!r} in keras.applications; it has {', '.join(families)}"
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _channels(option: str, given: float | Sequence[float], spec: tf.TensorSpec) -> tf.Tensor:
    values = given if isinstance(given, Sequence) else [given]
    size = spec.shape[-1]
    if len(values) not in (1, size):
        several = "1 value" if size == 1 else f"1 or {size} values"
        raise InputError(f"{option}: expected {several}, received {len(values)}")
    return tf.constant(values, spec.dtype)
