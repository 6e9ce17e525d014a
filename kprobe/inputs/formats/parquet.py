"""Columns of Parquet files."""

from __future__ import annotations

import threading
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.encoded import EncodedRows
from kprobe.inputs.sources.container import FileContainer
from kprobe.inputs.sources.value_rows import Values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kprobe.inputs.sources.source import Unfitted

MAGIC = b"PAR1"
_NUMBER_BYTES = 8
# What memory may hold of a row group, whatever it has in the file, and for each of its bytes there.
_HELD = 256 << 20
_HELD_FOR_EACH = 64


class ParquetFile(FileContainer):
    """The columns of a Parquet file.

    Args:
        path: The file.
        label: What messages call it.
        identity: What its sources are to report of it; "source" gets the column appended.

    Raises:
        InputError: It is damaged, or pyarrow isn't installed.
    """

    def __init__(self, path: Path, label: str, identity: dict[str, Any]) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise InputError(
                f"{label}: Parquet files need pyarrow", hint="pip install 'kprobe[parquet]'"
            ) from None
        super().__init__(path, label, identity)
        try:
            with parquet.ParquetFile(path) as file:
                self._schema = file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{label}: expected a Parquet file, received a damaged one ({error})"
            ) from None

    def keys(self) -> list[str]:
        """List the columns."""
        return [str(name) for name in self._schema.names]

    def open(self, key: str) -> Unfitted:
        """Open a column of numbers, of lists of numbers, of texts or of bytes.

        Raises:
            InputError: There is no such column, or it holds something else.
        """
        from pyarrow import types

        if key not in self.keys():
            raise self.refuse(f"no column '{key}'", key)
        kind = self._schema.field(key).type
        field = None
        if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            field, kind = "bytes", kind.field("bytes").type  # as Hugging Face's images are stored
        label = f"{self.label}:{key}"
        identity = self._identify(key)
        is_text = types.is_string(kind) or types.is_large_string(kind)
        is_bytes = is_text or types.is_binary(kind) or types.is_large_binary(kind)
        column = _Column(self._path, key, field, label, is_bytes=is_bytes)
        inner = kind
        while types.is_list(inner) or types.is_large_list(inner) or types.is_fixed_size_list(inner):
            inner = inner.value_type
        if types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner):
            return _Numbers(column, label, identity, np.dtype(inner.to_pandas_dtype()))
        if is_bytes:
            return _BinaryCells(column, label, identity, is_text=is_text)
        column.close()
        raise InputError(
            f"{label}: expected a column of numbers, lists of numbers, texts or bytes, "
            f"received {kind}"
        )


class _Column:
    """The cells of a column, of which one row group is in memory at a time."""

    def __init__(
        self, path: Path, key: str, field: str | None, label: str, *, is_bytes: bool
    ) -> None:
        from pyarrow import parquet

        # Texts as numbers of those that differ: a page tells that one stands in a million rows.
        leaves = [key if field is None else f"{key}.{field}"] if is_bytes else None
        self._file = parquet.ParquetFile(path, read_dictionary=leaves)
        self._key = key
        self._field = field
        self._label = label
        sizes = [
            self._file.metadata.row_group(n).num_rows for n in range(self._file.num_row_groups)
        ]
        self._begins = [0, *accumulate(sizes)]
        self.rows = self._begins[-1]
        self._loaded: tuple[int, Any] = (-1, None)
        # Images are read ahead by a thread of TensorFlow, and looked at again if damaged.
        self._lock = threading.Lock()

    def cells(self, start: int, stop: int) -> Iterator[Any]:
        """Yield the cells of some rows, as Python or numpy has them; None for nothing."""
        for group, begin in enumerate(self._begins[:-1]):
            first, last = max(start, begin), min(stop, self._begins[group + 1])
            if first < last:
                yield from self._load(group).slice(first - begin, last - first).to_pylist()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _load(self, group: int) -> Any:
        import pyarrow as pa

        with self._lock:
            if self._loaded[0] != group:
                self._check_size(group)
                try:
                    column = self._file.read_row_group(group, [self._key]).column(0)
                except (pa.ArrowException, OSError) as error:
                    raise InputError(f"{self._label}: can't be read: {error}") from None
                chunk = column.combine_chunks()
                if isinstance(chunk, pa.ChunkedArray):
                    chunk = pa.concat_arrays(chunk.chunks)
                rows = self._begins[group + 1] - self._begins[group]
                if len(chunk) != rows:
                    raise InputError(
                        f"{self._label}: is damaged: expected {rows:,} rows in row group {group}, "
                        f"received {len(chunk):,}"
                    )
                self._loaded = group, chunk if self._field is None else chunk.field(self._field)
            return self._loaded[1]

    def _check_size(self, group: int) -> None:
        """Check that a row group fits memory: few bytes may say that a number stands for many rows.

        Raises:
            InputError: It doesn't.
        """
        told = self._file.metadata.row_group(group)
        columns = (told.column(number) for number in range(told.num_columns))
        own = [c for c in columns if c.path_in_schema.split(".")[0] == self._key.split(".")[0]]
        stored = sum(column.total_compressed_size for column in own)
        values = max((column.num_values for column in own), default=0)
        most = max(_HELD, _HELD_FOR_EACH * stored)
        if values * _NUMBER_BYTES > most:
            raise InputError(
                f"{self._label}: expected {most // _NUMBER_BYTES:,} values in a row group at most, "
                f"of {stored:,} bytes in the file, received {values:,}",
                hint="write smaller row groups",
            )


class _Numbers(Values):
    def __init__(
        self, column: _Column, label: str, identity: dict[str, Any], dtype: np.dtype[Any]
    ) -> None:
        self._column = column
        self._identity = identity
        self._dtype = dtype
        self.label = label
        self.rows = column.rows

    def identity(self) -> dict[str, Any]:
        return self._identity

    def values(self, start: int, stop: int) -> Sequence[npt.NDArray[Any] | str]:
        return [self._read_values(cell) for cell in self._column.cells(start, stop)]

    def close(self) -> None:
        self._column.close()

    def _read_values(self, cell: Any) -> npt.NDArray[Any] | str:
        if cell is None:
            return "the cell is empty (null)"
        try:
            return np.array(cell, dtype=self._dtype)
        except (TypeError, ValueError):
            return "the cell holds empty places (null), or lists of several lengths"


class _BinaryCells(EncodedRows):
    def __init__(
        self, column: _Column, label: str, identity: dict[str, Any], *, is_text: bool
    ) -> None:
        self._column = column
        self.is_text = is_text
        self._identity = identity
        self.label = label
        self.rows = column.rows

    def identity(self) -> dict[str, Any]:
        return self._identity

    def fetch(self, start: int, stop: int) -> list[bytes]:
        cells = self._column.cells(start, stop)
        return [cell.encode() if isinstance(cell, str) else cell or b"" for cell in cells]

    def close(self) -> None:
        self._column.close()
