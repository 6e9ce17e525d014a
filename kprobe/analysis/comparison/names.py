"""What the names of tensors tell: pairs that were given, and the names that Keras makes up."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from kprobe.addresses.globs import compile_glob
from kprobe.errors import Hint, InputError, Setting
from kprobe.naming import find_nearest, join_nearest, list_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.analysis.comparison.records import Described

_NUMBERED = re.compile(r"(.*?)(?:_(\d+))?(@\d+)?(:\w+|\[.*\])?", re.DOTALL)
_CALL = re.compile(r"@\d+")
# What Keras calls those layers and operations whose class says less.
_MADE_UP = re.compile(r"tf\..*|functional|model|sequential")


def get_names(tensor: Described) -> tuple[str, ...]:
    """Give all addresses of a tensor, the first one first."""
    return (tensor.address, *tensor.also)


def count_wild(text: str) -> int:
    """Count what stands for other characters in a pattern."""
    return sum(text.count(c) for c in "*?")


def check_given(
    tensors: Sequence[Described], match: Sequence[tuple[str, str]], *, old: bool
) -> None:
    """Check what is given to belong together against one side, before there is another.

    Args:
        tensors: A's tensors, or B's.
        match: As for `find_given`.
        old: Whether they are A's.

    Raises:
        InputError: That side has nothing of what is given for it. All faults are listed.
    """
    names = [name for tensor in tensors for name in get_names(tensor)]
    faults = []
    for given in match:
        wanted = given[not old]
        if wanted not in names and not any(map(compile_glob(wanted).fullmatch, names)):
            near = join_nearest(find_nearest(wanted, names))
            fault = f"{'='.join(given)}: {'A' if old else 'B'} has no {wanted}"
            faults.append(fault + (f"; {near}" if near else ""))
    if faults:
        raise InputError(*faults, hint=Hint("mend ", Setting("match")))


def find_given(
    a: Sequence[Described], b: Sequence[Described], match: Sequence[tuple[str, str]]
) -> list[tuple[Described, Described]]:
    """Find the pairs that were given.

    Args:
        a: A's tensors.
        b: B's.
        match: Addresses of A and of B. `*` and `?` stand for any text and any character, and in B's
            for what they stand for in A's.

    Returns:
        The pairs, in the order of `match`.

    Raises:
        InputError: An address names nothing, a pattern fits nothing, or a tensor has two partners.
            All are listed.
    """
    by_name = {name: tensor for tensor in reversed(b) for name in reversed(get_names(tensor))}
    found: dict[str, tuple[Described, Described]] = {}
    faults: list[str] = []
    for old, new in match:
        if count_wild(old) != count_wild(new):
            faults.append(f"{old}={new}: expected as many * and ? on both sides")
            continue
        fitting = [
            (t, name) for t in a for name in get_names(t) if compile_glob(old).fullmatch(name)
        ]
        partners = [(t, by_name.get(_fill(old, new, name))) for t, name in fitting]
        pairs = [(t, partner) for t, partner in partners if partner is not None]
        if not pairs:
            side, wrong, known = ("A", old, a) if not fitting else ("B", new, b)
            names = [name for tensor in known for name in get_names(tensor)]
            near = join_nearest(find_nearest(wrong, names))
            faults.append(f"{old}={new}: {side} has no {wrong}" + (f"; {near}" if near else ""))
        for tensor, partner in pairs:
            before = found.setdefault(tensor.address, (tensor, partner))
            if before[1] is not partner:
                faults.append(
                    f"{tensor.address}: expected one partner, received {before[1].address} and "
                    f"{partner.address}"
                )
    taken: dict[str, str] = {}
    for tensor, partner in found.values():
        other = taken.setdefault(partner.address, tensor.address)
        if other != tensor.address:
            faults.append(
                f"{partner.address}: expected one partner, received {other} and {tensor.address}"
            )
    if faults:
        raise InputError(*dict.fromkeys(faults), hint=Hint("mend ", Setting("match")))
    return list(found.values())


def _fill(old: str, new: str, name: str) -> str:
    """Give the name that `new` means for a name that `old` fits."""
    parts = ("(.*)" if c == "*" else "(.)" if c == "?" else re.escape(c) for c in old)
    fitted = re.fullmatch("".join(parts), name, re.DOTALL)
    texts = iter(fitted.groups() if fitted else ())
    return "".join(next(texts, "") if c in "*?" else c for c in new)


def is_made_up(address: str, class_name: str | None) -> bool:
    """Tell whether Keras may have made up the name of a layer, or of one around it, by counting."""
    *around, own = address.split("/")
    fitted = _NUMBERED.fullmatch(own)
    stem = fitted[1] if fitted else own
    if class_name is None:
        made_up = bool(fitted and fitted[2])
    else:
        made_up = stem == _to_snake_case(class_name) or bool(_MADE_UP.fullmatch(stem))
    return made_up or any(_is_counted(step) for step in around)


def _is_counted(step: str) -> bool:
    fitted = _NUMBERED.fullmatch(step)
    return bool(fitted and (fitted[2] or _MADE_UP.fullmatch(fitted[1])))


def strip_numbers(address: str) -> str:
    """Leave the numbers that Keras counts layers by out of an address."""
    found = [(step, _NUMBERED.fullmatch(step)) for step in address.split("/")]
    return "/".join(step if fit is None else fit.expand(r"\1\3\4") for step, fit in found)


def strip_calls(address: str) -> str:
    """Leave out of an address which calls of shared layers are meant."""
    return _CALL.sub("", address)


def find_odd_calls(a: Sequence[Described], b: Sequence[Described]) -> dict[str, str]:
    """Find the calls of shared layers that can't be told apart: one side has more of them.

    Returns:
        By the address of each, on both sides, a line that says so.
    """
    calls_a, calls_b = _list_calls(a), _list_calls(b)
    odd: dict[str, str] = {}
    for layer, of_a in calls_a.items():
        of_b = calls_b.get(layer) or _find_renumbered(layer, calls_a, calls_b)
        if len(of_a) != len(of_b) and of_b and any("@" in name for name in of_a | of_b):
            line = (
                f"{layer}: its calls can't be told apart: A has {list_names(sorted(of_a), 4)}, "
                f"B has {list_names(sorted(of_b), 4)}"
            )
            odd.update(dict.fromkeys(of_a | of_b, line))
    return odd


def _list_calls(side: Sequence[Described]) -> dict[str, set[str]]:
    calls: dict[str, set[str]] = defaultdict(set)
    for tensor in side:
        calls[strip_calls(tensor.address)].add(tensor.address)
    return calls


def _find_renumbered(
    layer: str, calls_a: dict[str, set[str]], calls_b: dict[str, set[str]]
) -> set[str]:
    """Give the calls of the one layer of B that is called as one of A but for its number."""
    path = strip_numbers(layer)
    own = [other for other in calls_a if other not in calls_b and strip_numbers(other) == path]
    found = [other for other in calls_b if other not in calls_a and strip_numbers(other) == path]
    return calls_b[found[0]] if len(own) == len(found) == 1 else set()


def _to_snake_case(name: str) -> str:
    """Write the name of a class as Keras does."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
