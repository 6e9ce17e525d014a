"""Faults gathered over all sources, reported at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kprobe.errors import InputError, join_hints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kprobe.errors import Hint


class Faults:
    """Faults found so far, and what to do about them."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._hints: list[Hint | str] = []

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._texts)

    def add(self, text: str, hint: Hint | str | None = None) -> None:
        """Note one fault, and what to do about it."""
        self._texts.append(text)
        if hint and hint not in self._hints:
            self._hints.append(hint)

    def take(self, error: InputError) -> None:
        """Note the faults of an error."""
        for text in error.faults:
            self.add(text, error.remedy)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Note the faults of an InputError raised in the body, instead of raising it."""
        try:
            yield
        except InputError as error:
            self.take(error)

    def raise_if_any(self) -> None:
        """Report everything noted.

        Raises:
            InputError: If at least one fault was noted.
        """
        if self._texts:
            raise InputError(*self._texts, hint=join_hints(self._hints))
