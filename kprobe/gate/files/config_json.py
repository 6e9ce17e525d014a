"""The one parse of a config: strict JSON, in which no two parsers could read two things."""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Iterator

# Real configs take up to a few MB; where weights are written into them, some dozens.
MAX_BYTES = 64 * 1024**2
# Objects and lists, which take up to some 200 bytes of memory, and as little as 3 in the file.
MAX_CONTAINERS = 1_000_000
MAX_VALUES = 3_000_000
# Each model in a model takes 4. Loaders, which go down by calls of functions, end before this.
MAX_DEPTH = 200

_BLOCK = 1 << 20  # bytes
_AS_STEPS = bytes.maketrans(b"{[}]", b"\1\1\xff\xff")
_NO_STRUCTURE = bytes(set(range(256)) - set(b'{}[]:,"'))
# Where there are so many digits in a row, there may be an integer that 64 bits don't hold.
_AS_NINES = bytes.maketrans(b"012345678", b"9" * 9)
_MANY_DIGITS = b"9" * 19
_INTEGERS = range(-(2**63), 2**64)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _RefusedError(Exception):
    """Something is refused that JSON has, or that Python's parser takes."""


def parse_config(
    content: bytes, name: str = "config", most: int = MAX_BYTES
) -> tuple[dict[str, Any] | None, list[Fault]]:
    """Parse the JSON of a config.

    Infinity is taken, as Python writes it: Keras does for a layer that has no upper bound. NaN
    isn't: no setting of a layer means anything by it.

    Args:
        content: The bytes.
        name: What it is called in faults.
        most: How many bytes it may have.

    Returns:
        The config, an object; and no faults. Or None, and the faults.
    """
    structure = b"" if len(content) > most else _list_structure(content)
    if (text := _find_excess(content, structure, most)) is not None:
        return None, [Fault("config-size", f"has a {name} {text}")]
    try:
        config = _parse(content, pairs=structure.count(b":"))
    except (ValueError, _RefusedError) as error:
        return None, [Fault("config-json", f"has a {name} that {_describe(error)}")]
    if not isinstance(config, dict):
        kind = {list: "a list", str: "a text", type(None): "null"}.get(type(config), "a number")
        return None, [Fault("config-json", f"has a {name}: expected an object, received {kind}")]
    return config, []


def _list_structure(content: bytes) -> bytes:
    """Give the brackets, colons and commas outside of texts.

    Of what isn't JSON, it gives at least those before the place where a parser stops.
    """
    if b"\\" in content:
        content = content.replace(rb"\\", b"").replace(rb"\"", b"")
    # Two quotes without anything between: the ends of one text, or of two that follow each other,
    # which may then be taken for one.
    content = content.translate(None, _NO_STRUCTURE).replace(b'""', b"")
    found = []
    quotes = 0
    for start in range(0, len(content), _BLOCK):  # else a hostile one would take much memory
        parts = content[start : start + _BLOCK].split(b'"')
        found += parts[quotes % 2 :: 2]
        quotes += len(parts) - 1
    return b"".join(found)


def _find_excess(content: bytes, structure: bytes, most: int) -> str | None:
    """Find what would take too much memory, or too many nested calls, to be parsed."""
    containers = structure.count(b"{") + structure.count(b"[")
    for count, limit, what in (
        (len(content), most, "bytes"),
        (containers, MAX_CONTAINERS, "objects and lists"),
        (structure.count(b","), MAX_VALUES, "values"),
    ):
        if count > limit:
            return f"of {count:,} {what}, above the limit of {limit:,}"
    # 1 and -1: how deep each place lies is the sum of all before it.
    steps = memoryview(structure.translate(_AS_STEPS, b":,")).cast("b")
    if (depth := max(accumulate(steps), default=0)) > MAX_DEPTH:
        return f"with objects and lists {depth:,} levels deep, above the limit of {MAX_DEPTH}"
    return None


def _parse(content: bytes, pairs: int) -> Any:
    text = content.decode("utf-8")
    lengths: list[int] = []

    def note(made: dict[str, Any]) -> dict[str, Any]:
        lengths.append(len(made))
        return made

    many = _MANY_DIGITS in content.translate(_AS_NINES)
    config = json.loads(
        text,
        object_hook=note,
        parse_constant=_make_constant,
        parse_int=_make_integer if many else None,
    )
    # Of equal keys the last one is taken, so that there are fewer than there are colons.
    if sum(lengths) != pairs:
        json.loads(text, object_pairs_hook=_find_equal_keys)
    if _SURROGATE.search(content):
        for each in _list_texts(config):
            _check_unicode(each)
    return config


def _find_equal_keys(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _RefusedError(f"has the key {show(key)} twice in an object")
        seen.add(key)


def _make_constant(text: str) -> float:
    if text == "NaN":
        raise _RefusedError("has NaN for a number")
    return float(text)


def _make_integer(text: str) -> int:
    # Of thousands of digits, a conversion takes long.
    if len(text) > len(str(_INTEGERS.stop)) or int(text) not in _INTEGERS:
        raise _RefusedError(f"has an integer of {len(text.lstrip('-')):,} digits")
    return int(text)


def _list_texts(config: Any) -> Iterator[str]:
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value
            pending += value.values()


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _RefusedError("has half a character (a lone surrogate) in a text") from None


def _describe(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"isn't UTF-8: byte {error.start:,} is {error.object[error.start]:#04x}"
    return str(error) if isinstance(error, _RefusedError) else f"isn't valid JSON: {error}"
