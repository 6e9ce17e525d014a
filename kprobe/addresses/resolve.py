"""Find the layer calls that addresses name. Knows calls, but no tensors and no TensorFlow."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from kprobe.addresses.calls import DroppedCall, LayerCall
from kprobe.addresses.globs import compile_glob
from kprobe.addresses.grammar import Address, Step, parse_address, split_alias
from kprobe.errors import AddressError, KprobeError, merge_errors
from kprobe.naming import find_nearest, join_nearest, list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kprobe.addresses.calls import Part

C = TypeVar("C", bound=LayerCall)


@dataclass(frozen=True)
class Target(Generic[C]):
    """A call that an address names, and the address: its port, index and alias.

    The call is None for an address that begins with `//`, which names no layer.
    """

    call: C | None
    address: Address


def resolve(
    texts: Iterable[str],
    calls: Sequence[C],
    dropped: Sequence[DroppedCall] = (),
    faults: list[KprobeError] | None = None,
) -> list[Target[C]]:
    """Find what each address names.

    Args:
        texts: The addresses.
        calls: Every call of the model.
        dropped: The calls that have no tensor; what fits only those is answered with the reason,
            but for weights.
        faults: Where what is wrong goes, to be raised with other faults; None to raise it at once.

    Returns:
        The targets, in the order of the addresses, those of a pattern in the order of `calls`,
        and for weights of `dropped`.

    Raises:
        AddressError: Some addresses can't be read, name nothing, or name several calls without
            saying so. All of them are reported, each with what would work.
    """
    targets: list[Target[C]] = []
    errors: list[KprobeError] = [] if faults is None else faults
    # Of thousands of layers, all may be asked for by name.
    named: Mapping[str, list[C]] = defaultdict(list)
    for call in calls:
        named[call.address].append(call)
    for text in texts:
        try:
            targets += _resolve_one(text, calls, dropped, named)
        except AddressError as error:
            errors.append(error)
    if errors and faults is None:
        raise merge_errors(errors)
    return targets


def match_pattern(pattern: str, calls: Sequence[C]) -> list[C]:
    """Give the calls that a pattern of paths matches, all calls of shared layers included.

    Args:
        pattern: An address without an alias; what it says about ports is left aside.
        calls: Every call of the model.

    Returns:
        At least one, in the order of `calls`.

    Raises:
        AddressError: The pattern can't be read or matches nothing; says what is near.
    """
    # As in `_resolve_one`, a path that is there wins: `conv1/bn` and `x:0` are names as well.
    exact = [c for c in calls if pattern in (c.address, "/".join(name for name, _ in c.steps))]
    if exact:
        return exact
    address = parse_address(pattern)
    if address.steps is None:
        found = _select(address, calls)
        if not found:
            raise _unmatched(address, calls)
        return found
    steps = [Step(s.name, "*" if s.call is None else s.call) for s in address.steps]
    found = [call for call in calls if _matches(steps, call.path)]
    if not found and len(steps) == 1:
        found = [call for call in calls if _matches(steps, call.path[-1:])]
    if not found:
        raise _unknown(address, address.steps, calls)
    return found


def _resolve_one(
    text: str,
    calls: Sequence[C],
    dropped: Sequence[DroppedCall],
    named: Mapping[str, Sequence[C]],
) -> list[Target[C]]:
    alias, place = split_alias(text)
    for name, its_alias in ((text, None), (place, alias)):
        # Older models have layers called `conv1/bn`: a path that is there wins.
        if name in named:
            return [Target(named[name][0], Address(name, its_alias, steps=()))]
    address = parse_address(text)
    others: Sequence[C] = ()
    if address.weight is not None:
        others, dropped = cast("Sequence[C]", dropped), ()
        calls = [*calls, *others]
    if address.steps is None:
        found = _select(address, calls, dropped)
        if not found:
            raise _unmatched(address, calls, dropped)
        if address.position is not None and len(found) > 1 and address.weight is None:
            raise _ambiguous(address, found)
    elif not address.steps:
        return [Target(None, address)]
    else:
        place = _path_text(address.steps)
        exact = [*named.get(place, ()), *(call for call in others if call.address == place)]
        found = exact or _find(address, address.steps, calls, dropped)
    return [Target(call, address) for call in found]


_LIST_HINT = "`kprobe ls MODEL` lists the layers"


def _select(address: Address, calls: Sequence[C], others: Sequence[LayerCall] = ()) -> list[C]:
    """The calls of a class, at a position (counted with the others), or that a regex matches."""
    if address.type is not None:
        return [call for call in calls if call.class_name == address.type]
    if address.regex is not None:
        return [call for call in calls if address.regex.fullmatch(call.address)]
    position = address.position or 0
    if position < 0:
        every: list[LayerCall] = [*calls, *others]
        position += 1 + max((c.position for c in every if c.position is not None), default=-1)
    return [call for call in calls if call.position == position]


def _find(
    address: Address, steps: Sequence[Step], calls: Sequence[C], dropped: Sequence[DroppedCall]
) -> list[C]:
    found = [call for call in calls if _matches(steps, call.path)]
    nested = not found and len(steps) == 1 and not steps[0].is_glob
    if nested:
        found = [call for call in calls if _matches(steps, call.path[-1:])]
    if not found:
        raise _unknown(address, steps, calls, dropped)
    if nested:
        loose = found if len(found) > 1 and steps[0].call != "*" else []
    else:
        loose = [call for call in found if _leaves_call_open(steps, call.steps)]
    # The calls of a shared layer have the same weights; only the layers tell whether these have.
    if loose and address.weight is None:
        raise _ambiguous(address, loose)
    return found


def _matches(pattern: Sequence[Step], path: Sequence[Part]) -> bool:
    if not pattern:
        return not path
    head, rest = pattern[0], pattern[1:]
    if head.name == "**":
        if not rest:
            return bool(path)
        return any(_matches(rest, path[i:]) for i in range(len(path)))
    if not path or not _name_matches(head, path[0]):
        return False
    number = path[0][1] or 0
    return head.call in (None, "*", number) and _matches(rest, path[1:])


def _name_matches(step: Step, part: Part) -> bool:
    name, _, place = part
    if not step.is_glob:
        return step.name in (name, f"at:{place}")
    return compile_glob(step.name).fullmatch(name) is not None


def _leaves_call_open(pattern: Sequence[Step], path: Sequence[tuple[str, int | None]]) -> bool:
    """Tell whether a step that is called several times was matched without saying which."""
    if any(step.name == "**" for step in pattern):
        return False
    return any(
        step.call is None and number is not None
        for step, (_, number) in zip(pattern, path, strict=True)
    )


def _path_text(steps: Sequence[Step]) -> str:
    return "/".join(s.name if s.call is None else f"{s.name}@{s.call}" for s in steps)


def _ambiguous(address: Address, found: Sequence[LayerCall]) -> AddressError:
    names = [call.address for call in found]
    every = "/".join(name if number is None else f"{name}@*" for name, number in found[0].steps)
    same = all([n for n, _ in c.steps] == [n for n, _ in found[0].steps] for c in found)
    hint = f"name one of them, or all with {every}" if same and every != address.text else None
    return AddressError(
        f"{address.text!r} fits {len(names)} calls: {list_names(names, 8)}", hint=hint
    )


def _unmatched(
    address: Address, calls: Sequence[LayerCall], dropped: Sequence[DroppedCall] = ()
) -> AddressError:
    if missed := _select(address, dropped, calls):
        return _explain(missed)
    near = find_nearest_classes(address.type, calls) if address.type is not None else []
    return AddressError(f"{address.text!r} matches no layer", hint=join_nearest(near) or _LIST_HINT)


def _unknown(
    address: Address,
    steps: Sequence[Step],
    calls: Sequence[LayerCall],
    dropped: Sequence[DroppedCall] = (),
) -> AddressError:
    missed = [call for call in dropped if _matches(steps, call.path)]
    if not missed and len(steps) == 1 and not steps[0].is_glob:
        missed = [call for call in dropped if _matches(steps, call.path[-1:])]
    if missed:
        return _explain(missed)
    if any(step.is_glob for step in steps):
        return AddressError(f"{address.text!r} matches no layer", hint=_LIST_HINT)
    # A layer that is there, asked for a call that isn't.
    loose = [Step(step.name, None) for step in steps]
    siblings = [call.address for call in calls if _matches(loose, call.path)]
    if siblings:
        return AddressError(f"{address.text!r}: the model has only {list_names(siblings, 8)}")
    near = join_nearest(find_nearest_layers(_path_text(steps), calls))
    if near:
        return AddressError(f"no layer {address.text!r}; {near}")
    return AddressError(f"no layer {address.text!r}", hint=_LIST_HINT)


def _explain(dropped: Sequence[DroppedCall]) -> AddressError:
    """Say why calls have no tensor, those with the same reason in one line."""
    places: dict[str, list[str]] = {}
    for call in dropped:
        places.setdefault(call.reason, []).append(repr(call.address))
    return AddressError(
        *(f"{list_names(names, 8)} {reason}" for reason, names in places.items()),
        hint=next((call.hint for call in dropped if call.hint), None),
    )


def find_nearest_layers(name: str, calls: Sequence[LayerCall]) -> list[str]:
    """Give up to three addresses that look like `name`, the likeliest first."""
    by_last = {call.steps[-1][0]: call.address for call in calls}
    by_path = {call.address: call.address for call in calls}
    close = find_nearest(name, [*by_path, *by_last], 6)
    return list(dict.fromkeys(by_path.get(text) or by_last[text] for text in close))[:3]


def find_nearest_classes(name: str, calls: Sequence[LayerCall]) -> list[str]:
    """Give up to three classes of layers that look like `name`, the likeliest first."""
    by_lower = {call.class_name.lower(): call.class_name for call in calls}
    return [by_lower[text] for text in find_nearest(name.lower(), by_lower, 3)]
