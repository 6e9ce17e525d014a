"""What computes tensors from a batch, however it does: the part that is always the same."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.errors import ModelError
from kprobe.graph.mode import eagerly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kprobe.graph.state import State
    from kprobe.graph.trace import Trace


class Computation(ABC):
    """What computes some tensors of a model, batch by batch.

    Attributes:
        feeds: The names of the tensors to supply.
        specs: Shape (batch axis first, None) and dtype of each of them.
        batch_size: The only batch size it takes; None if it takes any.
        batch_axes: For some fetches, by number, the axis that is to be made the first. None for
            what is empty, since its loop never runs: an empty row for each sample is given.
        whole: Which fetches, by number, have no axis of samples: they are given one of size 1, and
            the batches must be of one sample.
        lifted: Which fetches, by number, lie in loops, branches or functions.
        weight_bytes: The size of the variables the fetches depend on, in bytes.
        frozen: Whether the variables were turned into constants.
        reproducible: Whether all that it draws at random follows from the seed.
        runs_python: Whether operations of its graph call Python, such as `tf.py_function`.
        trace: What it was cut from; None where the model isn't traced.
    """

    trace: Trace | None = None

    def __init__(
        self, specs: Mapping[str, tf.TensorSpec], *, batch_size: int | None, state: State
    ) -> None:
        self.feeds = list(specs)
        self.specs = list(specs.values())
        self.batch_size = batch_size
        self.batch_axes: dict[int, int | None] = {}
        self.whole: set[int] = set()
        self.lifted: set[int] = set()
        self.weight_bytes = 0
        self.frozen = False
        self.reproducible = True
        self.runs_python = False
        self._state = state

    @property
    def has_state(self) -> bool:
        """Whether something is set before every batch, so that only one can be under way."""
        return bool(self._state)

    @abstractmethod
    def _compute(self, arguments: Sequence[tf.Tensor], row: int) -> list[tf.Tensor]:
        """Compute the fetches from a tensor for each feed."""

    def find_largest(self) -> int | None:
        """Give the bytes of one sample in the largest tensor on the way; None if nobody knows."""
        return None

    def freeze(self) -> bool:
        """Turn the variables into constants where that can be done, and tell whether it was."""
        return self.frozen

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
            ModelError: An operation failed on these values.
            AddressError: The iterations of a loop differ in shape.
        """
        arguments = [
            tf.convert_to_tensor(feeds[name], spec.dtype)
            for name, spec in zip(self.feeds, self.specs, strict=True)
        ]
        whole = self.batch_size
        rows = arguments[0].shape[0] if arguments else 0
        if whole is not None and rows != whole:
            arguments = [pad(argument, whole) for argument in arguments]
        self._state.begin(row)
        try:
            results = self._compute(arguments, row)
        except tf.errors.OpError as error:
            raise ModelError(f"the model failed on a batch: {_shorten(error)}") from error
        finally:
            self._state.end()
        for number, axis in self.batch_axes.items():
            results[number] = _move_to_front(results[number], axis, rows)
        if whole is not None and rows != whole:
            results = [r[:rows] if r.shape[:1] == [whole] else r for r in results]
        return [r[tf.newaxis] if n in self.whole else r for n, r in enumerate(results)]


def _move_to_front(result: tf.Tensor, axis: int | None, rows: int) -> tf.Tensor:
    shape = result.shape.as_list()
    if axis is not None:
        return tf.transpose(result, [axis, *(i for i in range(len(shape)) if i != axis)])
    if 0 not in shape:
        return result
    # [iteration, sample, …]: neither is there. Else the samples have no axis to begin with.
    return tf.zeros([rows, *shape[:1], *shape[2 if shape[1:2] == [0] else 1 :]], result.dtype)


def pad(batch: tf.Tensor, size: int) -> tf.Tensor:
    """Fill a batch up to a size with its last sample."""
    return tf.gather(batch, tf.minimum(tf.range(size), batch.shape[0] - 1))


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
