"""Rows of a sparse matrix, as `scipy.sparse.save_npz` stores it, or as SciPy has it in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import check_plain
from kprobe.inputs.formats.npz import NpzFile
from kprobe.inputs.sources.source import Source, hash_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

# The arrays of each format, as scipy/sparse/_matrix_io.py writes them beside format and shape.
_COMPRESSED = ("data", "indices", "indptr")
_PARTS = {"csr": _COMPRESSED, "csc": _COMPRESSED, "coo": ("data", "row", "col")}
_SHOWN = 20  # characters
# Rows of zeros cost no bytes in the file, and a sample each.
_MOST_EMPTY = 1 << 20
_ROWS_FOR_EACH = 1000


def is_sparse(keys: Collection[str]) -> bool:
    """Tell a sparse matrix from an archive of arrays, by the keys of the file."""
    return {"format", "shape", "data"} <= set(keys)


def open_sparse(path: Path, label: str, identity: dict[str, Any]) -> SparseRows:
    """Open a sparse matrix in a file.

    Args:
        path: The .npz file.
        label: What messages and row identities call it.
        identity: What `Source.identity` is to tell.

    Raises:
        InputError: It can't be read, is of another format or of more axes than two.
    """
    archive = NpzFile(path, label, identity)
    told = archive.read_whole("format")
    kind = told.item() if told.size == 1 and told.dtype.kind in "SU" else ""
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else kind
    parts = _PARTS.get(kind, ())
    missing = [name for name in parts if name not in archive.keys()]  # noqa: SIM118 (no dict)
    if not parts or missing:
        raise InputError(
            f"{label}: expected a sparse matrix in the format csr, csc or coo, "
            f"received {kind[:_SHOWN]!r}" + (f" without {', '.join(missing)}" if missing else ""),
            hint="scipy.sparse.save_npz(file, matrix.tocsr())",
        )
    sizes = archive.read_whole("shape")
    if sizes.dtype.kind not in "iu" or sizes.ndim != 1 or (sizes < 0).any():
        raise InputError(f"{label}: expected a sparse matrix, received a damaged one (shape)")
    shape = tuple(map(int, sizes))
    arrays = {name: archive.read_whole(name) for name in parts}
    return SparseRows(kind, arrays, shape, label, identity)


def open_matrix(matrix: Any, label: str) -> SparseRows:
    """Open a sparse matrix of SciPy in memory, whatever its format.

    Args:
        matrix: The matrix, or sparse array.
        label: What messages and row identities call it.

    Raises:
        InputError: It is of another number of axes than two, or holds what can't be read.
    """
    if matrix.ndim != 2:
        raise InputError(f"{label}: expected a sparse matrix, received shape {matrix.shape}")
    rows = matrix.tocsr()
    arrays = {name: getattr(rows, name) for name in _COMPRESSED}
    # Where a value lies is as much of what it holds as the value.
    identity = {"source": label, "sha256": hash_rows([np.array(rows.shape), *arrays.values()])}
    return SparseRows("csr", arrays, rows.shape, label, identity)


class SparseRows(Source):
    """Rows of a sparse matrix; what isn't stored is zero.

    The memory holds what is stored, and of the rows themselves only those asked for.

    Args:
        kind: The format: "csr", "csc" or "coo".
        arrays: Its arrays, by the names that the format has for them.
        shape: Its shape.
        label: What messages and row identities call it.
        identity: What `Source.identity` is to tell.

    Raises:
        InputError: It is damaged, or of more axes than two.
    """

    def __init__(
        self,
        kind: str,
        arrays: Mapping[str, npt.NDArray[Any]],
        shape: tuple[int, ...],
        label: str,
        identity: dict[str, Any],
    ) -> None:
        self._identity = identity
        self.label = label
        if len(shape) != 2:
            raise InputError(f"{label}: expected a sparse matrix, received shape {shape}")
        rows, width = shape
        self.rows: int = rows
        self.shape = (width,)
        self._values, row_of, self._columns = _list_entries(kind, arrays, shape, label)
        check_plain(self._values.dtype, shape, label)
        self.dtype = self._values.dtype.newbyteorder("=")
        order = np.argsort(row_of, kind="stable")
        self._values, self._columns = self._values[order], self._columns[order]
        self._row_of = row_of[order]
        if self.rows > _MOST_EMPTY + _ROWS_FOR_EACH * len(self._values):
            raise InputError(
                f"{label}: expected values in its rows, received {len(self._values):,} for "
                f"{self.rows:,} rows"
            )

    def identity(self) -> dict[str, Any]:
        """Tell the file's name, size and time, or what is held in memory."""
        return self._identity

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Fill rows start to stop with what is stored; what is stored twice is added, as scipy."""
        rows = np.zeros((stop - start, *self.shape), self.dtype)
        begins = np.searchsorted(self._row_of, np.arange(start, stop + 1))
        entries = slice(begins[0], begins[-1])
        numbers = np.repeat(np.arange(stop - start), np.diff(begins))
        np.add.at(rows, (numbers, self._columns[entries]), self._values[entries])
        return rows


def _list_entries(
    kind: str, arrays: Mapping[str, npt.NDArray[Any]], shape: tuple[int, ...], label: str
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Give the value, the row and the column of each entry.

    Raises:
        InputError: They don't fit each other, or the shape.
    """
    values = arrays["data"]
    if kind == "coo":
        rows, columns = arrays["row"], arrays["col"]
    else:
        ends, inner = arrays["indptr"], arrays["indices"]
        fits = ends.dtype.kind in "iu" and ends.ndim == 1 == inner.ndim and ends.size > 0
        counts: npt.NDArray[np.int64] = np.diff(ends.astype(np.int64) if fits else np.zeros(1, int))
        fits = fits and len(counts) == shape[kind == "csc"] and bool((counts >= 0).all())
        if not fits or ends[0] != 0 or ends[-1] != len(inner):
            raise InputError(f"{label}: expected a sparse matrix, received a damaged one (indptr)")
        outer = np.repeat(np.arange(len(counts)), counts)
        rows, columns = (outer, inner) if kind == "csr" else (inner, outer)
    fits = values.ndim == rows.ndim == 1 and values.shape == rows.shape == columns.shape
    fits = fits and rows.dtype.kind in "iu" and columns.dtype.kind in "iu"
    for numbers, size in ((rows, shape[0]), (columns, shape[1])):
        fits = fits and (not numbers.size or 0 <= numbers.min() <= numbers.max() < size)
    if not fits:
        raise InputError(f"{label}: expected a sparse matrix, received a damaged one (indices)")
    return values, rows, columns
