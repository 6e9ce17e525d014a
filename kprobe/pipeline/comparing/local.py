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
        for rows in local.run(batch_a, batch_b, first):
            ...  # rows.pair, rows.a and rows.b, rows.own_a and rows.own_b
    local.restore()

A run gives the plain values of both sides as well, so that nothing has to be computed a second time
for running differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from kprobe.engines.results import Computation
    from kprobe.session.session import Session

# What the values of a group of layers may take, in bytes, on both sides together. As much again is
# left to what TensorFlow and those who compare need.
MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class LocalSide:
    """One side of a comparison.

    Attributes:
        session: The model, with its feeds, as it is to be computed.
        computation: What computes its rows: of it the fetches, the axes of samples and whether it
            is frozen are used.
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

    reasons: Mapping[int, str]
    notes: Sequence[str]

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
        """
        raise NotImplementedError

    def run(
        self, feeds_a: Mapping[str, Any], feeds_b: Mapping[str, Any], row: int = 0
    ) -> Iterator[LocalRows]:
        """Compute a batch.

        Args:
            feeds_a: By name an array for each input of A, batch axis first.
            feeds_b: The same for B.
            row: The number of the batch's first sample.

        Yields:
            For each pair its rows, group by group in the order in which B computes them. Arrays
            are to be used up before the next group begins, or memory grows.

        Raises:
            ModelError: A model fails on these values.
        """
        raise NotImplementedError

    def check_closure(
        self, feeds_a: Mapping[str, Any], feeds_b: Mapping[str, Any]
    ) -> Mapping[int, str]:
        """Tell which layers of B don't give equal bits when B is fed with its own values.

        Where A doesn't, either, it is computed from its own values as B is from then on.

        Args:
            feeds_a: A batch of A's inputs.
            feeds_b: The same samples for B.

        Returns:
            By the number of each such pair its address in B. Nothing is to be said of these.
        """
        raise NotImplementedError

    def restore(self) -> None:
        """Give the variables of both models the values they had at first."""
        raise NotImplementedError
