"""Names in messages: a few of many, and those nearest to a misspelt one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LISTED = 12


def list_names(names: Iterable[str], most: int = _LISTED) -> str:
    """Join names for a message, the first few of them, and count the rest."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" or "none"


def find_nearest(wrong: str, names: Iterable[str], most: int = 1) -> list[str]:
    """Give the names that look like a misspelt one, the likeliest first."""
    return get_close_matches(wrong, list(names), n=most)


def name_nearest(wrong: str, names: Iterable[str], most: int = 1) -> str | None:
    """Give "nearest: ..." for a misspelt name, or None when nothing comes near."""
    return join_nearest(find_nearest(wrong, names, most))


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
    near = find_nearest(wrong, names)
    return f"did you mean {form.format(near[0])}?" if near else None
