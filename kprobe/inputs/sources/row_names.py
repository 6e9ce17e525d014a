"""The identities of rows, made when they are asked for: 10^8 of them would take gigabytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from kprobe.inputs.sources.source import Source


class RowNames:
    """The identities of some rows of a source, used as an array of shape (rows,).

    Args:
        source: What names its rows.
        rows: Which of them, in steps of 1.

    Attributes:
        dtype: "S<width>".
    """

    def __init__(self, source: Source, rows: range) -> None:
        self._source = source
        self._rows = rows
        self.dtype: np.dtype[Any] = source.names(rows.start, rows.start).dtype

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, rows: int, /) -> bytes: ...

    @overload
    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.bytes_]: ...

    def __getitem__(self, rows: int | slice, /) -> bytes | npt.NDArray[np.bytes_]:
        if isinstance(rows, int):
            row = self._rows[rows]
            return bytes(self._source.names(row, row + 1)[0])
        chosen = self._rows[rows]
        if chosen.step != 1:
            raise ValueError(f"names come in steps of 1, not {chosen.step}")
        return self._source.names(chosen.start, chosen.stop)
