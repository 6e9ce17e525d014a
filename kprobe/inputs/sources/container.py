"""A file that holds several arrays, each with a key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from kprobe.errors import InputError
from kprobe.naming import list_names, suggest_name

if TYPE_CHECKING:
    from kprobe.inputs.sources.source import Source, Unfitted


class Container(ABC):
    """Arrays by key.

    Attributes:
        label: What messages call the file.
        by_place: Whether the arrays have no names, and stand in the order of the model's inputs.
    """

    label: str
    by_place: bool = False

    @abstractmethod
    def keys(self) -> list[str]:
        """List the arrays that could be samples."""

    @abstractmethod
    def open(self, key: str) -> Source | Unfitted:
        """Open one of the arrays.

        Raises:
            InputError: If there is no such array, or one that can't be samples.
        """

    def refuse(self, fault: str, key: str) -> InputError:
        """Give the error for a key that opens nothing, with what there is.

        Args:
            fault: What is wrong with it.
            key: The key.
        """
        return InputError(
            f"{self.label}: {fault}; it holds {list_names(self.keys())}",
            hint=suggest_name(key, self.keys(), f"{self.label}:{{}}"),
        )

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """Let go of what is open; the sources opened from it stay as they are."""
