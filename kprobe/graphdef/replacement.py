"""What a tensor's own value can be replaced by. Knows no TensorFlow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kprobe.errors import AddressError


@dataclass(frozen=True)
class Replacement:
    """What a tensor's value is replaced by.

    Attributes:
        kind: "zero"; "mean": the mean over the batch, for every sample; "noise": itself with
            normally distributed noise added.
        deviation: The noise's standard deviation.
    """

    kind: Literal["zero", "mean", "noise"]
    deviation: float = 0.0


def parse_replacement(text: str) -> Replacement | None:
    """Read `zero`, `mean` or `noise:STD`; None for any other text.

    Raises:
        AddressError: Noise without a standard deviation.
    """
    if text == "zero":
        return Replacement("zero")
    if text == "mean":
        return Replacement("mean")
    match = re.fullmatch(r"noise(?::(.*))?", text)
    if not match:
        return None
    try:
        deviation = float(match[1] or "")
    except ValueError:
        deviation = -1.0
    if not 0 <= deviation < float("inf"):
        raise AddressError(
            f"expected noise:STD with a standard deviation, received {text}",
            hint="for example noise:0.1",
        )
    return Replacement("noise", deviation)
