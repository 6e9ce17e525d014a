"""What is known of a result: learnt once, and the same from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from kprobe.compat.eager_mode import eagerly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from kprobe.engines.engine import Engine


@dataclass(frozen=True, eq=False)
class FetchSpec:
    """What is known of a tensor that is computed, batch by batch.

    Attributes:
        address: The address that it was asked for by.
        tensor: The tensor of the trace.
        dtype: What it is given as.
        axis: Its axis of samples. None where it has none: it belongs to the batch as a whole; or
            where it is always empty, since its loop never runs.
        whole: Whether it belongs to the batch as a whole. Such a batch is of one sample, and the
            tensor is its row.
    """

    address: str
    tensor: tf.Tensor
    dtype: tf.DType
    axis: int | None = 0
    whole: bool = False

    def arrange(self, result: tf.Tensor, rows: int) -> tf.Tensor:
        """Put the axis of samples in front.

        Args:
            result: The tensor, as the model has it.
            rows: How many samples it is of.
        """
        if self.whole:
            return result[tf.newaxis]
        if self.axis == 0:
            return result
        shape = result.shape.as_list()
        if self.axis is not None:
            others = (place for place in range(len(shape)) if place != self.axis)
            return tf.transpose(result, [self.axis, *others])
        if 0 not in shape:
            return result
        # [iteration, sample, …]: neither is there. Else the samples have no axis to begin with.
        kept = shape[2 if shape[1:2] == [0] else 1 :]
        return tf.zeros([rows, *shape[:1], *kept], result.dtype)


@dataclass(frozen=True, eq=False)
class Computation:
    """What computes rows: an engine, and what is known of each of its results.

    Attributes:
        engine: What runs the sub-graph.
        fetches: What is known of its results, in their order.
    """

    engine: Engine
    fetches: Sequence[FetchSpec]

    @eagerly
    def __call__(self, feeds: Mapping[str, Any], row: int = 0) -> list[tf.Tensor]:
        """Compute a batch, as `Engine` does; each result has a row for each sample."""
        results = self.engine(feeds, row)
        rows = len(feeds[self.engine.feeds[0]]) if self.engine.feeds else 0
        return [
            spec.arrange(result, rows) for spec, result in zip(self.fetches, results, strict=True)
        ]

    def restore(self) -> None:
        """Give the model's variables the values they had at first."""
        self.engine.restore()
