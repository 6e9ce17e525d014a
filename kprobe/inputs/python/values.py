"""Samples that a Python user has in memory, of whatever kind."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import check_plain
from kprobe.inputs.formats.sparse_rows import open_matrix
from kprobe.inputs.python.datasets import is_dataset, open_dataset
from kprobe.inputs.python.generated import open_unnamed
from kprobe.inputs.python.given_batches import Batches, is_indexed
from kprobe.inputs.python.tensors import (
    as_array,
    check_unmasked,
    is_array_like,
    is_sparse_matrix,
    list_rows,
    name_tensor,
    take_apart,
)
from kprobe.inputs.python.user_code import describe_code
from kprobe.inputs.sources.source import ArraySource, Source, Unfitted
from kprobe.inputs.sources.uneven import UnevenArrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from kprobe.inputs.sources.container import Container


def open_value(
    value: Any, label: str, find_rank: Callable[[str], int | None]
) -> Source | Unfitted | Container:
    """Open an array, a list of arrays, a dataset, or what gives batches.

    Args:
        value: What the user has.
        label: What messages and row identities call it.
        find_rank: As for `open_dataset`.

    Raises:
        InputError: No samples can be read from it.
    """
    if is_dataset(value):
        return open_dataset(value, label, find_rank)
    if is_sparse_matrix(value):
        return open_matrix(value, label)
    if is_array_like(value):
        return _open_array(value, label)
    function = value if callable(value) and not is_indexed(value) else lambda: value
    batches = Batches(function, label, once=isinstance(value, Iterator))
    return open_unnamed(batches, {"source": label, **describe_code(value)})


def _open_array(values: Any, label: str) -> Source:
    check_unmasked(values, label)
    if name_tensor(values) == "RaggedTensor":
        values = list_rows(values, label)
    if arrays := take_apart(values):
        return UnevenArrays(arrays, label)
    if isinstance(values, np.ndarray) and all(isinstance(row, np.ndarray) for row in values[:1]):
        values = list(values)
    array = as_array(values, label)
    if array.dtype.hasobject and not all(isinstance(each, str | bytes) for each in array.flat):
        raise InputError(f"{label}: expected numbers or strings, received objects")
    check_plain(array.dtype, array.shape, label)
    return ArraySource(array, label)


def name_kind(value: Any) -> str:
    """Name the kind of what a user has, for messages and row identities."""
    if is_dataset(value):
        return "dataset"
    if is_array_like(value) or is_sparse_matrix(value):
        return "array"
    while isinstance(value, partial):
        value = value.func
    named = inspect.isroutine(value) or inspect.isclass(value)
    name = str(value.__name__) if named else type(value).__name__
    return "function" if name == "<lambda>" else name
