"""Samples that Python code of the user's gives, batch by batch, as for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.formats.npy_header import check_plain
from kprobe.inputs.python.tensors import as_array, is_sparse_matrix
from kprobe.inputs.python.user_code import call_user, find_callable, hash_place, iterate_user
from kprobe.inputs.sources.container import Container
from kprobe.inputs.sources.source import Source, hash_rows
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Callable


def open_callable(place: str, name: str) -> Source | Container:
    """Call what gives the batches, and look at the first.

    Args:
        place: A module, or a file of Python.
        name: What in it is called, without arguments. What it gives is iterated over: batches, or
            `(inputs, targets)` as training takes them, of which the inputs are used; each an
            array, a sequence of arrays, or a mapping by input name. What has a length
            (`keras.utils.PyDataset`, `Sequence`) is indexed instead.

    Raises:
        InputError: There is no such thing, it fails, or what it gives are no batches.
    """
    label = f"{place}:{name}"
    if not name:
        raise InputError(
            f"{place}: expected the name of a function that gives batches",
            hint=f"say which: {place}:FUNCTION",
        )
    function = find_callable(place, name, label)
    return open_batches(Batches(function, label), {"source": label, **hash_place(place)})


def open_batches(batches: Batches, identity: dict[str, Any]) -> Source | Container:
    """Open what batches hold: one array, or several by name or by place.

    Args:
        batches: The batches.
        identity: What the sources are to report of them; "source" gets the name appended.
    """
    if batches.keys == [""]:
        return _Generated(batches, "", identity)
    return _GeneratedArrays(batches, identity)


def open_unnamed(batches: Batches, identity: dict[str, Any]) -> Source | Container:
    """Open what batches hold that are in memory, which nothing but their samples can tell apart.

    Args:
        batches: The batches.
        identity: As for `open_batches`; "first_sha256" is added, the SHA-256 of the first sample:
            what begins alike isn't told apart.
    """
    return open_batches(batches, {**identity, "first_sha256": batches.hash_first()})


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

    Attributes:
        label: As given.
        rows: The number of rows; None where nobody knows it.
        replayable: Whether what was read can be read again.
        keys: The names of the arrays of a batch, or their places; "" for a lone one.
        by_place: Whether they have places only.
        specs: The shape of a row and the dtype of each.

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
    ) -> None:
        self._function = function
        self.label = label
        self.replayable = not once
        self.by_place = False
        self.specs: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._begin = self._end = 0  # the rows that are kept
        self._kept: list[dict[str, npt.NDArray[Any]]] = []
        self._given: Any = None
        self._batches = self._start()
        first = next(self._batches, None)
        if first is None:
            raise InputError(f"{label}: expected batches of samples, received none")
        self.keys = list(first)
        self.specs = _describe(first)
        self._keep(first)
        self.rows = self._count() if rows is None else rows

    def hash_first(self) -> str:
        """Hash the first sample, as long as it is kept: SHA-256."""
        return hash_rows([self._kept[0][key][:1] for key in self.keys])

    def take(self, key: str, start: int, stop: int, *, peeking: bool = False) -> npt.NDArray[Any]:
        """Give rows start to stop of one of the arrays, fewer at the end; forget those before."""
        if start < self._begin:
            self._restart()
        while self._end < stop:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._keep(batch)
            if not peeking:
                self._forget(start)
        shape, dtype = self.specs[key]
        pieces = [np.empty((0, *shape), dtype)]
        begin = self._begin
        for batch in self._kept:
            pieces.append(batch[key][max(start - begin, 0) : max(stop - begin, 0)])
            begin += len(batch[key])
        return np.concatenate(pieces)

    def _restart(self) -> None:
        """Begin again at the first row.

        Raises:
            InputError: What gives the batches has none any more.
        """
        before = self._given
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
        last = self._read(call_user(self.label, given.__getitem__, count - 1))
        return (count - 1) * len(self._kept[0][self.keys[0]]) + len(last[self.keys[0]])

    def _keep(self, batch: dict[str, npt.NDArray[Any]]) -> None:
        specs = _describe(batch)
        if specs != self.specs:
            raise InputError(
                f"{self.label}: expected batches of one kind, received {self.specs} and then "
                f"{specs} in row {self._end}"
            )
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
            arrays = self._read(batch)
            if any(map(len, arrays.values())):
                yield arrays

    def _read(self, batch: Any) -> dict[str, npt.NDArray[Any]]:
        """Take the inputs of a batch, by name; by place where they have none; "" for a lone one."""
        inputs = batch[0] if isinstance(batch, tuple) and len(batch) in (1, 2, 3) else batch
        self.by_place = isinstance(inputs, tuple | list)
        if isinstance(inputs, Mapping) and not is_sparse_matrix(inputs):
            values = {str(key): value for key, value in inputs.items()}
        elif isinstance(inputs, tuple | list):
            values = {str(place): value for place, value in enumerate(inputs)}
        else:
            values = {"": inputs}
        arrays = {}
        for key, value in values.items():
            label = f"{self.label}:{key}" if key else self.label
            arrays[key] = as_array(value, label)
            check_plain(arrays[key].dtype, arrays[key].shape, label)
        if len({len(rows) for rows in arrays.values()}) != 1:
            shapes = list_names(f"{key} {rows.shape}" for key, rows in arrays.items())
            raise InputError(
                f"{self.label}: expected as many rows of each input, received {shapes}"
            )
        return arrays


def _describe(
    batch: Mapping[str, npt.NDArray[Any]],
) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    return {key: (rows.shape[1:], rows.dtype) for key, rows in batch.items()}


class _Generated(Source):
    def __init__(self, batches: Batches, key: str, identity: dict[str, Any]) -> None:
        self._identity = identity
        self._batches = batches
        self._key = key
        self.label = f"{batches.label}:{key}" if key else batches.label
        self.rows = batches.rows
        self.replayable = batches.replayable
        self.shape, dtype = batches.specs[key]
        self.dtype = dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell the code or the folder; what code gives can't be told without running it."""
        key = f":{self._key}" if self._key else ""
        return {**self._identity, "source": f"{self._identity['source']}{key}"}

    def peek(self, count: int) -> npt.NDArray[Any]:
        """Give the first rows, which are kept."""
        stop = count if self.rows is None else min(count, self.rows)
        return self._cast(self._batches.take(self._key, 0, stop, peeking=True))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Give rows as they come; those that were read before are made anew from the beginning."""
        return self._cast(self._batches.take(self._key, start, stop))

    def _cast(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(rows, self.dtype)


class _GeneratedArrays(Container):
    def __init__(self, batches: Batches, identity: dict[str, Any]) -> None:
        self._batches = batches
        self._identity = identity
        self.label = batches.label
        self.by_place = batches.by_place

    def keys(self) -> list[str]:
        """List the names of the inputs, or their places where they have none."""
        return self._batches.keys

    def open(self, key: str) -> Source:
        """Open one of the arrays; all are taken from the same batches."""
        if key not in self._batches.keys:
            raise InputError(
                f"{self.label}: no array '{key}'; it gives {list_names(self._batches.keys)}"
            )
        return _Generated(self._batches, key, self._identity)
