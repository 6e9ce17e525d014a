"""Local errors: each layer of B computed from what A has before it, in one run of B.

What a layer of B makes of A's values is compared with what A's layer makes of the same values, so
an error shows in the layer where it is born, and not in those behind it.

    local = LocalErrors(
        LocalSide(session_a, plan_a.computation),
        LocalSide(session_b, plan_b.computation),
        [LocalPair(a, b, row_bytes) for each matched pair],
        batch_size=plan_b.batch_size,
    )
    unequal = local.check_closure(batch_a, batch_b)    # once, on the first batch
    for first, (batch_a, batch_b) in batches:
        for group in local.run(batch_a, batch_b, first):
            for rows in group:
                ...  # rows.pair, rows.a and rows.b, rows.own_a and rows.own_b
    local.restore()

A run gives the plain values of both sides as well, so that nothing has to be computed a second time
for running differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kprobe.compat.eager_mode import eagerly
from kprobe.pipeline.comparing.layer_runs import LayerRuns, has_equal_bits, to_array
from kprobe.pipeline.comparing.locality import compare_shapes, find_reason, note_masks, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from kprobe.engines.results import Computation
    from kprobe.session.session import Session

# What the values of a group of layers may take, in bytes, on both sides together. As much is in the
# group before, which is compared meanwhile, and as much again is left to what TensorFlow needs.
MEMORY_BYTES = 1 << 29


@dataclass(frozen=True, eq=False)
class LocalSide:
    """One side of a comparison.

    Attributes:
        session: The model, with its feeds, as it is to be computed.
        computation: What computes its rows: of it the fetches and the axes of samples are used.
    """

    session: Session
    computation: Computation


@dataclass(frozen=True)
class LocalPair:
    """Two matched tensors.

    Attributes:
        a: The number of A's among the fetches of its computation.
        b: The number of B's.
        row_bytes: The bytes of one sample, of the larger of the two.
        transpose: How the axes of A's rows become those of B's, as `numpy.transpose` takes it, the
            axis of samples included: (0, 3, 1, 2) where A is NHWC and B NCHW. None where they are
            the same.
    """

    a: int
    b: int
    row_bytes: int = 0
    transpose: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class LocalRows:
    """What a batch gives for a pair; arrays have a row for each sample, bfloat16 is float32.

    Attributes:
        pair: The pair's number.
        a: A's value, computed from the samples.
        b: B's, in its own axes.
        own_a: What A's layer makes of A's values before it, rounded to B's dtypes, in the axes of
            `b`. None where there is no local error, as `LocalErrors.reasons` says.
        own_b: What B's layer makes of the same.
    """

    pair: int
    a: npt.NDArray[Any]
    b: npt.NDArray[Any]
    own_a: npt.NDArray[Any] | None = None
    own_b: npt.NDArray[Any] | None = None


class LocalErrors:
    """What gives, batch by batch, the values that local errors are made from.

    Layers are computed in groups of consecutive ones, so that memory stays bounded, whatever the
    models hold; a group takes the values of earlier ones as they are, so that no layer is computed
    twice.

    Attributes:
        reasons: By the number of a pair, why there is no local error of it.
        notes: What should be said beside local errors, a line each.
    """

    def __init__(
        self,
        a: LocalSide,
        b: LocalSide,
        pairs: Sequence[LocalPair],
        *,
        batch_size: int,
        memory: int = MEMORY_BYTES,
    ) -> None:
        """Prepare the groups.

        Args:
            a: The side whose values are taken.
            b: The side whose layers are looked at.
            pairs: The matched tensors.
            batch_size: In samples, the most that a batch has.
            memory: What the values of a group may take, in bytes.

        Raises:
            ModelError: A side can't be taken apart in bfloat16.
        """
        self._pairs = pairs
        # Of each pair the two tensors, and where their samples are.
        one = [a.computation.engine.fetches[pair.a] for pair in pairs]
        other = [b.computation.engine.fetches[pair.b] for pair in pairs]
        self.reasons: Mapping[int, str] = {
            number: reason
            for number, (pair, first, second) in enumerate(zip(pairs, one, other, strict=True))
            if (reason := find_reason((a.session, first), (b.session, second)))
            or (
                pair.transpose is None
                and a.computation.axes[pair.a].place == b.computation.axes[pair.b].place
                and (reason := compare_shapes(first.tensor, second.tensor))
            )
        }
        self.notes: Sequence[str] = note_masks(b.session)
        self._addresses = [fetch.address for fetch in other]
        order = _find_order(b.session, [fetch.tensor for fetch in other])
        session_a, one = prepare(a.session, one)
        session_b, other = prepare(b.session, other)
        self._dtypes = [fetch.tensor.dtype for fetch in other]
        # What was rounded on its way to B is computed from on A, too.
        self._serves = all(
            first.tensor.dtype == second.tensor.dtype
            for number, (first, second) in enumerate(zip(one, other, strict=True))
            if number not in self.reasons
        )
        self._a, self._b = (
            LayerRuns(
                session,
                fetches,
                [side.computation.axes[number] for number in numbers],
                self.reasons.keys(),
            )
            for side, session, fetches, numbers in (
                (a, session_a, one, [pair.a for pair in pairs]),
                (b, session_b, other, [pair.b for pair in pairs]),
            )
        )
        self._group(order, batch_size, memory)

    def _group(self, order: list[int], batch_size: int, memory: int) -> None:
        """Put consecutive layers together, as many as memory holds of a batch."""
        copies = 3 if self._serves else 5
        groups: list[list[int]] = [[]]
        used = 0
        for number in order:
            needed = self._pairs[number].row_bytes * batch_size * copies
            if groups[-1] and used + needed > memory:
                groups.append([])
                used = 0
            groups[-1].append(number)
            used += needed
        # What is random follows from what ran before, in the same graph.
        if len(groups) > 1 and (self._a.has_state or self._b.has_state):
            groups = [order]
        self._a.regroup(groups)
        self._b.regroup(groups)

    def run(
        self, feeds_a: Mapping[str, Any], feeds_b: Mapping[str, Any], row: int = 0
    ) -> Iterator[Sequence[LocalRows]]:
        """Compute a batch.

        Args:
            feeds_a: By name an array for each input of A, batch axis first.
            feeds_b: The same for B.
            row: The number of the batch's first sample.

        Yields:
            The rows of each pair of a group, in the order in which B computes them. Not more than
            one group is to be kept while the next one is computed, or memory grows.

        Raises:
            ModelError: A model fails on these values.
        """
        rows = len(next(iter(feeds_b.values()), ()))
        of_a: dict[int, tf.Tensor] = {}
        of_b: dict[int, tf.Tensor] = {}
        for group, numbers in enumerate(self._b.groups):
            of_a |= self._a.run(group, feeds_a, of_a, row)
            of_b |= self._b.run(group, feeds_b, of_b, row)
            local_a, local_b = self._run_locally(group, feeds_a, feeds_b, of_a, rows, row)
            yield [
                self._give(number, rows, of_a[number], of_b[number], local_a, local_b)
                for number in numbers
            ]
            # Not held while the next group is computed.
            del local_a, local_b
            self._forget(group, of_a, of_b)

    def _give(
        self,
        number: int,
        rows: int,
        a: tf.Tensor,
        b: tf.Tensor,
        local_a: Mapping[int, tf.Tensor],
        local_b: Mapping[int, tf.Tensor],
    ) -> LocalRows:
        """Give the rows of a pair."""
        plain_a = to_array(self._a.put_rows(number, a, rows))
        plain_b = to_array(self._b.put_rows(number, b, rows))
        if number not in local_b:
            return LocalRows(number, plain_a, plain_b)
        own_a = to_array(self._a.put_rows(number, local_a[number], rows))
        transpose = self._pairs[number].transpose
        own_a = own_a if transpose is None else own_a.transpose(transpose)
        own_b = to_array(self._b.put_rows(number, local_b[number], rows))
        return LocalRows(number, plain_a, plain_b, own_a, own_b)

    def _run_locally(
        self,
        group: int,
        feeds_a: Mapping[str, Any],
        feeds_b: Mapping[str, Any],
        of_a: Mapping[int, tf.Tensor],
        rows: int,
        row: int,
    ) -> tuple[Mapping[int, tf.Tensor], Mapping[int, tf.Tensor]]:
        """Compute each layer of a group from A's values, on A and on B."""

        def give(number: int) -> tf.Tensor:
            return self._hand_over(number, of_a[number], rows)

        def give_back(number: int) -> tf.Tensor:
            dtype = self._dtypes[number]
            return _round(of_a[number], dtype)

        local_b = self._b.run_locally(group, feeds_b, give, row)
        if self._serves:
            return of_a, local_b
        return self._a.run_locally(group, feeds_a, give_back, row), local_b

    def _hand_over(self, number: int, tensor: tf.Tensor, rows: int) -> tf.Tensor:
        """Give A's value of a pair as B has it."""
        value = self._a.put_rows(number, tensor, rows)
        transpose = self._pairs[number].transpose
        return self._b.put_back(number, value if transpose is None else _turn(value, transpose))

    def _forget(self, group: int, of_a: dict[int, tf.Tensor], of_b: dict[int, tf.Tensor]) -> None:
        """Leave what no later group takes."""
        kept_a: set[int] = set()
        kept_b: set[int] = set()
        for later in range(group + 1, len(self._b.groups)):
            kept_a |= self._a.list_used(later, local=False) | self._b.list_used(later, local=True)
            if not self._serves:
                kept_a |= self._a.list_used(later, local=True)
            kept_b |= self._b.list_used(later, local=False)
        for values, kept in ((of_a, kept_a), (of_b, kept_b)):
            for number in values.keys() - kept:
                del values[number]

    def check_closure(
        self, feeds_a: Mapping[str, Any], feeds_b: Mapping[str, Any]
    ) -> Mapping[int, str]:
        """Tell which layers of B don't give equal bits when B is fed with its own values.

        Where one of A doesn't, A is computed from its own values as B is, from then on.

        Args:
            feeds_a: A batch of A's inputs.
            feeds_b: The same samples for B.

        Returns:
            By the number of each such pair its address in B. Nothing is to be said of these.
        """
        if self._serves and _find_unequal(self._a, feeds_a):
            self._serves = False
        return {number: self._addresses[number] for number in _find_unequal(self._b, feeds_b)}

    def restore(self) -> None:
        """Give the variables of both models the values they had at first."""
        self._a.restore()
        self._b.restore()


def _find_order(session: Session, tensors: Sequence[tf.Tensor]) -> list[int]:
    """Give the numbers of tensors in the order in which a model computes them."""
    numbers = list(range(len(tensors)))
    if not session.compute.eager:
        numbers.sort(key=lambda number: session.traced.find_place(tensors[number]))
    return numbers


def _find_unequal(runs: LayerRuns, feeds: Mapping[str, Any]) -> list[int]:
    """Give the pairs that have other bits where a side is fed with its own values."""
    unequal = []
    values: dict[int, tf.Tensor] = {}
    for group, numbers in enumerate(runs.groups):
        values |= runs.run(group, feeds, values, 0)
        again = runs.run_locally(group, feeds, values.__getitem__, 0)
        unequal += [n for n, tensor in again.items() if not has_equal_bits(values[n], tensor)]
        later = range(group + 1, len(runs.groups))
        kept = {n for g in later for local in (True, False) for n in runs.list_used(g, local=local)}
        for number in set(numbers) - kept:
            del values[number]
    return unequal


@eagerly
def _round(tensor: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Round to a dtype; the result has the tensor's own."""
    return tf.cast(tf.cast(tensor, dtype), tensor.dtype)


@eagerly
def _turn(tensor: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    return tf.transpose(tensor, axes)
