r"""Reductions: what can be left of a tensor before it leaves the device. Knows no TensorFlow.

    reduce   = [ addresses "=" ] chain { "," chain }
    chain    = step { "." step }                 each takes what the one before it leaves
    step     = name [ "(" argument { "," argument } ")" ]
    argument = whole number | decimal number | slice, as Python writes it | name of an axis

All that a reduction is stands in one table, `REDUCTIONS`: its name, its arguments, and what it does
with an `Operand`, which knows the names of its axes. To add one, add a row, and, if it is made of
something new, a method of `Operand`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from kprobe.addresses.grammar import split_addresses
from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.naming import suggest_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kprobe.subgraph.operand import Operand

Argument: TypeAlias = "int | float | str | slice"
Arguments: TypeAlias = "tuple[Any, ...]"

_NAME = re.compile(r"\s*([A-Za-z]\w*)\s*")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_SLICE = re.compile(r"([+-]?[0-9]{1,18})?:([+-]?[0-9]{1,18})?(?::([+-]?[0-9]{1,18})?)?")
_MOST = 2**31 - 1
_SEEDS = 2**32


@dataclass(frozen=True)
class Reduction:
    """A row of the table.

    Attributes:
        written: How it is written, with its arguments.
        check: Gives its arguments, all of them, and raises a ValueError that says what was expected
            where they are others.
        apply: Gives what is left of an operand.
    """

    written: str
    check: Callable[[Sequence[Argument]], Arguments]
    apply: Callable[[Operand, Arguments], Operand]


def _is_whole(value: Any, low: int, high: int = _MOST) -> bool:
    return isinstance(value, int) and low <= value <= high


def _is_slice(value: Any) -> bool:
    return isinstance(value, slice) and value.step != 0


def _take_none(given: Sequence[Argument]) -> Arguments:
    if given:
        raise ValueError("no arguments")
    return ()


def _take_axes(given: Sequence[Argument]) -> Arguments:
    if not all(axis if isinstance(axis, str) else _is_whole(axis, -_MOST) for axis in given):
        raise ValueError("names of axes such as height, or their numbers, of which samples have 0")
    return tuple(given)


def _take_places(given: Sequence[Argument]) -> Arguments:
    numbers = bool(given) and all(_is_whole(number, -_MOST) for number in given)
    if not numbers and not (len(given) == 1 and _is_slice(given[0])):
        raise ValueError("whole numbers, or a slice such as 0:16")
    return tuple(given)


def _take_sizes(given: Sequence[Argument]) -> Arguments:
    if not given or not all(_is_whole(size, 1) for size in given):
        raise ValueError("the sizes of a window, such as 2,2")
    return tuple(given)


def _take_count(given: Sequence[Argument]) -> Arguments:
    if len(given) != 1 or not _is_whole(given[0], 1):
        raise ValueError("how many: a whole number from 1 on")
    return tuple(given)


def _take_shares(given: Sequence[Argument]) -> Arguments:
    numbers = all(isinstance(share, int | float) and 0 <= share <= 1 for share in given)
    if not given or not numbers:
        raise ValueError("numbers from 0 to 1, such as 0.05,0.5,0.95")
    return tuple(float(share) for share in given if isinstance(share, int | float))


def _take_bins(given: Sequence[Argument]) -> Arguments:
    match given:
        case [int(bins), int() | float() as low, int() | float() as high] if (
            _is_whole(bins, 1) and low < high and math.isfinite(high - low)
        ):
            return bins, float(low), float(high)
    raise ValueError("how many bins, and the least and the largest value, such as 64,-1,1")


def _take_projection(given: Sequence[Argument]) -> Arguments:
    size, seed = [*given, 0, 0][:2]
    if not 0 < len(given) <= 2 or not (_is_whole(size, 1) and _is_whole(seed, 0, _SEEDS - 1)):
        raise ValueError("to how many numbers, and a seed from 0 on, such as 64,0")
    return size, seed


REDUCTIONS: dict[str, Reduction] = {
    "gap": Reduction("gap", _take_none, lambda x, _: x.mean(x.find_space())),
    "gmax": Reduction("gmax", _take_none, lambda x, _: x.maximum(x.find_space())),
    "mean": Reduction("mean(AXIS,…)", _take_axes, lambda x, axes: x.mean(x.find_axes(axes))),
    "norm": Reduction("norm(AXIS,…)", _take_axes, lambda x, axes: x.norm(x.find_axes(axes))),
    "last": Reduction("last", _take_none, lambda x, _: x.last_step()),
    "positions": Reduction(
        "positions(N,…)", _take_places, lambda x, places: x.take(x.find_step(), places)
    ),
    "channels": Reduction(
        "channels(N:M)", _take_places, lambda x, places: x.take(x.find_channel(), places)
    ),
    "flatten": Reduction("flatten", _take_none, lambda x, _: x.flatten()),
    "pool": Reduction("pool(H,W)", _take_sizes, lambda x, sizes: x.pool(x.find_space(), sizes)),
    "topk": Reduction("topk(K)", _take_count, lambda x, k: x.largest(x.find_channel(), *k)[0]),
    "argtopk": Reduction(
        "argtopk(K)", _take_count, lambda x, k: x.largest(x.find_channel(), *k)[1]
    ),
    "quantiles": Reduction("quantiles(Q,…)", _take_shares, lambda x, shares: x.quantiles(shares)),
    "histogram": Reduction("histogram(BINS,LO,HI)", _take_bins, lambda x, bins: x.histogram(*bins)),
    "project": Reduction("project(D,SEED)", _take_projection, lambda x, to: x.project(*to)),
}


@dataclass(frozen=True)
class Step:
    """A reduction with its arguments, all of them.

    Attributes:
        name: Its name in the table.
        arguments: The arguments.
    """

    name: str
    arguments: Arguments = ()

    def __str__(self) -> str:
        """Write it as it can be given."""
        told = ",".join(_write(argument) for argument in self.arguments)
        return f"{self.name}({told})" if told else self.name

    def apply(self, operand: Operand) -> Operand:
        """Give what is left of an operand.

        Raises:
            AddressError: It doesn't fit its shape, its axes or its dtype.
        """
        return REDUCTIONS[self.name].apply(operand, self.arguments)


@dataclass(frozen=True)
class Chain:
    """Reductions one after another, which make one tensor of one.

    Attributes:
        steps: The reductions.
    """

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """Write it as it can be given, and as the dataset is called behind its tensor's name."""
        return ".".join(str(step) for step in self.steps)


@dataclass(frozen=True)
class Request:
    """What is to be left of some tensors.

    Attributes:
        addresses: Which tensors, as what is asked for names them; empty for all that no other
            request names.
        chains: What is left of each, a dataset each.
    """

    addresses: tuple[str, ...]
    chains: tuple[Chain, ...]

    def __str__(self) -> str:
        """Write it as it can be given."""
        chains = ",".join(str(chain) for chain in self.chains)
        return f"{','.join(self.addresses)}={chains}" if self.addresses else chains


def parse_requests(value: Any) -> tuple[Request, ...]:
    """Read what is to be left of tensors.

    Args:
        value: A text `[ADDRESS=]NAME[,NAME…]`, or several; or texts `NAME[,NAME…]`, or several, by
            address.

    Raises:
        AddressError: It is none of these; all that is wrong is reported.
    """
    errors: list[KprobeError] = []
    requests: list[Request] = []
    try:
        pairs = [*_list_pairs(value)]
    except AddressError as error:
        raise AddressError(*error.faults) from None
    for addresses, text in pairs:
        try:
            requests.append(Request(addresses, tuple(_parse_chains(text))))
        except AddressError as error:
            errors.append(error)
    if errors:
        raise merge_errors(errors)
    return tuple(requests)


def _list_pairs(value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give addresses, and what is to be left of their tensors."""
    if isinstance(value, Mapping):
        for address, each in value.items():
            several = _list_texts(each)
            if not isinstance(address, str) or several is None:
                raise AddressError(f"reduce: expected texts by address, received {value!r}")
            yield tuple(split_addresses(address)), ",".join(several)
        return
    texts = _list_texts(value)
    if texts is None:
        raise AddressError(
            f"reduce: expected texts such as gap, or such texts by address, received {value!r}"
        )
    for text in texts:
        # No reduction has such a sign in it, and an address may have several.
        address, equals, chains = text.rpartition("=")
        addresses = tuple(split_addresses(address))
        if equals and not addresses:
            raise AddressError(f"reduce: expected an address before =, received {text!r}")
        yield addresses, chains


def _list_texts(value: Any) -> list[str] | None:
    """Give one text, or several, as a list; None where it is neither."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable):
        return None
    texts = list(value)
    return texts if all(isinstance(text, str) for text in texts) else None


def _parse_chains(text: str) -> Iterator[Chain]:
    parts = [part.strip() for part in _split(text, ",")]
    if not all(parts):
        raise AddressError(f"reduce: expected a reduction such as gap, received {text!r}")
    for part in parts:
        yield Chain(tuple(_parse_step(step) for step in _split(part, ".")))


def _split(text: str, sign: str) -> list[str]:
    """Split a text at a sign, but not within parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == sign and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _parse_step(text: str) -> Step:
    found = _NAME.match(text)
    rest = text[found.end() :] if found else ""
    if not found or (rest and not (rest.startswith("(") and rest.rstrip().endswith(")"))):
        raise AddressError(
            f"reduce: expected a reduction such as gap or pool(2,2), received {text!r}"
        )
    name, inside = found[1], rest.strip()[1:-1]
    if name not in REDUCTIONS:
        known = ", ".join(row.written for row in REDUCTIONS.values())
        near = suggest_name(name, REDUCTIONS)
        raise AddressError(f"reduce: there is no {name!r}", hint=near or f"choose among {known}")
    row = REDUCTIONS[name]
    try:
        arguments = [_parse_argument(part) for part in inside.split(",")] if inside.strip() else []
        return Step(name, row.check(arguments))
    except ValueError as error:
        raise AddressError(
            f"reduce: {row.written} takes {error}, received {text.strip()}"
        ) from None


def _parse_argument(text: str) -> Argument:
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    if found := _SLICE.fullmatch(text):
        return slice(*(int(number) if number else None for number in found.groups()))
    return text


def _write(argument: Any) -> str:
    if isinstance(argument, slice):
        start, stop, step = (
            "" if n is None else str(n) for n in (argument.start, argument.stop, argument.step)
        )
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    return (
        f"{argument:g}"
        if isinstance(argument, float) and float(f"{argument:g}") == argument
        else str(argument)
    )
