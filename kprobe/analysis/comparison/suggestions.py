"""Which unmatched tensors of two sides look alike: suggested by values, and never counted."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.analysis.comparison.layouts import fit
from kprobe.analysis.comparison.records import Suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from kprobe.analysis.comparison.records import Described

Array = np.ndarray[Any, np.dtype[Any]]

# A suggestion is so alike, and that many times farther from 1 are all others that it could be.
_ALIKE = 0.99
_FARTHER = 10.0
# What rounding leaves of the difference of correlations that are 1.
_ROUNDING = 1e-6
# Values: of fewer correlations are by chance, and of more so many are looked at.
_LEAST, _MOST = 16, 4096
# Candidates: of more tensors of one shape in a row nothing is learnt soon.
_LIMIT = 4096


def suggest(
    candidates: Sequence[tuple[Described, Described]],
    values_a: Mapping[str, Array],
    values_b: Mapping[str, Array],
    matched: Collection[tuple[str, str]] = (),
) -> tuple[Suggestion, ...]:
    """Tell which of the candidates look alike, and like no other by far.

    Args:
        candidates: Tensors of A and of B that can be one, by their order and shapes.
        values_a: By address A's values of some samples, (rows, *shape).
        values_b: B's of the same samples.
        matched: Those of the candidates that are matched already, which isn't suggested.

    Returns:
        Suggestions, in A's order; none for a tensor that is near to several alike.
    """
    rated: dict[tuple[str, str], float] = {}
    picked: dict[tuple[str, tuple[int, ...] | None], Array] = {}

    def pick(values: Array, name: str, transpose: tuple[int, ...] | None) -> Array:
        if (name, transpose) not in picked:
            if transpose is not None:
                values = values.transpose(0, *(axis + 1 for axis in transpose))
            flat = values.reshape(-1)
            # A stride that shares no factor with the sizes of axes sees all channels.
            places = (np.arange(min(len(flat), _MOST)) * 7919) % max(len(flat), 1)
            picked[name, transpose] = flat[places].astype(np.float64)
        return picked[name, transpose]

    for a, b in candidates[:_LIMIT]:
        fitted = fit(a, b)
        one, other = values_a[a.address], values_b[b.address]
        if fitted is None or one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
            continue
        x = pick(one, f"a {a.address}", fitted.transpose)
        y = pick(other, f"b {b.address}", None)
        if len(x) == len(y):
            rated[a.address, b.address] = _correlate(x, y)
    of_a, of_b = _find_best(rated, 0), _find_best(rated, 1)
    return tuple(
        Suggestion(a, b, rated[a, b])
        for a, b in dict.fromkeys((a.address, b.address) for a, b in candidates)
        if of_a.get(a) == (a, b) == of_b.get(b) and (a, b) not in matched
    )


def find_wanted(
    candidates: Sequence[tuple[Described, Described]],
) -> tuple[list[str], list[str]]:
    """Give the addresses of A and of B whose values `suggest` needs."""
    some = candidates[:_LIMIT]
    return list(dict.fromkeys(a.address for a, _ in some)), list(
        dict.fromkeys(b.address for _, b in some)
    )


def _correlate(x: Array, y: Array) -> float:
    """Give Pearson's correlation of the values that are finite on both sides; else 0."""
    good = np.isfinite(x) & np.isfinite(y)
    if np.count_nonzero(good) < _LEAST:
        return 0.0
    x, y = x[good], y[good]
    with np.errstate(over="ignore", invalid="ignore"):
        x, y = x - x.mean(), y - y.mean()
        scale = float(np.sqrt(x @ x) * np.sqrt(y @ y))
        correlation = float(x @ y) / scale if scale else 0.0
    return correlation if np.isfinite(correlation) else 0.0


def _find_best(rated: Mapping[tuple[str, str], float], side: int) -> dict[str, tuple[str, str]]:
    """Give by address the pair that is alike, where no other is nearly so."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in rated:
        groups[pair[side]].append(pair)
    best = {}
    rate: Callable[[tuple[str, str]], float] = rated.__getitem__
    for address, pairs in groups.items():
        first, *others = sorted(pairs, key=rate, reverse=True)
        apart = max(1 - rated[first], _ROUNDING)
        if rated[first] >= _ALIKE and all(1 - rated[p] > _FARTHER * apart for p in others[:1]):
            best[address] = first
    return best
