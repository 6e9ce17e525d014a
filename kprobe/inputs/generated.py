"""Samples that Python code of the user's gives, batch by batch, as for training."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError, KprobeError
from kprobe.importing import import_source
from kprobe.inputs.container import Container
from kprobe.inputs.faults import list_names
from kprobe.inputs.npy_header import check_plain
from kprobe.inputs.source import UNKNOWN_ROWS, Source

_DATASET_BATCH = 32


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
    function = _find(place, name, label)
    file = Path(place) if place.endswith(".py") else getattr(sys.modules[place], "__file__", None)
    code = {"sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()} if file else {}
    return _open_batches(_Batches(function, label), {"source": label, **code})


def is_dataset(folder: Path) -> bool:
    """Tell a folder that `tf.data.Dataset.save` wrote."""
    return (folder / "dataset_spec.pb").is_file()


def open_dataset(folder: Path, label: str, identity: dict[str, Any]) -> Source | Container:
    """Open what `tf.data.Dataset.save` wrote, an element a sample.

    Args:
        folder: The folder.
        label: What messages and row identities call it.
        identity: What its sources are to tell of it.

    Raises:
        InputError: It can't be read, or its elements are of several shapes.
    """
    import tensorflow as tf

    def load() -> Any:
        return tf.data.Dataset.load(str(folder))

    try:
        rows = int(load().cardinality())
    except (tf.errors.OpError, OSError) as error:
        raise InputError(f"{label}: can't be read: {error}") from None
    if rows < 1:
        raise InputError(f"{label}: expected samples, received a dataset without any")
    # In batches, so that Python isn't called for every row.
    batches = _Batches(lambda: load().batch(_DATASET_BATCH), label, rows)
    return _open_batches(batches, identity)


def _open_batches(stream: _Batches, identity: dict[str, Any]) -> Source | Container:
    if stream.keys == [""]:
        return _Generated(stream, "", identity)
    return _GeneratedArrays(stream, identity)


class _Batches:
    """Batches of rows, with those kept that may be asked for again."""

    def __init__(self, function: Any, label: str, rows: int | None = None) -> None:
        self._function = function
        self._rows = rows
        self.label = label
        self._begin = self._end = 0  # the rows that are kept
        self._kept: list[dict[str, npt.NDArray[Any]]] = []
        self._batches = self._start()
        first = next(self._batches, None)
        if first is None:
            raise InputError(f"{label}: expected batches of samples, received none")
        self.keys = list(first)
        self.specs = {key: (rows.shape[1:], rows.dtype) for key, rows in first.items()}
        self._keep(first)

    def count(self) -> int:
        """Give the number of rows, which what has a length tells by its last batch."""
        if self._rows is not None:
            return self._rows
        given = self._called
        if not _is_indexed(given):
            return UNKNOWN_ROWS
        first, last = len(self._kept[0][self.keys[0]]), self._read(given[len(given) - 1])
        return (len(given) - 1) * first + len(last[self.keys[0]])

    def take(self, key: str, start: int, stop: int, *, peeking: bool = False) -> npt.NDArray[Any]:
        """Give rows start to stop of one of the arrays, fewer at the end; forget those before."""
        if start < self._begin:  # it has gone by: all is given anew
            self._batches, self._kept, self._begin, self._end = self._start(), [], 0, 0
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

    def _keep(self, batch: dict[str, npt.NDArray[Any]]) -> None:
        specs = {key: (rows.shape[1:], rows.dtype) for key, rows in batch.items()}
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
        try:
            self._called = self._function()
            if _is_indexed(self._called):
                batches: Any = (self._called[n] for n in range(len(self._called)))
            elif isinstance(self._called, Iterable):
                batches = iter(self._called)
            else:
                raise InputError(
                    f"{self.label}: expected batches, received {type(self._called).__name__}"
                )
            for batch in batches:
                arrays = self._read(batch)
                if any(map(len, arrays.values())):
                    yield arrays
        except InputError:
            raise
        # What ends the program would do so without a word.
        except (Exception, SystemExit) as error:
            raise InputError(f"{self.label} failed: {type(error).__name__}: {error}") from error

    def _read(self, batch: Any) -> dict[str, npt.NDArray[Any]]:
        """Take the inputs of a batch, by name; by place where they have none; "" for a lone one."""
        inputs = batch[0] if isinstance(batch, tuple) and len(batch) in (1, 2, 3) else batch
        if isinstance(inputs, Mapping):
            arrays = {str(key): np.asarray(value) for key, value in inputs.items()}
        elif isinstance(inputs, tuple | list):
            arrays = {str(place): np.asarray(value) for place, value in enumerate(inputs)}
        else:
            arrays = {"": np.asarray(inputs)}
        for key, rows in arrays.items():
            check_plain(rows.dtype, rows.shape, f"{self.label}:{key}" if key else self.label)
        if len({len(rows) for rows in arrays.values()}) != 1:
            shapes = list_names(f"{key} {rows.shape}" for key, rows in arrays.items())
            raise InputError(
                f"{self.label}: expected as many rows of each input, received {shapes}"
            )
        return arrays


class _Generated(Source):
    def __init__(self, stream: _Batches, key: str, identity: dict[str, Any]) -> None:
        self._identity = identity
        self._stream = stream
        self._key = key
        self.label = f"{stream.label}:{key}" if key else stream.label
        self.rows = stream.count()
        self.shape, dtype = stream.specs[key]
        self.dtype = dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell the code or the folder; what code gives can't be told without running it."""
        key = f":{self._key}" if self._key else ""
        return {**self._identity, "source": f"{self._identity['source']}{key}"}

    def peek(self, count: int) -> npt.NDArray[Any]:
        """Give the first rows, which are kept."""
        return self._cast(self._stream.take(self._key, 0, min(count, self.rows), peeking=True))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Give rows as they come; those that have gone by are made anew from the beginning."""
        return self._cast(self._stream.take(self._key, start, stop))

    def _cast(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(rows, self.dtype)


class _GeneratedArrays(Container):
    def __init__(self, stream: _Batches, identity: dict[str, Any]) -> None:
        self._stream = stream
        self._identity = identity
        self.label = stream.label

    def keys(self) -> list[str]:
        """List the names of the inputs, or their places where they have none."""
        return self._stream.keys

    def open(self, key: str) -> Source:
        """Open one of the arrays; all are taken from the same batches."""
        if key not in self._stream.keys:
            raise InputError(
                f"{self.label}: no array '{key}'; it gives {list_names(self._stream.keys)}"
            )
        return _Generated(self._stream, key, self._identity)


def _is_indexed(given: Any) -> bool:
    """Tell batches that are had by their number, such as a `keras.utils.PyDataset`."""
    indexed = hasattr(given, "__getitem__") and hasattr(given, "__len__")
    return indexed and not isinstance(given, Mapping)


def _find(place: str, name: str, label: str) -> Any:
    try:
        module = import_source(place)
    except KprobeError as error:
        raise InputError(
            *(f"{label}: {fault}" for fault in error.faults), hint=error.remedy
        ) from None
    except Exception as error:
        raise InputError(f"{label}: can't be imported: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not callable(found):
        what = "nothing" if found is None else type(found).__name__
        raise InputError(f"{label}: expected a function or class '{name}', received {what}")
    return found
