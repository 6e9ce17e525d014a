"""Where an error that shows in a tensor may be born: in layers before it that aren't matched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.analysis.comparison.records import Described, Pair


def find_between(
    pairs: Sequence[Pair], a: Sequence[Described], b: Sequence[Described]
) -> tuple[Pair, ...]:
    """Add to each pair what of B, and of A, lies between it and the matched tensors before it.

    Where it isn't known what B's tensors are computed from, these are the unmatched ones that are
    computed after the matched one before it.

    Args:
        pairs: The pairs.
        a: All tensors of A.
        b: All tensors of B, in the order of computing.
    """
    matched = {pair.b.address for pair in pairs}
    by_name = {name: t for t in b for name in (t.address, *t.also)}
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    waiting: list[str] = []
    before: tuple[str, ...] = ()
    for tensor in b:
        if tensor.address not in matched:
            waiting.append(tensor.address)
            continue
        if tensor.inputs is None:
            found[tensor.address] = tuple(waiting), before
        else:
            found[tensor.address] = _walk(tensor, by_name, matched)
        waiting, before = [], (tensor.address,)
    own = {pair.a.address for pair in pairs}
    names = {name: t for t in a for name in (t.address, *t.also)}
    return tuple(
        replace(
            pair,
            between=found[pair.b.address][0],
            after=found[pair.b.address][1],
            removed=tuple(name for name in _walk(pair.a, names, own)[0] if name in names),
        )
        for pair in pairs
    )


def _walk(
    tensor: Described, by_name: dict[str, Described], matched: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give what lies between a tensor and the matched ones it is from: unmatched, or not taken."""
    between: dict[str, tuple[int, int]] = {}
    after: dict[str, int] = {}
    pending = [tensor]
    while pending:
        found = pending.pop()
        if found is not tensor and found.address in matched:
            after[found.address] = found.order
            continue
        skipped = {name: (found.order, place) for place, name in enumerate(found.skipped)}
        between = {**skipped, **between}
        if found is not tensor:
            between[found.address] = found.order, len(skipped)
        known = [by_name[name] for name in found.inputs or () if name in by_name]
        pending += [each for each in known if each.address not in between]
    return tuple(sorted(between, key=between.__getitem__)), tuple(
        sorted(after, key=after.__getitem__)
    )
