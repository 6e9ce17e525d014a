"""Rows of several shapes in a group of `values`, `offsets` and `shapes`, as dumps have them."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import check_plain
from kprobe.inputs.sources.source import Source
from kprobe.inputs.sources.uneven import as_rows

_AT_ONCE = 65_536  # rows


def is_ragged(thing: object) -> bool:
    """Tell such a group from all else in an HDF5 file."""
    return isinstance(thing, h5py.Group) and thing.attrs.get("layout") == "ragged"


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
        parts = [group.get(name) for name in ("values", "offsets", "shapes")]
        ranks = [part.ndim if isinstance(part, h5py.Dataset) else None for part in parts]
        if None in ranks or ranks[0] == 0 or ranks[1:] != [1, 2]:
            raise InputError(
                f"{label}: expected rows of several shapes, received a group that lacks some of "
                "values, offsets and shapes"
            )
        self._values, self._offsets, self._shapes = parts
        check_plain(self._values.dtype, self._values.shape, label)
        self._is_text = group.attrs.get("dtype") in ("string", b"string")
        self.rows: int = int(self._shapes.shape[0])
        shape = self._find_shape()
        # The last axis of texts is their bytes.
        self.shape = shape[:-1] if self._is_text else shape
        self.dtype = np.dtype(object) if self._is_text else self._values.dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell the file's name, size and time, and the group's path."""
        return self._identity

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read rows start to stop.

        Raises:
            InputError: They can't be read, or haven't been written yet.
        """
        try:
            offsets = self._offsets[start : stop + 1]
            shapes = self._shapes[start:stop]
            values = self._values[offsets[0] : offsets[-1]] if len(shapes) else ()
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.label}: rows {start} to {stop - 1} can't be read: {error}"
            ) from None
        item = int(np.prod(self._values.shape[1:]))
        rows = []
        for number, shape in enumerate(shapes):
            begin, end = offsets[number : number + 2] - offsets[0]
            if (end - begin) * item != np.prod(shape) or end > len(values):
                raise InputError(
                    f"{self.label}: row {start + number} is damaged, or hasn't been written yet"
                )
            row = np.ascontiguousarray(values[begin:end], self._values.dtype.newbyteorder("="))
            rows.append(_read_texts(row.reshape(shape)) if self._is_text else row.reshape(shape))
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
        rank = int(self._shapes.shape[1])
        least, most = np.full(rank, np.iinfo("i8").max), np.zeros(rank, "i8")
        for start in range(0, self.rows, _AT_ONCE):
            shapes = self._shapes[start : start + _AT_ONCE]
            least, most = np.minimum(least, shapes.min(0)), np.maximum(most, shapes.max(0))
        pairs = zip(least.tolist(), most.tolist(), strict=True)
        return tuple(low if low == high else -1 for low, high in pairs)


def _read_texts(row: npt.NDArray[Any]) -> Any:
    """Give the texts, as bytes, whose bytes are the last axis."""
    width = row.shape[-1]
    if not width:
        return np.full(row.shape[:-1], b"", object)[()]
    return row.view(f"S{width}")[..., 0].astype(object)[()]
