"""Arrays of what Python users have: arrays, tensors of TensorFlow and others, nested lists."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError


def as_array(values: Any, label: str) -> npt.NDArray[Any]:
    """Give an array that holds what is given; what a sparse tensor doesn't hold is zero.

    Args:
        values: An array, a tensor, a matrix of SciPy, or nested sequences of numbers.
        label: What messages call it.

    Raises:
        InputError: It is nothing of the kind, has rows of several shapes, or masked values.
    """
    check_unmasked(values, label)
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind == "T" else values  # StringDType
    if is_sparse_matrix(values):
        return np.asarray(values.toarray())
    kind = name_tensor(values)
    if kind == "SparseTensor":
        sparse = sys.modules["tensorflow"].sparse
        values = sparse.to_dense(sparse.reorder(values))
    try:
        return np.asarray(values)
    # What an object of the user's raises has no common class.
    except Exception as error:
        what = type(values).__name__
        if isinstance(values, Sequence):
            what = f"a {what} with rows of several lengths or kinds"
        raise InputError(f"{label}: expected rows of samples, received {what}") from error


def check_unmasked(values: Any, label: str) -> None:
    """Refuse masked values, in an array or in those of a sequence: a model takes no mask with them.

    What lies below a mask may be anything, and only the user knows what is to stand for it.

    Raises:
        InputError: There are some.
    """
    for value in values if isinstance(values, list | tuple) else (values,):
        if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
            raise InputError(
                f"{label}: expected an array without masked values, received "
                f"{np.count_nonzero(np.ma.getmaskarray(value)):,} of them",
                hint="say what is to stand for them: array.filled(0)",
            )


def is_sparse_matrix(values: Any) -> bool:
    """Tell a sparse matrix or a sparse array of SciPy."""
    # If there is one, it has been imported.
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(values))


def list_rows(ragged: Any, label: str) -> list[npt.NDArray[Any]]:
    """Give the rows of a ragged tensor, which may differ in shape, each an array.

    Raises:
        InputError: A row is ragged itself.
    """
    rows = []
    for row in ragged:
        dense = row.to_tensor() if name_tensor(row) else row
        if name_tensor(row) and np.size(row.flat_values) != np.size(dense):
            raise InputError(
                f"{label}: expected rows that are arrays, which may differ in shape, received a "
                "tensor with rows that are ragged themselves",
                hint="pad it: tensor.to_tensor()",
            )
        rows.append(np.asarray(dense))
    return rows


def take_apart(values: Any) -> list[npt.NDArray[Any]]:
    """Give the arrays of samples that come one by one and differ in shape; none of others.

    Args:
        values: A sequence of arrays, of tensors or of nested sequences.
    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        return []
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str | bytes):
        return []
    try:
        arrays = [np.asarray(value) for value in values]
    # What an object of the user's raises has no common class.
    except Exception:
        return []
    are_plain = all(array.dtype != object and array.ndim for array in arrays)
    if not are_plain or len({array.shape for array in arrays}) < 2:
        return []
    if all(isinstance(value, np.ndarray) for value in values):
        return arrays
    dtype = np.result_type(*arrays)  # of lists, one of which may hold whole numbers only
    return [array.astype(dtype) for array in arrays]


def is_array_like(values: Any) -> bool:
    """Tell what an array can be made of from what gives batches."""
    if isinstance(values, Sequence | np.ndarray | np.generic | int | float | complex):
        return True
    return name_tensor(values) is not None or hasattr(type(values), "__array__")


def name_tensor(values: Any) -> str | None:
    """Name the kind of a composite tensor of TensorFlow: "SparseTensor", "RaggedTensor" or None."""
    # If there is a tensor, it has been imported.
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return None
    kinds = {"SparseTensor": tf.SparseTensor, "RaggedTensor": tf.RaggedTensor}
    return next((name for name, kind in kinds.items() if isinstance(values, kind)), None)
