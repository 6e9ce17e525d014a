"""What calls what: whether anything calls itself, and how much all calls come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_Name = TypeVar("_Name", bound=object)


def find_circle(calls: Mapping[_Name, Sequence[_Name]]) -> _Name | None:
    """Find something that calls itself, at once or by others.

    Args:
        calls: What each calls; whatever is called must be there.

    Returns:
        One of the circle; None where there is none.
    """
    order = _sort(calls)
    return None if isinstance(order, list) else order[0]


def find_largest(
    calls: Mapping[_Name, Sequence[_Name]], own: Mapping[_Name, int], most: int
) -> int:
    """Count what each has when all that it calls is written out, and give the largest count.

    Args:
        calls: What each calls, as often as it calls it; nothing calls itself.
        own: How much each has of its own.
        most: What larger counts needn't be told apart from.
    """
    order = _sort(calls)
    counts: dict[_Name, int] = {}
    for name in order:
        # No larger than needed: these numbers may be of millions of digits.
        total = own[name] + sum(counts[each] for each in calls[name])
        counts[name] = min(total, most + 1)
    return max(counts.values(), default=0)


def _sort(calls: Mapping[_Name, Sequence[_Name]]) -> list[_Name] | tuple[_Name]:
    """Sort so that each stands behind what it calls; or give one that calls itself, alone."""
    order: list[_Name] = []
    done: set[_Name] = set()
    for first in calls:
        path: dict[_Name, Iterator[_Name]] = {} if first in done else {first: iter(calls[first])}
        while path:
            name, left = next(reversed(path.items()))
            called = next(left, None)
            if called is None:
                del path[name]
                done.add(name)
                order.append(name)
            elif called in path:
                return (called,)
            elif called not in done:
                path[called] = iter(calls[called])
    return order
