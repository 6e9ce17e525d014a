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
        self._causes: list[BaseException] = []

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
        if error.__cause__ is not None:
            self._causes.append(error.__cause__)

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
            raise InputError(*self._texts, hint=join_hints(self._hints)) from self._join_causes()

    def _join_causes(self) -> BaseException | None:
        """Make one exception of what others' code raised."""
        if len(self._causes) < 2:
            return self._causes[0] if self._causes else None
        return BaseExceptionGroup("code that gives samples", self._causes)
