"""The groups of layers that can be folded: nested models, and long rows of layers in parts."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.reports.contents import Tree

# More than so many at one level nobody overlooks; and laying them out takes seconds.
_MOST = 40
_LEAST = 3  # members of a group that is made after names
# Groups in groups: a page goes through them by functions that call themselves.
_DEEPEST = 12
# The first part of a name, as makers of models number blocks: `conv2_block1_out`, `block14.2`.
_WORD = re.compile(r"[^_.\-]+")


def fold(paths: Sequence[Sequence[str]]) -> Tree:
    """Put layers in groups.

    Args:
        paths: The path of each, in the order of computing: the names of the calls around it, and
            its own.

    Returns:
        In the order of their first layers, the numbers of layers, and groups of them, of two places
        or more, as `{"name": …, "inside": […]}`. No level has more than 40 places.
    """
    enclosing = {
        tuple(path[:end]) for path in paths for end in range(1, min(len(path), _DEEPEST + 1))
    }
    root: dict[str, Any] = {}
    for number, path in enumerate(paths):
        # What a nested model gives belongs to it.
        around = path if tuple(path) in enclosing else path[:-1]
        place = root
        for step in around[:_DEEPEST]:
            place = place.setdefault(f"group {step}", {"name": step, "inside": {}})["inside"]
        place[f"layer {number}"] = (number, path[-1])
    return _finish(root, _DEEPEST)


def _finish(level: dict[str, Any], deep: int) -> Tree:
    """Give the places of a level as lists, in groups where there are too many."""
    places = [_close(each, deep) if isinstance(each, dict) else each for each in level.values()]
    return [_plain(place) for place in _part(places, 0, deep)]


def _close(group: dict[str, Any], deep: int) -> Any:
    """Give a group as it is in the tree; what is alone in it needs none."""
    inside = _finish(group["inside"], deep)
    if len(inside) > 1:
        return {"name": group["name"], "inside": inside}
    if isinstance(inside[0], dict):
        return {**inside[0], "name": f"{group['name']}/{inside[0]['name']}"}
    return inside[0], group["name"]


def _plain(place: Any) -> Any:
    return place[0] if isinstance(place, tuple) else place


def _name(place: Any) -> str:
    name: str = place["name"] if isinstance(place, dict) else place[1]
    return name


def _part(places: list[Any], words: int, deep: int) -> list[Any]:
    """Put places of one level in groups, until there aren't too many."""
    if len(places) <= _MOST or not deep:
        return places
    runs = [list(run) for _, run in itertools.groupby(places, lambda each: _begin(each, words))]
    if 1 < len(runs) <= len(places) / 2:
        grouped = []
        for run in runs:
            if len(run) < _LEAST:
                grouped += run
                continue
            title = f"{_begin(run[0], words)}…"
            inside = [_plain(each) for each in _part(run, words + 1, deep - 1)]
            grouped.append({"name": title, "inside": inside})
        return _part(grouped, words, deep - 1) if len(grouped) < len(places) else grouped
    return _cut(places, deep)


def _begin(place: Any, words: int) -> str:
    """Give a name up to the word of a number; all of it where it has no more."""
    found = list(itertools.islice(_WORD.finditer(_name(place)), words + 1))
    return _name(place)[: found[-1].end()] if len(found) > words else _name(place)


def _cut(places: list[Any], deep: int) -> list[Any]:
    """Cut a row of places that names say nothing of into parts of one length."""
    size = max(_MOST // 2, -(-len(places) // _MOST))
    parts = [places[start : start + size] for start in range(0, len(places), size)]
    return [
        {"name": f"{_name(part[0])} … {_name(part[-1])}", "inside": [_plain(p) for p in inside]}
        if len(inside := _part(part, 0, deep - 1)) > 1
        else inside[0]
        for part in parts
    ]
