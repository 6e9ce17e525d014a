"""What a batch holds that code of the user's gave: an array for each input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import check_plain
from kprobe.inputs.python.tensors import (
    as_array,
    is_sparse_matrix,
    list_rows,
    name_tensor,
    take_apart,
)
from kprobe.inputs.sources.uneven import as_rows, find_common_shape, is_uneven
from kprobe.naming import list_names

# The shape of a row, -1 for sizes in which rows differ, and the dtype.
Spec: TypeAlias = tuple[tuple[int, ...], np.dtype[Any]]


def read_batch(batch: Any, label: str) -> tuple[dict[str, npt.NDArray[Any]], bool]:
    """Take the inputs of a batch.

    Args:
        batch: An array, a sequence of them, a mapping by name; or that and targets, in a tuple.
        label: What messages call it.

    Returns:
        The arrays by name; by place where they have none; "" for a lone one. Where rows differ in
        shape, an array of arrays. And whether they have places only.

    Raises:
        InputError: It holds something else.
    """
    inputs = batch[0] if isinstance(batch, tuple) and len(batch) in (1, 2, 3) else batch
    if isinstance(inputs, Mapping) and not is_sparse_matrix(inputs):
        values = {str(key): value for key, value in inputs.items()}
    elif isinstance(inputs, tuple | list):
        values = {str(place): value for place, value in enumerate(inputs)}
    else:
        values = {"": inputs}
    arrays = {
        key: _read_rows(value, f"{label}:{key}" if key else label) for key, value in values.items()
    }
    if len({len(rows) for rows in arrays.values()}) != 1:
        shapes = list_names(f"{key} {rows.shape}" for key, rows in arrays.items())
        raise InputError(f"{label}: expected as many rows of each input, received {shapes}")
    return arrays, isinstance(inputs, tuple | list)


def describe(batch: Mapping[str, npt.NDArray[Any]]) -> dict[str, Spec]:
    """Give the spec of the rows of each input."""
    return {
        key: (find_common_shape([row.shape for row in rows]), rows[0].dtype)
        if is_uneven(rows)
        else (rows.shape[1:], rows.dtype)
        for key, rows in batch.items()
    }


def _read_rows(value: Any, label: str) -> npt.NDArray[Any]:
    ragged = name_tensor(value) == "RaggedTensor"
    rows = list_rows(value, label) if ragged else take_apart(value)
    if not rows:
        array = as_array(value, label)
    elif len({row.shape for row in rows}) == 1:
        array = np.stack(rows)
    elif len({(row.dtype, row.ndim) for row in rows}) > 1:
        raise InputError(f"{label}: expected rows of one dtype and rank, received several")
    else:
        array = as_rows(rows)
    first = array[0] if is_uneven(array) else array
    check_plain(first.dtype, first.shape, label)
    return array
