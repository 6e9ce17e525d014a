"""What runs a sub-graph, batch by batch: the part that every engine has."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.errors import Hint, InputError, ModelError, Setting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from kprobe.subgraph.state import State
    from kprobe.trace.trace import Trace


@dataclass(frozen=True, eq=False)
class FetchSpec:
    """A tensor that an engine gives.

    Attributes:
        address: The address that it was asked for by, which errors name.
        tensor: The tensor of the trace.
        dtype: What it is given as; None for its own.
        own: Whether it is given as computed where it is fed.
    """

    address: str
    tensor: tf.Tensor
    dtype: tf.DType | None = None
    own: bool = False


class Engine(ABC):
    """What gives some tensors of a model, as the model has them.

    Attributes:
        fetches: The tensors that it gives, in their order.
        feeds: The names of the tensors to supply.
        specs: Shape (batch axis first, None) and dtype of each of them.
        batch_size: The only batch size it takes; None if it takes any.
        lifted: Which fetches, by number, lie in loops, branches or functions.
        frozen: Whether the variables were turned into constants.
        reproducible: Whether all that it draws at random follows from the seed.
        runs_python: Whether operations of its graph call Python, such as `tf.py_function`.
        trace: What it was cut from; None where the model isn't traced.
        replaced: The names of the tensors on the way whose values are replaced.
    """

    trace: Trace | None = None
    lifted: frozenset[int] = frozenset()
    frozen: bool = False
    reproducible: bool = True
    runs_python: bool = False
    replaced: Sequence[str] = ()

    def __init__(
        self,
        fetches: Sequence[FetchSpec],
        specs: Mapping[str, tf.TensorSpec],
        *,
        batch_size: int | None,
        state: State,
    ) -> None:
        self.fetches = fetches
        self.feeds = list(specs)
        self.specs = list(specs.values())
        self.batch_size = batch_size
        self._state = state
        self._overflows = np.zeros(len(fetches), np.int64)
        self._counting = threading.Lock()

    @property
    def has_state(self) -> bool:
        """Whether something is set before every batch, so that only one can be under way."""
        return bool(self._state)

    @property
    def overflows(self) -> npt.NDArray[np.int64]:
        """How many values of each fetch became infinite, in all runs, in what it is given as."""
        with self._counting:
            return self._overflows.copy()

    def tell_overflows(self, before: npt.NDArray[np.int64]) -> dict[str, int]:
        """Give by its address how many more values of a fetch became infinite; only where any."""
        more = (self.overflows - before).tolist()
        pairs = zip(self.fetches, more, strict=True)
        return {fetch.address: number for fetch, number in pairs if number}

    @abstractmethod
    def _compute(self, arguments: Sequence[tf.Tensor], row: int) -> list[tf.Tensor]:
        """Compute the fetches from a tensor for each feed, and give them to `cast`."""

    def find_largest(self) -> int | None:
        """Give the bytes of one sample in the largest tensor on the way; None if nobody knows."""
        return None

    @eagerly
    def restore(self) -> None:
        """Give the model's variables the values they had at first."""
        self._state.restore()

    @eagerly
    def __call__(self, feeds: Mapping[str, Any], row: int = 0) -> list[tf.Tensor]:
        """Compute the fetches, in their order.

        Args:
            feeds: An array or tensor for each name in `self.feeds`; others are ignored.
            row: The number of the batch's first sample: random numbers follow from it, and at 0
                a state that is carried on begins anew.

        Returns:
            A tensor for each fetch, on the device it was computed on.

        Raises:
            InputError: The model takes batches of another size only.
            ModelError: An operation failed on these values.
            AddressError: The iterations of a loop differ in shape.
        """
        arguments = [
            tf.convert_to_tensor(feeds[name], spec.dtype)
            for name, spec in zip(self.feeds, self.specs, strict=True)
        ]
        if self.batch_size is not None:
            for argument in arguments:
                if argument.shape[0] != self.batch_size:
                    raise InputError(
                        f"the model takes batches of {self.batch_size} samples only, received "
                        f"{argument.shape[0]}"
                    )
        self._state.begin(row)
        try:
            results = self._compute(arguments, row)
        except tf.errors.OpError as error:
            raise ModelError(
                f"the model failed on a batch: {_shorten(error)}", hint=_suggest(error)
            ) from error
        finally:
            self._state.end()
        if len(results) > len(self.fetches):
            *results, counts = results
            with self._counting:
                self._overflows += counts.numpy()
        return results


def cast(results: Sequence[tf.Tensor], fetches: Sequence[FetchSpec]) -> list[tf.Tensor]:
    """Give results as what they are given as.

    Where that holds no numbers as large as some of theirs, the last tensor says how many values of
    each became infinite: int64, of shape (fetches,).
    """
    given = [
        result if fetch.dtype is None else tf.cast(result, fetch.dtype)
        for result, fetch in zip(results, fetches, strict=True)
    ]
    pairs = [*zip(results, given, strict=True)]
    if not any(_narrows(*pair) for pair in pairs):
        return given
    counts = [_count_overflows(*pair) if _narrows(*pair) else _none() for pair in pairs]
    return [*given, tf.stack(counts)]


def _narrows(before: tf.Tensor, after: tf.Tensor) -> bool:
    """Tell whether a number may become infinite."""
    floating = before.dtype.is_floating and before.dtype != after.dtype
    return floating and float(before.dtype.max) > float(after.dtype.max)


def _count_overflows(before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    # Two reads of half the bytes tell nearly always that there are none: a tenth of counting.
    finite = tf.logical_and(tf.reduce_max(after) < np.inf, tf.reduce_min(after) > -np.inf)

    def count() -> tf.Tensor:
        became = tf.logical_and(tf.math.is_inf(after), tf.math.is_finite(before))
        return tf.math.count_nonzero(became)

    return tf.cond(finite, _none, count)


def _none() -> tf.Tensor:
    return tf.constant(0, tf.int64)


def _suggest(error: tf.errors.OpError) -> Hint | str | None:
    """Say what to do where an operation runs on a GPU only, or has nothing to look up in."""
    if "Table not initialized" in error.message:
        return (
            "a layer of it has no vocabulary; HDF5 keeps none that was adapted or read: save the "
            "model as .keras"
        )
    if "No OpKernel was registered to support Op 'Cudnn" not in error.message:
        return None
    return Hint(
        "CuDNNLSTM and CuDNNGRU run on a GPU only: give the model as code, with LSTM (of "
        'recurrent_activation="sigmoid") or GRU in their place, and this file as ',
        Setting("weights", "FILE"),
    )


def _shorten(error: tf.errors.OpError) -> str:
    """The line of TensorFlow's message that says what was wrong, and where."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    told = [
        line
        for line in lines
        if not line.startswith(("Graph execution error", "Detected at", "<stack", "[[", "File"))
    ]
    node = re.search(r"node ([\w./\-]+)", error.message)
    where = f" (at {node[1]})" if node else ""
    return str((told or lines or [type(error).__name__])[0]) + where
