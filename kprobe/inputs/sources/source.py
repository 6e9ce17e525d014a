"""Sources of samples: rows in order with an identity each, and what can be made into them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput

_NAMED_AT_ONCE = 65_536  # rows
# How wide the numbers of rows are where nobody knows how many there are.
_DIGITS = 12


class Rows(ABC):
    """Rows that there are, whether or not it is known yet what each is made into.

    A subclass whose rows have identities of their own (files, say) overrides `names`.

    Attributes:
        label: What messages and row identities call it, e.g. "shapes.npz:image".
        rows: The number of rows; None where nobody knows it.
        replayable: Whether the rows can be read again from the first one on.
        notes: What the user should know of them, a line each.
    """

    label: str
    rows: int | None
    replayable: bool = True
    notes: Sequence[str] = ()

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Tell what is read from what, without reading it.

        Returns:
            JSON-able values: always "source" (text); for files "bytes" (size of the file) and
            "mtime" (seconds since the epoch).
        """

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        """Give rows start to stop an identity each, e.g. "shapes.npz:image[12]".

        Returns:
            UTF-8 text of fixed width, shape (stop - start,), dtype "S<width>". The width
            depends on the label and `rows` alone, so that every range has the same.
        """
        prefix = f"{self.label}[".encode(errors="backslashreplace")
        digits = _DIGITS if self.rows is None else len(str(max(self.rows - 1, 0)))
        names = np.empty(stop - start, f"S{len(prefix) + digits + 1}")
        for first in range(start, stop, _NAMED_AT_ONCE):
            last = min(first + _NAMED_AT_ONCE, stop)
            numbers = np.arange(first, last).astype(f"S{digits}")
            names[first - start : last - start] = np.char.add(np.char.add(prefix, numbers), b"]")
        return names

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """Let go of what is open. Nothing can be read afterwards."""


class Unfitted(Rows):
    """Rows that can be made into several things, such as images: it depends on the input."""

    @abstractmethod
    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> Source:
        """Choose what the rows are made into.

        Args:
            model_input: What they are for; None for a model that doesn't say what it takes.
            options: How images are resized.

        Returns:
            What gives the rows. It is closed instead of this.

        Raises:
            InputError: The rows can't be made into what the input takes.
        """


class Source(Rows):
    """Rows of one array, read in order by one thread.

    Attributes:
        shape: The shape of one row, -1 for the sizes in which rows differ.
        dtype: The dtype of what `read` gives, in native byte order. Strings of any length
            are `object`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows start to stop, exclusive.

        Args:
            start: The first row, at or after the `stop` of the last call.
            stop: The row after the last, at most `rows`.

        Returns:
            A new C-contiguous array of shape (stop - start, *shape) and dtype `dtype`; where rows
            differ in shape, one of shape (stop - start,) that holds an array for each. Where
            nobody knows how many rows there are, fewer at the end.

        Raises:
            InputError: If the rows can't be read, or were read before and can't be read again.
        """

    def peek(self, count: int) -> npt.NDArray[Any]:
        """Read the first rows ahead of `read`, which will give them again.

        Args:
            count: How many rows; fewer are given when the source has fewer.

        Returns:
            An array as `read` gives it.
        """
        return self.read(0, count if self.rows is None else min(count, self.rows))


def fit_rows(
    opened: Source | Unfitted, model_input: ModelInput | None, options: ImageOptions
) -> Source:
    """Give what can be read, as `Unfitted.fit` does; what can be read already stays as it is.

    Single texts get the axis that an input has for them, as a column of a table does in Keras.
    """
    rows = opened.fit(model_input, options) if isinstance(opened, Unfitted) else opened
    wants_axis = model_input is not None and model_input.shape[1:] == (1,)
    return _WithAxis(rows) if wants_axis and not rows.shape and rows.dtype.kind in "SUO" else rows


class _WithAxis(Source):
    """Single texts, each along an axis of its own."""

    def __init__(self, texts: Source) -> None:
        self._texts = texts
        self.label = texts.label
        self.rows = texts.rows
        self.replayable = texts.replayable
        self.notes = texts.notes
        self.shape = (1,)
        self.dtype = texts.dtype

    def identity(self) -> dict[str, Any]:
        return self._texts.identity()

    def names(self, start: int, stop: int) -> npt.NDArray[np.bytes_]:
        return self._texts.names(start, stop)

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        return self._texts.read(start, stop)[:, np.newaxis]

    def peek(self, count: int) -> npt.NDArray[Any]:
        return self._texts.peek(count)[:, np.newaxis]

    def close(self) -> None:
        self._texts.close()


class ArraySource(Source):
    """Rows of an array in memory, or of one that numpy maps into it."""

    def __init__(
        self, array: npt.NDArray[Any], label: str, identity: dict[str, Any] | None = None
    ) -> None:
        self._array = array
        self._identity = identity or {"source": label}
        self.label = label
        self.rows = array.shape[0]
        self.shape = array.shape[1:]
        self.dtype = array.dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell what was given, and of what is in memory only what it holds."""
        if "bytes" in self._identity:
            return self._identity
        return {**self._identity, "sha256": hash_rows([self._array])}

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Copy the rows, so that the owner of the array may change it."""
        return np.array(self._array[start:stop], dtype=self.dtype, order="C")


def hash_rows(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """Hash what arrays hold, which has no file to tell it by: SHA-256."""
    digest = hashlib.sha256()
    for array in arrays:
        if array.dtype.hasobject:
            for value in array.flat:
                text = value if isinstance(value, bytes) else str(value).encode()
                digest.update(text + b"\0")
            continue
        for start in range(0, max(len(array), 1), _NAMED_AT_ONCE):
            part = np.ascontiguousarray(
                array[start : start + _NAMED_AT_ONCE] if array.ndim else array
            )
            digest.update(part.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
