"""Names in messages: a few of many, and those nearest to a misspelt one."""

from __future__ import annotations

from difflib import SequenceMatcher, get_close_matches
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LISTED = 12
# Letters: of a beginning that tells a name, and of a name in which one slip is much.
_TELLING = 3
_SHORT = 5


def list_names(names: Iterable[str], most: int = _LISTED) -> str:
    """Join names for a message, the first few of them, and count the rest."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" or "none"


def find_nearest(wrong: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Give the names that look like a misspelt one, the likeliest first."""
    return get_close_matches(wrong, list(names), n=most)


def find_meant(wrong: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Give the names that a slip or two make a wrong one of, the likeliest first.

    A slip is a character too many, too few or wrong, or two that changed places; in up to five
    letters there is only one. A name that is cut short, or goes on, is meant too.
    """
    plain = _strip(wrong)
    near = [name for name in dict.fromkeys(names) if _is_slip(plain, _strip(name))]
    return sorted(near, key=lambda name: -SequenceMatcher(None, plain, _strip(name)).ratio())[:most]


def _strip(name: str) -> str:
    return name.lower().lstrip("-").replace("_", "-")


def _is_slip(wrong: str, right: str) -> bool:
    shorter, longer = sorted((wrong, right), key=len)
    if len(shorter) >= _TELLING and longer.startswith(shorter):
        return True
    return _count_slips(wrong, right) <= (1 if len(longer) <= _SHORT else 2)


def _count_slips(wrong: str, right: str) -> int:
    """Count how many slips make one text of the other (optimal string alignment)."""
    before: list[int] = []
    row = [*range(len(right) + 1)]
    for i, a in enumerate(wrong, 1):
        earlier, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and (a, b) == (right[j - 2], wrong[i - 2]):
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    count: int = row[-1]
    return count


def name_nearest(wrong: str, names: Iterable[str], most: int = 1) -> str | None:
    """Give "nearest: ..." for a misspelt name, or None when nothing comes near."""
    return join_nearest(find_meant(wrong, names, most))


def join_nearest(near: Sequence[str]) -> str | None:
    """Give "nearest: ..." for what was found, or None of none."""
    return f"nearest: {', '.join(near)}" if near else None


def suggest_name(wrong: str, names: Iterable[str], form: str = "{}") -> str | None:
    """Give "did you mean ...?" for a misspelt name, or None when nothing comes near.

    Args:
        wrong: What was asked for.
        names: What there is.
        form: How the name is to be written, with "{}" for it, or "{!r}" in quotes.
    """
    near = find_meant(wrong, names)
    return f"did you mean {form.format(near[0])}?" if near else None


def can_be_layer(name: object) -> TypeGuard[str]:
    """Tell whether something can be a layer's name, as Keras has them: a text without `/`."""
    return isinstance(name, str) and bool(name) and "/" not in name
