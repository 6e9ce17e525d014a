"""Which tensors of two sides are the same: as given, by names, and by order and shape."""

from __future__ import annotations

import bisect
from collections import defaultdict
from typing import TYPE_CHECKING

from kprobe.analysis.comparison.layouts import SAME, fit, is_cube
from kprobe.analysis.comparison.names import (
    find_given,
    find_odd_calls,
    get_names,
    is_made_up,
    strip_numbers,
)
from kprobe.analysis.comparison.records import Described, Matching, Pair
from kprobe.analysis.comparison.regions import find_between
from kprobe.errors import Hint, InputError, Setting
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kprobe.analysis.comparison.records import MatchedBy

# Classes that tell nothing: Keras 2 has one for all operations, which Keras 3 has classes for.
_UNTOLD = {None, "TFOpLambda", "SlicingOpLambda"}


def match_tensors(
    a: Sequence[Described],
    b: Sequence[Described],
    match: Sequence[tuple[str, str]] = (),
) -> Matching:
    """Find which tensors of two sides are the same.

    They are matched as given; by their addresses; by paths that are the same but for the numbers by
    which Keras counts layers, as many on both sides, or but for case and / or _; and what lies
    between those by its order and shape, where only one fits. What isn't certain isn't matched. A
    name that Keras makes up is no name where the sides have another number of them: a layer less,
    and all behind it have the name of another.

    Args:
        a: A's tensors.
        b: B's.
        match: Addresses, or globs, of A and of B that belong together.

    Returns:
        The pairs, in the order in which A computes them.

    Raises:
        UnmatchedError: Nothing is matched.
        InputError: A pair of `match` can't be, or a tensor has another number of values than the
            one of the same name.
    """
    matcher = _Matcher(a, b)
    for old, new in find_given(a, b, match):
        matcher.pair(old, new, "given")
    matcher.match_addresses()
    matcher.match_paths()
    matcher.match_spellings()
    matcher.match_by_order()
    return matcher.finish()


class UnmatchedError(InputError):
    """Two sides that have no tensor in common.

    Attributes:
        candidates: As in `Matching`.
    """

    def __init__(
        self,
        a: Sequence[Described],
        b: Sequence[Described],
        candidates: Sequence[tuple[Described, Described]],
    ) -> None:
        super().__init__(
            "expected tensors that both sides have, received "
            f"{list_names((t.address for t in a), 4)} in A and "
            f"{list_names((t.address for t in b), 4)} in B",
            hint=Hint("say which belong together with ", Setting("match")),
        )
        self.candidates = candidates


class _Matcher:
    """A matching in the making."""

    def __init__(self, a: Sequence[Described], b: Sequence[Described]) -> None:
        self._a = sorted(a, key=lambda tensor: tensor.order)
        self._b = sorted(b, key=lambda tensor: tensor.order)
        self._pairs: dict[str, Pair] = {}
        self._taken: set[str] = set()
        self._odd_calls = find_odd_calls(a, b)
        self._numbered = [_group_numbered(side) for side in (a, b)]
        self._faults: list[str] = []
        self._notes: list[str] = []

    def pair(self, a: Described, b: Described, by: MatchedBy) -> None:
        fitted = fit(a, b)
        if fitted is None:
            self._faults.append(
                f"{_name_both(a, b)}: expected as many values on both sides, received "
                f"{_show(a.shape)} in A and {_show(b.shape)} in B"
            )
            fitted = SAME
        self._pairs[a.address] = Pair(a, b, by, fitted.transpose, fitted.layout)
        self._taken.add(b.address)

    def match_addresses(self) -> None:
        """Match what has one address, but for names that Keras made up."""
        by_name: dict[str, Described] = {}
        for tensor in self._left(self._b):
            for name in get_names(tensor):
                # A tensor's first address counts before another one's further ones.
                if name not in by_name or name == tensor.address:
                    by_name[name] = tensor
        for tensor in self._left(self._a):
            for name in get_names(tensor):
                other = by_name.get(name)
                if other is None or other.address in self._taken:
                    continue
                if not (is_made_up(name, tensor.class_name) and self._is_counted_anew(name)):
                    self.pair(tensor, other, "address")
                    break

    def match_paths(self) -> None:
        """Match paths that are the same but for Keras's numbers, as many on both sides."""
        groups_a, groups_b = self._group(self._a), self._group(self._b)
        for path, of_a in groups_a.items():
            of_b = groups_b.get(path, [])
            if len(of_a) == len(of_b) and all(map(fit, of_a, of_b)):
                for tensor, other in zip(of_a, of_b, strict=True):
                    same = set(get_names(tensor)) & set(get_names(other))
                    self.pair(tensor, other, "address" if same else "path")
            elif of_b:
                self._notes.append(
                    f"{path}: A has {len(of_a)} of them and B {len(of_b)}, "
                    "so their numbers don't say which is which"
                    if len(of_a) != len(of_b)
                    else f"{path}: their shapes differ, so their numbers don't say which is which"
                )

    def match_spellings(self) -> None:
        """Match names that users gave which are the same but for case and for / or _ in them.

        Keras 3 takes no / in the names of layers, and its own models have _ where Keras 2's had /.
        """
        spelt_a, spelt_b = (_group_spellings(self._left(side)) for side in (self._a, self._b))
        for name, of_a in spelt_a.items():
            of_b = spelt_b.get(name, [])
            if len(of_a) == len(of_b) == 1 and fit(of_a[0], of_b[0]):
                self.pair(of_a[0], of_b[0], "path")

    def match_by_order(self) -> None:
        """Match what lies between matched ones where only one fits, until no more is found."""
        found = True
        while found:
            found = False
            for _, of_a, of_b in self._list_gaps():
                for tensor, other in self._match_gap(of_a, of_b):
                    self.pair(tensor, other, "order")
                    found = True

    def finish(self) -> Matching:
        """Give what was found."""
        pairs = [self._pairs[t.address] for t in self._a if t.address in self._pairs]
        if any(pair.layout for pair in pairs):
            cubes = [p for p in pairs if p.layout is None and is_cube(p.a, p.b)]
            pairs = [p for p in pairs if p not in cubes]
            self._notes += [
                f"{_name_both(p.a, p.b)}: the layouts of A and B differ, and of the shape "
                f"{_show(p.a.shape)} it can't be told which this has; left out"
                for p in cubes
            ]
            moved = [p for p in pairs if p.layout]
            self._notes.append(
                f"{moved[0].layout}: the axes of {len(moved)} of A's tensors are moved to be B's"
            )
        if not pairs and not self._faults:
            raise UnmatchedError(self._a, self._b, self._list_candidates())
        if self._faults:
            raise InputError(*self._faults)
        self._notes += dict.fromkeys(self._odd_calls.values())
        matched_a, matched_b = {p.a.address for p in pairs}, {p.b.address for p in pairs}
        return Matching(
            find_between(pairs, self._a, self._b),
            tuple(t.address for t in self._a if t.address not in matched_a),
            tuple(t.address for t in self._b if t.address not in matched_b),
            tuple(self._notes),
            self._list_candidates(),
        )

    def _list_candidates(self) -> tuple[tuple[Described, Described], ...]:
        """Give what isn't matched and could be, as far as order and shapes tell.

        What one side leaves unmatched may also be the other's tensor that is matched before it: a
        layer's activation may be a layer of its own. So that pair is a candidate again.
        """
        found: dict[tuple[str, str], tuple[Described, Described]] = {}
        for before, of_a, of_b in self._list_gaps():
            if before is not None:
                of_a, of_b = [before.a, *of_a], [before.b, *of_b]
            for one in of_a:
                for other in of_b:
                    if one.shape and None not in one.shape and not one.weight and fit(one, other):
                        found[one.address, other.address] = one, other
        return tuple(found.values())

    def _left(self, side: Iterable[Described]) -> list[Described]:
        """Give those of a side that aren't matched, and may be."""
        taken = self._taken if side is self._b else self._pairs.keys()
        return [t for t in side if t.address not in taken and t.address not in self._odd_calls]

    def _is_counted_anew(self, name: str) -> bool:
        """Tell whether Keras's counting on the two sides needn't be the same for a name.

        Where one side has names that the other doesn't, or other shapes, it isn't known which.
        """
        of_a, of_b = (side.get(strip_numbers(name), {}) for side in self._numbered)
        if of_a.keys() != of_b.keys():
            return True
        return not all(fit(of_a[name], of_b[name]) for name in of_a)

    def _group(self, side: list[Described]) -> dict[str, list[Described]]:
        groups: dict[str, list[Described]] = defaultdict(list)
        for tensor in self._left(side):
            if is_made_up(tensor.address, tensor.class_name):
                groups[strip_numbers(tensor.address)].append(tensor)
        return groups

    def _list_gaps(self) -> Iterator[tuple[Pair | None, list[Described], list[Described]]]:
        """Give what isn't matched between each two matched ones that follow each other.

        Yields:
            The matched pair before it, None at the beginning; and what isn't matched of each side.
        """
        pairs = {(p.a.order, p.b.order): p for p in self._pairs.values()}
        rising = _find_rising(sorted(pairs))
        places = ([a for a, _ in rising], [b for _, b in rising])
        gaps: list[dict[int, list[Described]]] = []
        for side, bounds in zip((self._a, self._b), places, strict=True):
            of_side: dict[int, list[Described]] = defaultdict(list)
            for tensor in self._left(side):
                of_side[bisect.bisect(bounds, tensor.order)].append(tensor)
            gaps.append(of_side)
        for number in sorted(gaps[0].keys() | gaps[1].keys()):
            before = pairs[rising[number - 1]] if number else None
            yield before, gaps[0].get(number, []), gaps[1].get(number, [])

    def _match_gap(
        self, of_a: list[Described], of_b: list[Described]
    ) -> list[tuple[Described, Described]]:
        if len(of_a) == len(of_b) and all(map(_may_be, of_a, of_b)):
            return list(zip(of_a, of_b, strict=True))
        fitting = {t.address: [o for o in of_b if _may_be(t, o)] for t in of_a}
        times: dict[str, int] = defaultdict(int)
        for others in fitting.values():
            for other in others:
                times[other.address] += 1
        return [
            (t, fitting[t.address][0])
            for t in of_a
            if len(fitting[t.address]) == 1 and times[fitting[t.address][0].address] == 1
        ]


def _group_numbered(side: Sequence[Described]) -> dict[str, dict[str, Described]]:
    """Give the tensors by their paths without numbers, and by their addresses."""
    groups: dict[str, dict[str, Described]] = defaultdict(dict)
    for tensor in side:
        groups[strip_numbers(tensor.address)][tensor.address] = tensor
    return groups


def _group_spellings(side: Sequence[Described]) -> dict[str, list[Described]]:
    groups: dict[str, list[Described]] = defaultdict(list)
    for tensor in side:
        if not is_made_up(tensor.address, tensor.class_name):
            groups[tensor.address.replace("/", "_").lower()].append(tensor)
    return groups


def _may_be(a: Described, b: Described) -> bool:
    """Tell whether tensors of two sides can be one, as far as shapes and classes tell."""
    classes = {tensor.class_name for tensor in (a, b)}
    return fit(a, b) is not None and (len(classes) == 1 or not classes.isdisjoint(_UNTOLD))


def _find_rising(anchors: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Give the most of the anchors whose places rise on both sides (patience sorting)."""
    tops: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(anchors):
        pile = bisect.bisect_left(tops, place)
        before.append(last[pile - 1] if pile else -1)
        tops[pile : pile + 1] = [place]
        last[pile : pile + 1] = [number]
    chain: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        chain.append(anchors[number])
        number = before[number]
    return chain[::-1]


def _name_both(a: Described, b: Described) -> str:
    return a.address if a.address == b.address else f"{a.address} and {b.address}"


def _show(shape: tuple[int | None, ...] | None) -> str:
    if shape is None:
        return "rows of different shapes"
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"
