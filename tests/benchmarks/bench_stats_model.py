"""What the statistics of a running model cost, over the sub-graph alone.

The same plan is run in turn: its results are dropped; each value is read once, which is the least
that anything can do with it; or they are taken for statistics. All read, compute and hand over
alike. Both cores compute, so what counts is the time of processors, of all threads; seconds on the
clock are told beside it, and mean little where others use the machine. Models have random weights
and are made here; nothing is downloaded. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from turns import Times, ratio, take_turns

from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.beside import Beside
from kprobe.pipeline.running.run import run_range
from kprobe.pipeline.running.sink import Sink
from kprobe.pipeline.statistics.of_model import gather_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from kprobe.pipeline.planning.plan import Plan
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


class Reading(Nowhere):
    """Reads each value once, while the next batch is computed, as statistics are taken."""

    def __init__(self) -> None:
        self._beside = Beside()

    def take(self, batch: Computed) -> None:
        """Begin to read the batch, when the one before is read."""
        arrays = [np.asarray(result) for result in batch.results]
        self._beside.begin([(array.nbytes, functools.partial(read, array)) for array in arrays])

    def __exit__(self, *exception: Any) -> None:
        """End the threads."""
        self._beside.wait()
        self._beside.close()


def read(array: Any) -> None:
    """Read an array, as fast as numpy does."""
    np.bitwise_or.reduce(array.reshape(-1)[: array.size // 2 * 2].view(np.uint64))


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
        candidates = {
            "bare": lambda: run_range(plan, Nowhere(), 0, plan.rows),
            "read": lambda: run_in(Reading(), plan),
            "statistics": lambda: gather_model(plan),
        }
        seconds, processors = take_turns_twice(rounds, candidates)
        print(f"{name}: {len(plan.fetched)} tensors, {plan.row_bytes / 1e6:.1f} MB a sample")
        for key in candidates:
            ours = processors[key]
            cost = ratio(ours, processors["bare"]) - 1
            clock = ratio(seconds[key], seconds["bare"]) - 1
            print(
                f"  {key}: {statistics.median(ours):.2f} s of processors, {cost:+.1%}; "
                f"{statistics.median(seconds[key]):.2f} s on the clock, {clock:+.1%}",
                flush=True,
            )


def run_in(sink: Sink, plan: Plan) -> None:
    """Run a plan into a sink."""
    with sink:
        run_range(plan, sink, 0, plan.rows)


def take_turns_twice(rounds: int, candidates: dict[str, Any]) -> tuple[Times, Times]:
    """Time candidates in turn: by the clock, and by processors."""
    processors: Times = {name: [] for name in candidates}

    def noting(name: str) -> Callable[[], None]:
        def run() -> None:
            began = time.process_time()
            candidates[name]()
            processors[name].append(time.process_time() - began)

        return run

    seconds = take_turns(rounds, {name: noting(name) for name in candidates})
    # The first round doesn't count.
    return seconds, {name: each[1:] for name, each in processors.items()}


if __name__ == "__main__":
    main()
