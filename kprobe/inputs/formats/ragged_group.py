"""Rows of several shapes, as a dump holds them in a group, as samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import check_plain
from kprobe.inputs.sources.source import Source
from kprobe.inputs.sources.uneven import as_rows
from kprobe.ragged_layout import RaggedLayout, split_texts

if TYPE_CHECKING:
    import h5py

_AT_ONCE = 65_536  # rows


class RaggedRows(Source):
    """The rows of such a group, of the shapes that they have; texts are bytes.

    Args:
        file: The open file.
        group: The group.
        label: What messages and row identities call it.
        identity: What `Source.identity` is to tell.

    Raises:
        InputError: A part is missing, or of the wrong shape.
    """

    def __init__(
        self, file: h5py.File, group: h5py.Group, label: str, identity: dict[str, Any]
    ) -> None:
        self._file = file
        self._identity = identity
        self.label = label
        try:
            self._layout = RaggedLayout(group)
        except ValueError as error:
            raise InputError(f"{label}: {error}") from None
        check_plain(self._layout.dtype, self._layout.values.shape, label)
        self.rows: int = len(self._layout)
        shape = self._find_shape()
        # The last axis of texts is their bytes.
        is_text = self._layout.is_text
        self.shape = shape[:-1] if is_text else shape
        self.dtype = np.dtype(object) if is_text else self._layout.dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell the file's name, size and time, and the group's path."""
        return self._identity

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows start to stop.

        Raises:
            InputError: They can't be read, or haven't been written yet.
        """
        try:
            stored = self._layout.read(start, stop)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"{self.label}: rows {start} to {stop - 1} can't be read: {error}"
            ) from None
        except ValueError as error:
            raise InputError(f"{self.label}: {error}") from None
        if self._layout.is_text:
            rows = [split_texts(row).astype(object)[()] for row in stored]
        else:
            rows = [np.asarray(row, self.dtype, order="C") for row in stored]
        if -1 in self.shape:
            return as_rows(rows)
        together = np.empty((len(rows), *self.shape), self.dtype)
        for number, row in enumerate(rows):
            together[number] = row
        return together

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _find_shape(self) -> tuple[int, ...]:
        """Give the sizes that all rows have, and -1 where they differ."""
        rank = int(self._layout.shapes.shape[1])
        least, most = np.full(rank, np.iinfo("i8").max), np.zeros(rank, "i8")
        for start in range(0, self.rows, _AT_ONCE):
            shapes = self._layout.shapes[start : start + _AT_ONCE]
            least, most = np.minimum(least, shapes.min(0)), np.maximum(most, shapes.max(0))
        pairs = zip(least.tolist(), most.tolist(), strict=True)
        return tuple(low if low == high else -1 for low, high in pairs)
