"""What the statistics of a running model cost, over the sub-graph alone.

The same plan is run in turn: its results are dropped, or taken for statistics. Both read, compute
and hand over alike. Models have random weights and are made here; nothing is downloaded. Takes
about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from turns import ratio, take_turns

from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.run import run_range
from kprobe.pipeline.running.sink import Sink
from kprobe.pipeline.statistics.of_model import gather_model

if TYPE_CHECKING:
    from kprobe.pipeline.running.batches import Computed


class Nowhere(Sink):
    """Takes results, and drops them."""

    committed = 0
    waiting = 0
    taken_bytes = 0

    def take(self, batch: Computed) -> None:
        """See that they are there, as numpy has them."""
        for result in batch.results:
            np.asarray(result)

    def commit_soon(self, rows: int) -> None:
        """Nothing is kept."""

    def finish(self) -> None:
        """Nothing is kept."""

    def __enter__(self) -> Nowhere:
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing is open."""


JOBS = {
    "MobileNetV2, one block": ("MobileNetV2", "block_6_*", 256),
    "MobileNetV2, all relu": ("MobileNetV2", "type:ReLU", 256),
    "MobileNetV2, all": ("MobileNetV2", None, 128),
    "ResNet50, ends of stages": ("ResNet50", "conv?_block?_out", 128),
    "ResNet50, all": ("ResNet50", None, 64),
}


def main() -> None:
    """Run the benchmarks and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="a part of the name of a job")
    options = parser.parse_args()
    for name, (kind, layers, rows) in JOBS.items():
        if options.only in name:
            measure(name, kind, layers, rows, options.rounds)


def measure(name: str, kind: str, layers: str | None, rows: int, rounds: int) -> None:
    """Print what statistics cost over the sub-graph alone."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, kind)(weights=None)
    images = np.random.default_rng(0).random((rows, 224, 224, 3), np.float32)
    with plan_job(make_job(model=model, layers=layers, inputs=images)) as plan:
        times = take_turns(
            rounds,
            {
                "bare": lambda: run_range(plan, Nowhere(), 0, plan.rows),
                "statistics": lambda: gather_model(plan),
            },
        )
        told = f"{len(plan.fetched)} tensors, {plan.row_bytes / 1e6:.1f} MB a sample"
        seconds = ", ".join(f"{key} {statistics.median(each):.2f} s" for key, each in times.items())
        cost = ratio(times["statistics"], times["bare"]) - 1
        print(f"{name}: {told}, {seconds}: {cost:+.1%}", flush=True)


if __name__ == "__main__":
    main()
