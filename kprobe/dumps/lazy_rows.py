"""Rows that xarray reads when they are needed; imported only where xarray is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from kprobe.errors import DumpError


class _LazyRows(BackendArray):
    """The first rows of a dataset, or a whole one without rows."""

    def __init__(self, dataset: Any, rows: int | None) -> None:
        self._dataset = dataset
        self.shape = dataset.shape if rows is None else (rows, *dataset.shape[1:])
        self.dtype = dataset.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER_1VECTOR
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        if not self._dataset:
            raise DumpError(
                "values of a dump: expected an open dump, received a closed one",
                hint="read them within the with statement, as dump.to_xarray().load() does",
            )
        bounded = [
            slice(*part.indices(size)) if isinstance(part, slice) else part
            for part, size in zip(key, self.shape, strict=True)
        ]
        return np.asarray(self._dataset[tuple(bounded)])


def read_lazily(dataset: Any, rows: int | None) -> Any:
    """Give what stands in a `xarray.Variable` for values that aren't read yet.

    Args:
        dataset: An HDF5 dataset, which must be open when they are read.
        rows: How many of its rows, from the first, there are; None for all it holds.
    """
    return indexing.LazilyIndexedArray(_LazyRows(dataset, rows))
