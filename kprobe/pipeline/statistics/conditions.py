"""Conditions that tensors mustn't meet: `nan,dead>0.5,max>100`.

conditions = condition { "," condition }
condition  = count | field comparison number
count      = "nan" | "inf" | "zeros" | "dead" | "dead_channels" | "saturated": more than none
field      = a count | "count" | "mean" | "std" | "min" | "max" | "l1" | "l2" | "rms"
           | "channels" | "q" quantile, such as q0.99
comparison = ">" | ">=" | "<" | "<=" | "==" | "!="
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.analysis.statistics.distribution import QUANTILES
from kprobe.errors import KprobeError
from kprobe.naming import name_nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kprobe.analysis.statistics.summary import TensorSummary

COUNTS = ("nan", "inf", "zeros", "dead", "dead_channels", "saturated")
_FIELDS = (*COUNTS, "count", "mean", "std", "min", "max", "l1", "l2", "rms", "channels")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(r"\s*([^\s<>=!]+)\s*(?:(>=|<=|==|!=|>|<)\s*(\S+))?\s*")
_QUANTILE = re.compile(r"q(0?\.\d+)")
_PERCENTILE = re.compile(r"[qp]\d[\d.]*")  # as others write it
_QUANTILES = tuple(f"q{part}" for part in QUANTILES)


@dataclass(frozen=True)
class Condition:
    """What a tensor may be.

    Attributes:
        text: It as written.
        field: What of a summary is compared.
        comparison: How.
        number: With what.
    """

    text: str
    field: str
    comparison: str
    number: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A tensor that meets a condition.

    Attributes:
        address: The tensor.
        condition: The condition, as written.
        field: What was compared, such as "max".
        value: Its value.
    """

    address: str
    condition: str
    field: str
    value: float


def parse_conditions(text: str) -> list[Condition]:
    """Read conditions.

    Raises:
        KprobeError: With all that can't be read.
    """
    faults: list[str] = []
    conditions: list[Condition] = []
    for part in text.split(","):
        try:
            conditions.append(_parse(part))
        except KprobeError as error:
            faults.append(str(error))
    if faults:
        raise KprobeError(*faults)
    return conditions


def _parse(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise KprobeError(
            f"expected a condition such as nan, dead>0.5 or max>100, received {text.strip()!r}"
        )
    field, comparison, number = match.groups()
    name = field.lower().replace("-", "_")
    quantile = _QUANTILE.fullmatch(name)
    if quantile:
        name = f"q{float(quantile[1])}"
    if name not in (*_FIELDS, *_QUANTILES):
        meant = quantile or name[:2] in ("q0", "q.") or _PERCENTILE.fullmatch(name)
        known = _QUANTILES if meant else (*_FIELDS, *_QUANTILES)
        near = None if _PERCENTILE.fullmatch(name) else name_nearest(name, known)
        hint = near or f"there are {', '.join(known)}"
        raise KprobeError(f"{text.strip()}: there is no {field} of a tensor", hint=hint)
    if comparison is None:
        if name not in COUNTS:
            raise KprobeError(f"expected a comparison such as {name}>100, received {name} alone")
        return Condition(text.strip(), name, ">", 0.0)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise KprobeError(
            f"{text.strip()}: expected a number behind {comparison}, received {number!r}"
        )
    return Condition(text.strip(), name, comparison, value)


def find_failures(
    conditions: Sequence[Condition], tensors: Iterable[TensorSummary]
) -> list[Failure]:
    """Find the tensors that meet any of some conditions.

    A tensor without a value, such as the largest where all are NaN, meets none about it.
    """
    failures = []
    for tensor in tensors:
        for condition in conditions:
            value = _find_value(tensor, condition.field)
            met = _COMPARISONS[condition.comparison]
            if value is not None and met(value, condition.number):
                failures.append(
                    Failure(
                        address=tensor.address,
                        condition=condition.text,
                        field=condition.field,
                        value=value,
                    )
                )
    return failures


def _find_value(tensor: TensorSummary, field: str) -> float | None:
    if field.startswith("q"):
        return tensor.quantiles.get(field[1:])
    value: float | None = getattr(tensor, field)
    return value
