"""What is done to an input before the model sees it. Pure data: knows no TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kprobe.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to an input before the model sees it, in this order.

    Attributes:
        preprocess: A model family of keras.applications, e.g. "resnet50".
        scale: A factor.
        mean: Subtracted; one value, or one for each channel.
        std: Divided by, not 0; one value, or one for each channel.

    Raises:
        InputError: A value that can't be; all are reported.
    """

    preprocess: str | None = None
    scale: float | None = None
    mean: float | tuple[float, ...] | None = None
    std: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be meant, and bring numbers to Python's."""
        faults = []
        if self.preprocess is not None and not isinstance(self.preprocess, str):
            faults.append(
                f"preprocess: expected a family of keras.applications, received {self.preprocess!r}"
            )
        for name in ("scale", "mean", "std"):
            value = getattr(self, name)
            if value is None:
                continue
            alone = name == "scale" or not isinstance(value, Iterable) or isinstance(value, str)
            numbers = [_read_number(part) for part in ([value] if alone else value)]
            if None in numbers or not numbers or (name == "std" and 0 in numbers):
                some = "a finite number" if name == "scale" else "finite numbers"
                besides = " other than 0" if name == "std" else ""
                faults.append(f"{name}: expected {some}{besides}, received {value!r}")
            else:
                object.__setattr__(self, name, numbers[0] if name == "scale" else tuple(numbers))
        if faults:
            raise InputError(*faults)


def _read_number(value: Any) -> float | None:
    """Give a number as Python's; None for what isn't one."""
    if isinstance(value, bool | str | bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
