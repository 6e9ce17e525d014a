"""Sources of which single rows may turn out unreadable, such as a folder with a damaged image."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from kprobe.errors import SampleError
from kprobe.inputs.sources.source import Source

if TYPE_CHECKING:
    import numpy.typing as npt


class FallibleSource(Source):
    """Rows each of which can be read or not, whatever becomes of the others."""

    @abstractmethod
    def salvage(self, start: int, stop: int) -> tuple[npt.NDArray[Any], dict[int, str]]:
        """Read those of rows start to stop that can be read.

        Args:
            start: The first row.
            stop: The row after the last, at most `rows`.

        Returns:
            An array as `read` gives it, with zeros in the rows that can't be read; and for each
            of those, by its number, the reason in a few words.

        Raises:
            InputError: What is wrong isn't a matter of single rows.
        """

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows start to stop.

        Raises:
            SampleError: One of them can't be read.
        """
        rows, faults = self.salvage(start, stop)
        for row, reason in faults.items():
            raise SampleError(self.names(row, row + 1)[0].decode(), row, reason)
        return rows
