"""What is done to an input before the model sees it. Pure data: knows no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to an input before the model sees it, in this order.

    Attributes:
        preprocess: A model family of keras.applications, e.g. "resnet50".
        scale: A factor.
        mean: Subtracted; one value, or one for each channel.
        std: Divided by; one value, or one for each channel.
    """

    preprocess: str | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
