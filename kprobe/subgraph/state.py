"""The variables that a sub-graph changes as it runs, and those that hold its seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import tensorflow as tf


class State:
    """Variables set before every batch, so that its results follow from what is asked for.

    Seeds are drawn from `seed` and the batch's first row. Other variables that the sub-graph
    changes begin every batch, or with `stateful` the first one, as they were here.

    Args:
        changing: The variables the sub-graph writes to, of TensorFlow or of Keras.
        seeds: The variables that seeds are read from, each with its number in the model.
        seed: Not negative.
        stateful: Whether what a batch leaves is what the next one finds.
    """

    def __init__(
        self,
        changing: Sequence[tf.Variable],
        seeds: Mapping[int, tf.Variable],
        *,
        seed: int,
        stateful: bool,
    ) -> None:
        self._seeds = seeds
        self._seed = seed
        self._stateful = stateful
        held = {id(variable) for variable in seeds.values()}
        self._changing = [(v, v.numpy().copy()) for v in changing if id(v) not in held]
        self._found = [(variable, variable.numpy().copy()) for variable in seeds.values()]

    def __bool__(self) -> bool:
        return bool(self._seeds or self._changing)

    def begin(self, row: int) -> None:
        """Set the variables for the batch that begins with a row."""
        for number, variable in self._seeds.items():
            variable.assign(_make_seed([self._seed, row, number], variable.shape[0]))
        if row == 0 or not self._stateful:
            _assign(self._changing)

    def end(self) -> None:
        """Put back what the batch changed, but for a state that is to go on."""
        _assign(self._found)
        if not self._stateful:
            _assign(self._changing)

    def restore(self) -> None:
        """Put everything back to how it was at first."""
        _assign([*self._found, *self._changing])


def make_key(seed: int, row: int) -> npt.NDArray[np.uint64]:
    """Make the key of what a batch draws: uint64, shape (1,)."""
    return np.random.SeedSequence([seed, row]).generate_state(1, np.uint64).astype(np.uint64)


def holds_seed(variable: tf.Variable | None) -> bool:
    """Tell whether a variable is the state of keras's SeedGenerator or of a tf.random.Generator."""
    if variable is None:
        return False
    name = variable.name.rpartition("/")[2].partition(":")[0]
    return name in ("seed_generator_state", "StateVar")


def _make_seed(entropy: Sequence[int], size: int) -> npt.NDArray[Any]:
    number = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    if size == 2:  # keras: a seed, and how often it was drawn from
        return np.array([number >> np.uint64(33), 0]).astype(np.int64)
    # tf.random.Generator with Philox: a counter of two numbers, and the key.
    return np.array([0, 0, number]).astype(np.uint64).view(np.int64)


def _assign(values: Sequence[tuple[tf.Variable, npt.NDArray[Any]]]) -> None:
    for variable, value in values:
        variable.assign(value)
