"""Samples that Python code of the user's gives, batch by batch, as for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kprobe.errors import InputError
from kprobe.inputs.python.given_batches import Batches
from kprobe.inputs.python.user_code import find_callable, hash_place
from kprobe.inputs.sources.container import Container
from kprobe.inputs.sources.source import Source, Unfitted
from kprobe.inputs.sources.uneven import as_rows, is_uneven
from kprobe.naming import list_names

if TYPE_CHECKING:
    from kprobe.image_options import ImageOptions
    from kprobe.inputs.sources.model_input import ModelInput


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
