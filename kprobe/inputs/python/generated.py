"""Samples that Python code of the user's gives, batch by batch, as for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.python.batch import Spec, describe, read_batch
from kprobe.inputs.python.user_code import call_user, find_callable, hash_place, iterate_user
from kprobe.inputs.sources.container import Container
from kprobe.inputs.sources.source import Source, Unfitted, hash_rows
from kprobe.inputs.sources.uneven import as_rows, find_common_shape, fits_sizes, is_uneven
from kprobe.naming import list_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput

# Batches in which samples may show that they differ in shape, and the most bytes of them.
_LOOKED_AT = 8
_LOOKED_AT_BYTES = 64 << 20


def open_callable(place: str, name: str) -> Unfitted | Container:
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


def open_batches(batches: Batches, identity: dict[str, Any]) -> Unfitted | Container:
    """Open what batches hold: one array, or several by name or by place.

    Args:
        batches: The batches.
        identity: What the sources are to report of them; "source" gets the name appended.
    """
    if batches.keys == [""]:
        return _Unfitted(batches, "", identity)
    return _GeneratedArrays(batches, identity)


def open_unnamed(batches: Batches, identity: dict[str, Any]) -> Unfitted | Container:
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


class _Unfitted(Unfitted):
    """One of the arrays that batches hold."""

    def __init__(self, batches: Batches, key: str, identity: dict[str, Any]) -> None:
        self._batches = batches
        self._key = key
        self._identity = identity
        self.label = f"{batches.label}:{key}" if key else batches.label
        self.rows = batches.rows
        self.replayable = batches.replayable

    def identity(self) -> dict[str, Any]:
        """Tell the code or the folder; what code gives can't be told without running it."""
        key = f":{self._key}" if self._key else ""
        return {**self._identity, "source": f"{self._identity['source']}{key}"}

    def fit(self, model_input: ModelInput | None, options: ImageOptions) -> Source:  # noqa: ARG002
        """Find out whether the rows differ in shape, where the input's size is any."""
        wanted = None if model_input is None else model_input.shape[1:]
        self._batches.find_sizes(self._key, wanted)
        return _Generated(self._batches, self._key, self)


class _Generated(Source):
    def __init__(self, batches: Batches, key: str, opened: Unfitted) -> None:
        self._batches = batches
        self._key = key
        self._opened = opened
        self.label = opened.label
        self.rows = batches.rows
        self.replayable = batches.replayable
        self.shape, dtype = batches.specs[key]
        self.dtype = dtype.newbyteorder("=")

    def identity(self) -> dict[str, Any]:
        """Tell the code or the folder."""
        return self._opened.identity()

    def peek(self, count: int) -> npt.NDArray[Any]:
        """Give the first rows, which are kept."""
        stop = count if self.rows is None else min(count, self.rows)
        return self._cast(self._batches.take(self._key, 0, stop, peeking=True))

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Give rows as they come; those that were read before are made anew from the beginning."""
        return self._cast(self._batches.take(self._key, start, stop))

    def _cast(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if is_uneven(rows):
            return as_rows([np.ascontiguousarray(row, self.dtype) for row in rows])
        return rows if -1 in self.shape else np.ascontiguousarray(rows, self.dtype)


class _GeneratedArrays(Container):
    def __init__(self, batches: Batches, identity: dict[str, Any]) -> None:
        self._batches = batches
        self._identity = identity
        self.label = batches.label
        self.by_place = batches.by_place

    def keys(self) -> list[str]:
        """List the names of the inputs, or their places where they have none."""
        return self._batches.keys

    def open(self, key: str) -> Unfitted:
        """Open one of the arrays; all are taken from the same batches."""
        if key not in self._batches.keys:
            raise InputError(
                f"{self.label}: no array '{key}'; it gives {list_names(self._batches.keys)}"
            )
        return _Unfitted(self._batches, key, self._identity)
