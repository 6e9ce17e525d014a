"""What holds several arrays, each with a key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from kprobe.errors import InputError
from kprobe.naming import list_names, suggest_name

if TYPE_CHECKING:
    from pathlib import Path

    from kprobe.inputs.sources.source import Source, Unfitted


class Container(ABC):
    """Arrays by key.

    Attributes:
        label: What messages call it.
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


class FileContainer(Container):
    """Arrays by key in one file.

    Args:
        path: The file.
        label: What messages call it.
        identity: What its sources are to report of it; "source" gets the key appended.
    """

    def __init__(self, path: Path, label: str, identity: dict[str, Any]) -> None:
        self._path = path
        self._identity = identity
        self.label = label

    def _identify(self, key: str) -> dict[str, Any]:
        """Give what the source of an array reports of it."""
        return {**self._identity, "source": f"{self._identity['source']}:{key}"}
