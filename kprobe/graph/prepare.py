"""Preprocessing as a part of the graph: scaling, mean and deviation, keras.applications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import tensorflow as tf

from kprobe.errors import InputError


@dataclass(frozen=True)
class Preparation:
    """What is done to an input before the model sees it, in this order.

    Attributes:
        preprocess: A model family of keras.applications whose `preprocess_input` is applied.
        scale: A factor.
        mean: Subtracted; one value, or one for each entry of the last axis.
        std: Divided by; one value, or one for each entry of the last axis.
    """

    preprocess: str | None = None
    scale: float | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def apply(self, data: tf.Tensor, spec: tf.TensorSpec, library: ModuleType) -> tf.Tensor:
        """Turn data of any numeric dtype into what the model takes.

        Args:
            data: The data, in its own dtype.
            spec: Shape and dtype of the model's input.
            library: keras or tf_keras, whose applications are asked.

        Raises:
            InputError: An unknown family, or as many values as the last axis hasn't entries.
        """
        if self == Preparation():
            return data if data.dtype == spec.dtype else tf.cast(data, spec.dtype)
        if not spec.dtype.is_floating:
            raise InputError(f"preprocessing needs a floating-point input, received {spec.dtype}")
        result = tf.cast(data, spec.dtype)
        if self.preprocess is not None:
            result = find_family(self.preprocess, library).preprocess_input(result)
        if self.scale is not None:
            result *= tf.cast(self.scale, spec.dtype)
        if self.mean is not None:
            result -= _channels("--mean", self.mean, spec)
        if self.std is not None:
            result /= _channels("--std", self.std, spec)
        return result


def find_family(name: str, library: ModuleType) -> Any:
    """Give the module of a keras.applications family, such as "resnet50" or "MobileNetV2".

    Args:
        name: A module of keras.applications or a model in one; case and underscores don't count.
        library: keras or tf_keras.

    Raises:
        InputError: There is none of that name; lists those there are.
    """
    families = {
        key: module
        for key, module in vars(library.applications).items()
        if isinstance(module, ModuleType) and key != "imagenet_utils"
    }
    wanted = _plain(name)
    for key, module in families.items():
        if wanted == _plain(key):
            return module
    for module in families.values():
        if wanted in (_plain(member) for member in vars(module)):
            return module
    raise InputError(f"no model family {name!r} in keras.applications; it has {', '.join(families)}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _channels(option: str, values: Sequence[float], spec: tf.TensorSpec) -> tf.Tensor:
    size = spec.shape[-1]
    if len(values) not in (1, size):
        raise InputError(f"{option}: expected 1 or {size} values, received {len(values)}")
    return tf.constant(values, spec.dtype)
