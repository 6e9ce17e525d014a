"""Checks of what a user gave, each giving what is wrong with it, so that all faults can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.naming import suggest_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What HDF5 and TensorFlow count with.
MOST = 2**63 - 1


def check_switch(name: str, value: Any) -> Iterator[str]:
    """Yield what is wrong with something that is True or False."""
    if not isinstance(value, bool):
        yield f"{name}: expected True or False, received {value!r}"


def check_count(
    name: str, value: Any, *, least: int = 1, most: int = MOST, optional: bool = True
) -> Iterator[str]:
    """Yield what is wrong with a whole number, or with None where that is `optional`."""
    if value is None and optional:
        return
    is_integer = hasattr(value, "__index__") and not isinstance(value, bool)
    if not is_integer or not least <= value <= most:
        yield f"{name}: expected a whole number from {least} to {most}, received {value!r}"


def check_choice(name: str, value: Any, choices: Sequence[str | None]) -> Iterator[str]:
    """Yield what is wrong with one of several texts, naming the nearest."""
    if value in choices:
        return
    *others, last = ["None" if choice is None else repr(choice) for choice in choices]
    known = [choice for choice in choices if choice is not None]
    near = suggest_name(value.lower(), known, "{!r}") if isinstance(value, str) else None
    meant = f"; {near}" if near else ""
    yield f"{name}: expected {', '.join(others)} or {last}, received {value!r}{meant}"
