"""Batches that code of the user's gives: what they hold, and those kept that are read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
from kprobe.inputs.python.user_code import call_user, iterate_user
from kprobe.inputs.sources.source import hash_rows
from kprobe.inputs.sources.uneven import as_rows, find_common_shape, fits_sizes, is_uneven
from kprobe.naming import list_names

# Batches in which samples may show that they differ in shape, and the most bytes of them.
_LOOKED_AT = 8
_LOOKED_AT_BYTES = 64 << 20

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


def is_indexed(given: Any) -> bool:
    """Tell batches that are had by their number, such as a `keras.utils.PyDataset`."""
    kind = type(given)
    indexed = hasattr(kind, "__getitem__") and hasattr(kind, "__len__")
    return indexed and not isinstance(given, Mapping)


class Batches:
    """Batches of rows, with those kept that may be asked for again.

    Args:
        function: Gives what is iterated over or indexed; called again for rows read before.
        label: What messages and row identities call it.
        rows: How many rows it gives, where that is known.
        once: Whether it gives the same iterator each time.
        declared: By name or place the shape of a row, where what gives the batches says it: None
            for sizes that may differ.

    Attributes:
        label: As given.
        rows: The number of rows; None where nobody knows it.
        replayable: Whether what was read can be read again.
        keys: The names of the arrays of a batch, or their places; "" for a lone one.
        by_place: Whether they have places only.
        specs: The shape of a row, -1 for sizes in which rows differ, and the dtype of each.

    Raises:
        InputError: There is none, or the first can't be made.
    """

    def __init__(
        self,
        function: Callable[[], Any],
        label: str,
        rows: int | None = None,
        *,
        once: bool = False,
        declared: Mapping[str, tuple[int | None, ...]] | None = None,
    ) -> None:
        self._function = function
        self._declared = declared or {}
        self._failure: InputError | None = None
        self.label = label
        self.replayable = not once
        self.by_place = False
        self.specs: dict[str, Spec] = {}
        self._begin = self._end = 0  # the rows that are kept
        self._kept: list[dict[str, npt.NDArray[Any]]] = []
        self._given: Any = None
        self._batches = self._start()
        first = next(self._batches, None)
        if first is None:
            raise InputError(f"{label}: expected batches of samples, received none")
        self.keys = list(first)
        self.specs = describe(first)
        self._keep(first)
        self.rows = self._count() if rows is None else rows

    def hash_first(self) -> str:
        """Hash the first sample, as long as it is kept: SHA-256."""
        firsts = (self._kept[0][key] for key in self.keys)
        return hash_rows([rows[0] if is_uneven(rows) else rows[:1] for rows in firsts])

    def find_sizes(self, key: str, wanted: tuple[int | None, ...] | None) -> None:
        """Find out in which sizes the rows of an array may differ, from the first batches.

        Args:
            key: The array.
            wanted: The shape of a row of the model's input, None for any size; None where nobody
                knows it.
        """
        shape, dtype = self.specs[key]
        if not shape or (wanted is not None and None not in wanted):
            return
        while len(self._kept) < _LOOKED_AT and self._count_bytes() < _LOOKED_AT_BYTES:
            try:
                batch = next(self._batches, None)
                if batch is None:
                    break
                self._keep(batch, learning=True)
            except InputError as error:  # which is told when it is its turn
                self._failure = error
                break
        shape, _ = self.specs[key]
        declared = self._declared.get(key, ())
        if len(declared) == len(shape) == len(wanted or shape):
            triples = zip(shape, declared, wanted or declared, strict=True)
            own = tuple(-1 if told is free is None else size for size, told, free in triples)
            self.specs[key] = own, dtype

    def take(self, key: str, start: int, stop: int, *, peeking: bool = False) -> npt.NDArray[Any]:
        """Give rows start to stop of one of the arrays, fewer at the end; forget those before."""
        if start < self._begin:
            self._restart()
        while self._end < stop:
            if self._failure is not None:
                raise self._failure
            batch = next(self._batches, None)
            if batch is None:
                break
            self._keep(batch)
            if not peeking:
                self._forget(start)
        shape, dtype = self.specs[key]
        pieces = []
        begin = self._begin
        for batch in self._kept:
            pieces.append(batch[key][max(start - begin, 0) : max(stop - begin, 0)])
            begin += len(batch[key])
        if -1 in shape:
            return as_rows([np.asarray(row) for piece in pieces for row in piece])
        return np.concatenate([np.empty((0, *shape), dtype), *pieces])

    def _restart(self) -> None:
        """Begin again at the first row.

        Raises:
            InputError: What gives the batches has none any more.
        """
        before, self._failure = self._given, None
        self._batches, self._kept, self._begin, self._end = self._start(), [], 0, 0
        first = next(self._batches, None) if self.replayable else None
        if first is None or (self._given is before and isinstance(before, Iterator)):
            raise InputError(
                f"{self.label}: expected its first samples a second time, and they have been read "
                "already: an iterator gives them once",
                hint="give a function that makes a new iterator each time it is called",
            )
        self._keep(first)

    def _count(self) -> int | None:
        """Give the number of rows, which what has a length tells by its last batch."""
        given = self._given
        if not is_indexed(given):
            return None
        count = call_user(self.label, len, given)
        last, _ = read_batch(call_user(self.label, given.__getitem__, count - 1), self.label)
        return (count - 1) * len(self._kept[0][self.keys[0]]) + len(last[self.keys[0]])

    def _count_bytes(self) -> int:
        """Count the bytes of what is kept, of which each batch is taken to be like the first."""
        return len(self._kept) * sum(rows.nbytes for rows in self._kept[0].values())

    def _keep(self, batch: dict[str, npt.NDArray[Any]], *, learning: bool = False) -> None:
        specs = describe(batch)
        if not _agree(specs, self.specs, in_sizes=not learning):
            alike = _agree(specs, self.specs, in_sizes=False)
            raise InputError(
                f"{self.label}: expected batches of one kind, received {self.specs} and then "
                f"{specs} in row {self._end}",
                hint="let the first batches show which sizes differ" if alike else None,
            )
        for key, (shape, dtype) in specs.items() if learning else ():
            self.specs[key] = find_common_shape([self.specs[key][0], shape]), dtype
        self._kept.append(batch)
        self._end += len(batch[self.keys[0]])

    def _forget(self, start: int) -> None:
        while self._kept:
            rows = len(self._kept[0][self.keys[0]])
            if self._begin + rows > start:
                return
            del self._kept[0]
            self._begin += rows

    def _start(self) -> Iterator[dict[str, npt.NDArray[Any]]]:
        self._given = given = call_user(self.label, self._function)
        if is_indexed(given):
            numbers = range(call_user(self.label, len, given))
            batches: Iterator[Any] = (
                call_user(self.label, given.__getitem__, number) for number in numbers
            )
        elif isinstance(given, Iterable):
            batches = iterate_user(self.label, call_user(self.label, iter, given))
        else:
            raise InputError(f"{self.label}: expected batches, received {type(given).__name__}")
        for batch in batches:
            arrays, self.by_place = read_batch(batch, self.label)
            if any(map(len, arrays.values())):
                yield arrays


def _agree(specs: Mapping[str, Spec], known: Mapping[str, Spec], *, in_sizes: bool) -> bool:
    """Tell whether a batch is like those before: in names, dtypes, ranks, and also in sizes."""
    if specs.keys() != known.keys():
        return False
    pairs = [(specs[key], known[key]) for key in known]
    return all(
        own_dtype == dtype and (fits_sizes(own, shape) if in_sizes else len(own) == len(shape))
        for (own, own_dtype), (shape, dtype) in pairs
    )
