"""What reductions in the graph cost, and how much smaller they make a dump.

    python tests/benchmarks/bench_reduce.py [--rounds 7] [--images 64] [--all]

In turn, of two layers of ResNet50 with random weights, over the same images in memory: a dump of
one value of each sample, for which all up to the layer is computed, too; of `gap`; and of the whole
layer. By processor time `gap` is to cost less than 2 % over the first. With `--all` each other
reduction follows. Loading and tracing isn't timed; what a core does beside hits all alike. Takes
about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from turns import ratio, take_turns_of_processor

from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.run import run

if TYPE_CHECKING:
    from kprobe.pipeline.planning.plan import Plan

LAYERS = ["conv5_block3_out", "conv4_block6_out"]
ONE = "flatten.channels(0)"
OTHERS = [
    *("gmax", "mean", "norm", "flatten", "pool(2,2)", "channels(0:16)", "topk(5)", "argtopk(5)"),
    *("quantiles(0.05,0.5,0.95)", "histogram(64,0,4)", "project(128,0)"),
]


def main() -> None:
    """Run the benchmark and print a line for each candidate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None)
    images = np.random.default_rng(0).uniform(-1, 1, (options.images, 224, 224, 3))
    print(f"load {os.getloadavg()[0]:.1f}, {options.images} images", flush=True)
    chains = [ONE, "gap", *(OTHERS if options.all else [])]
    for layer in LAYERS:
        with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
            plans = {
                chain or "whole": opened.enter_context(
                    plan_job(
                        make_job(
                            model=model,
                            layers=layer,
                            inputs=images.astype("float32"),
                            output=Path(name) / f"{number}.h5",
                            overwrite=True,
                            reduce=chain or (),
                        )
                    )
                )
                for number, chain in enumerate([*chains, ""])
            }
            measure(layer, plans, options.rounds)


def measure(layer: str, plans: dict[str, Plan], rounds: int) -> None:
    """Time the plans of a layer, and print what each costs."""
    candidates = {name: partial(run, plan) for name, plan in plans.items()}
    times, spent = take_turns_of_processor(rounds, candidates)
    for name, plan in plans.items():
        bytes_of = plan.fetched[0].row_bytes
        print(
            f"{layer} {name}: {statistics.median(spent[name]):.2f} s of processors, "
            f"{ratio(spent[name], spent[ONE]) - 1:+.2%} over one value, by the clock "
            f"{ratio(times[name], times[ONE]) - 1:+.2%}; {bytes_of:,} bytes a sample, "
            f"{plans['whole'].fetched[0].row_bytes / bytes_of:g} times less",
            flush=True,
        )


if __name__ == "__main__":
    main()
