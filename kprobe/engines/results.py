"""From the results of an engine to rows: where the samples are is learnt once, and kept."""

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
class SampleAxis:
    """Where in a result, as the model has it, the samples are.

    Attributes:
        place: The axis. None where there is none: the result is always empty, since its loop never
            runs; or it is stored whole.
        whole: Whether it is stored whole: the batch is of one sample, and the tensor is its row.
    """

    place: int | None = 0
    whole: bool = False

    def put_first(self, result: tf.Tensor, rows: int) -> tf.Tensor:
        """Put the axis of samples in front.

        Args:
            result: The tensor, as the model has it.
            rows: How many samples it is of.
        """
        if self.whole:
            return result[tf.newaxis]
        if self.place == 0:
            return result
        shape = result.shape.as_list()
        if self.place is not None:
            others = (place for place in range(len(shape)) if place != self.place)
            return tf.transpose(result, [self.place, *others])
        if 0 not in shape:
            return result
        # [iteration, sample, …]: neither is there. Else the samples have no axis to begin with.
        kept = shape[2 if shape[1:2] == [0] else 1 :]
        return tf.zeros([rows, *shape[:1], *kept], result.dtype)


@dataclass(frozen=True, eq=False)
class Computation:
    """What computes rows: an engine, and where in each of its results the samples are.

    Attributes:
        engine: What runs the sub-graph.
        axes: The axis of samples of each of its results, in their order.
    """

    engine: Engine
    axes: Sequence[SampleAxis]

    @eagerly
    def __call__(self, feeds: Mapping[str, Any], row: int = 0) -> list[tf.Tensor]:
        """Compute a batch, as `Engine` does; each result has a row for each sample."""
        results = self.engine(feeds, row)
        rows = len(feeds[self.engine.feeds[0]]) if self.engine.feeds else 0
        return [
            axis.put_first(result, rows) for axis, result in zip(self.axes, results, strict=True)
        ]

    def restore(self) -> None:
        """Give the model's variables the values they had at first."""
        self.engine.restore()
