"""Conditions that tensors, channels or samples mustn't meet: `nan,dead>0.5,conv*:max>100`.

conditions = condition { "," condition }
condition  = [ address ":" ] ( count | field comparison number )
address    = those of tensors, in which * and ? may stand
count      = "nan" | "inf" | "zeros" | "dead" | "dead_channels" | "saturated": more than none
field      = a count | "count" | "mean" | "std" | "min" | "max" | "l1" | "l2" | "rms"
           | "channels" | "q" quantile, such as q0.99
comparison = ">" | ">=" | "<" | "<=" | "==" | "!="

Of a channel there are no "dead_channels", "channels", "saturated" and quantiles; nor of a sample,
which isn't "dead", either.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kprobe.addresses.globs import compile_glob
from kprobe.analysis.statistics.distribution import QUANTILES
from kprobe.errors import KprobeError, merge_errors
from kprobe.naming import list_names, name_nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kprobe.analysis.statistics.summary import By, Summary

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
_COMMA = re.compile(r",(?![^\[]*\])")  # not within brackets
_CONDITION = re.compile(r"\s*(?:(\S.*?)\s*:)?\s*([^\s<>=!:]+)\s*(?:(>=|<=|==|!=|>|<)\s*(\S+))?\s*")
_QUANTILE = re.compile(r"q(0?\.\d+)")
_PERCENTILE = re.compile(r"[qp]\d[\d.]*")  # as others write it
_QUANTILES = tuple(f"q{part}" for part in QUANTILES)
_OF_TENSORS = ("dead_channels", "saturated", "channels")
_KNOWN: dict[By, tuple[str, ...]] = {
    "tensor": (*_FIELDS, *_QUANTILES),
    "channel": tuple(name for name in _FIELDS if name not in _OF_TENSORS),
    "sample": tuple(name for name in _FIELDS if name not in (*_OF_TENSORS, "dead")),
}


@dataclass(frozen=True)
class Condition:
    """What a tensor, a channel or a sample may be.

    Attributes:
        text: It as written.
        address: Of which tensors, as a glob; None for all.
        field: What of a summary is compared.
        comparison: How.
        number: With what.
    """

    text: str
    address: str | None
    field: str
    comparison: str
    number: float


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What meets a condition.

    Attributes:
        address: The tensor.
        channel: Which of its channels it is; None where it isn't one.
        row: The row of the sample that it is; None where it isn't one.
        condition: The condition, as written.
        field: What was compared, such as "max".
        value: Its value.
    """

    address: str
    channel: int | None = None
    row: int | None = None
    condition: str
    field: str
    value: float


def parse_conditions(text: str, by: By = "tensor") -> list[Condition]:
    """Read conditions.

    Args:
        text: As in the grammar.
        by: What is to meet them: a tensor, a channel or a sample.

    Raises:
        KprobeError: With all that can't be read.
    """
    faults: list[str] = []
    conditions: list[Condition] = []
    for part in _COMMA.split(text):
        try:
            conditions.append(_parse(part, by))
        except KprobeError as error:
            faults.append(str(error))
    if faults:
        raise KprobeError(*faults)
    return conditions


def _parse(text: str, by: By) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise KprobeError(
            f"expected a condition such as nan, dead>0.5 or max>100, received {text.strip()!r}"
        )
    address, field, comparison, number = match.groups()
    name = field.lower().replace("-", "_")
    quantile = _QUANTILE.fullmatch(name)
    if quantile:
        name = f"q{float(quantile[1])}"
    if name not in _KNOWN[by]:
        meant = quantile or name[:2] in ("q0", "q.") or _PERCENTILE.fullmatch(name)
        known = _QUANTILES if meant and by == "tensor" else _KNOWN[by]
        near = None if _PERCENTILE.fullmatch(name) else name_nearest(name, known)
        hint = near or f"there are {', '.join(known)}"
        raise KprobeError(f"{text.strip()}: there is no {field} of a {by}", hint=hint)
    if comparison is None:
        if name not in COUNTS:
            raise KprobeError(f"expected a comparison such as {name}>100, received {name} alone")
        return Condition(text.strip(), address, name, ">", 0.0)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise KprobeError(
            f"{text.strip()}: expected a number behind {comparison}, received {number!r}"
        )
    return Condition(text.strip(), address, name, comparison, value)


def check_addresses(conditions: Sequence[Condition], addresses: Sequence[str]) -> None:
    """Check that each condition is about some tensor.

    Raises:
        KprobeError: With all that name none of the tensors.
    """
    errors = [
        KprobeError(
            f"{condition.text}: there is no tensor {condition.address}",
            hint=name_nearest(condition.address, addresses, 3)
            or f"there are {list_names(addresses)}",
        )
        for condition in conditions
        if condition.address is not None and not _choose(condition, addresses)
    ]
    if errors:
        raise merge_errors(errors)


def _choose(condition: Condition, addresses: Iterable[str]) -> set[str]:
    """Give the addresses that a condition is about."""
    glob = condition.address
    if glob is None or glob in addresses:
        return set(addresses if glob is None else [glob])
    return {address for address in addresses if compile_glob(glob).fullmatch(address)}


def find_failures(
    conditions: Sequence[Condition], summaries: Mapping[str, Sequence[Summary]]
) -> list[Failure]:
    """Find what meets any of some conditions.

    What has no value, such as the largest where all are NaN, meets none about it.

    Args:
        conditions: The conditions.
        summaries: By address what is known of the tensor, of its channels or of its samples.
    """
    about = [_choose(condition, list(summaries)) for condition in conditions]
    return [
        Failure(
            address=address,
            channel=getattr(summary, "channel", None),
            row=getattr(summary, "row", None),
            condition=condition.text,
            field=condition.field,
            value=value,
        )
        for address, told in summaries.items()
        for summary in told
        for condition, addresses in zip(conditions, about, strict=True)
        if address in addresses
        and (value := _find_value(summary, condition.field)) is not None
        and _COMPARISONS[condition.comparison](value, condition.number)
    ]


def _find_value(summary: Summary, field: str) -> float | None:
    if field.startswith("q"):
        quantiles: Mapping[str, float] = getattr(summary, "quantiles", {})
        return quantiles.get(field[1:])
    value: float | None = getattr(summary, field)
    return int(value) if isinstance(value, bool) else value
