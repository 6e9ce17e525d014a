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
            removed=_walk(pair.a, names, own)[0],
        )
        for pair in pairs
    )


def _walk(
    tensor: Described, by_name: dict[str, Described], matched: set[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the unmatched tensors that one is computed from, and the matched ones they are from."""
    between: dict[str, Described] = {}
    after: dict[str, Described] = {}
    pending = [*(tensor.inputs or ())]
    while pending:
        name = pending.pop()
        found = by_name.get(name)
        if found is None:
            continue
        if found.address in matched:
            after[found.address] = found
        elif found.address not in between:
            between[found.address] = found
            pending += found.inputs or ()
    return tuple(sorted(between, key=lambda n: between[n].order)), tuple(
        sorted(after, key=lambda n: after[n].order)
    )
