"""A comparison as JSON: what `kprobe diff` printed, of which nothing is believed unchecked."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from kprobe.errors import DumpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# More than of any model: 100,000 tensors.
_MOST_BYTES = 1 << 28
_KINDS = ("born", "spread", "none", "withheld", "parts")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) is float or _is_count(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_kind(value: Any) -> bool:
    return value in _KINDS if isinstance(value, str) else False


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


_WHOLE: dict[str, Callable[[Any], bool]] = {
    "same": _is_switch,
    "first": _or_none(_is_text),
    "born": _or_none(_is_text),
    "verdict": _is_text,
    "kind": _is_kind,
    "would_pass": _or_none(_is_number),
    "a": _is_text,
    "b": _is_text,
    "samples": _is_count,
    "unmatched_a": _list_of(_is_text),
    "unmatched_b": _list_of(_is_text),
    "notes": _list_of(_is_text),
    "tensors": lambda value: isinstance(value, list),
}
_TENSOR: dict[str, Callable[[Any], bool]] = {
    "a": _is_text,
    "b": _is_text,
    "matched_by": _is_text,
    "layout": _or_none(_is_text),
    "after": _list_of(_is_text),
    "place": _is_text,
    "layer_class": _or_none(_is_text),
    "shape": _or_none(_list_of(_or_none(_is_count))),
    "dtype": _is_text,
    "weight": _is_switch,
    "same": _is_switch,
    "count": _is_count,
    "max_abs": _or_none(_is_number),
    "row": _or_none(_is_count),
    "sample": _or_none(_is_text),
    "index": _or_none(_list_of(_is_count)),
    "relative": _or_none(_is_number),
    "worst_channel": _or_none(_is_count),
    "worst_channel_relative": _or_none(_is_number),
    "snr_db": _or_none(_is_number),
    "only_a": _is_count,
    "only_b": _is_count,
    "unlike": _is_count,
    "unequal": _is_count,
    "odd_sample": _or_none(_is_text),
    "cosine": _or_none(_is_number),
    "max_ulps": _or_none(_is_count),
    "tolerance": _or_none(_is_number),
    "atol": _or_none(_is_number),
    "noise": _or_none(_is_number),
    "local_relative": _or_none(_is_number),
    "local_max_abs": _or_none(_is_number),
    "local_worst_channel": _or_none(_is_count),
    "local_reason": _or_none(_is_text),
}


def read_comparison(path: Path) -> dict[str, Any]:
    """Read a comparison, as `DiffResult.to_json` has it.

    Args:
        path: The file.

    Returns:
        What is known of it; all texts and numbers are of the kinds that they should be.

    Raises:
        DumpError: It can't be read, or isn't one.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES >> 20} MiB")
        told = json.loads(path.read_text("utf-8"), parse_constant=_refuse, parse_float=_read_float)
        check_comparison(told)
    except OSError as error:
        raise DumpError(f"{path}: can't be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        reason = "lists in lists, too deep" if isinstance(error, RecursionError) else str(error)
        raise DumpError(
            f"{path}: expected a comparison, received another file: {reason}",
            hint="`kprobe diff A B` prints one as JSON",
        ) from error
    found: dict[str, Any] = told
    return found


def check_comparison(told: Any) -> None:
    """Check that something is a comparison.

    Raises:
        ValueError: It isn't; says where.
    """
    _check(told, _WHOLE, "")
    for number, tensor in enumerate(told["tensors"]):
        _check(tensor, _TENSOR, f"tensors[{number}]")


def _check(told: Any, checks: Mapping[str, Callable[[Any], bool]], where: str) -> None:
    if not isinstance(told, dict):
        raise ValueError(f"{where or 'it'} is no object")
    for name, check in checks.items():
        place = f"{where}.{name}" if where else name
        if name not in told:
            raise ValueError(f"{place} is missing")
        if not check(told[name]):
            raise ValueError(f"{place} isn't what it should be")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def _read_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number
