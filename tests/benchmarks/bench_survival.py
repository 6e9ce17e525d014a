"""What it costs that a run may be killed: committing as it goes, and going on.

    python tests/benchmarks/bench_survival.py [--rounds 5] [--directory /where/dumps/go]

Commits: a dump that computes most of its time, and one that writes, each with its commits and with
none but the last, in turn; and for how long the disk was waited for, in a thread of its own.
Resuming: from the moment the model's file is loaded until computing begins, and until the first
batch is there, of a run that had done half.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from turns import ratio, take_turns

import kprobe.pipeline.planning.plan_job as planning
import kprobe.pipeline.running.run as running
from kprobe.dumps.writing.write_threads import WriteThreads
from kprobe.errors import StoppedError
from kprobe.models.spec import ModelSpec
from kprobe.pipeline.planning.job import Job, make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.run import run

if TYPE_CHECKING:
    from kprobe.pipeline.running.progress import Progress

COMMITS = {
    # So many that several commits fall due.
    ("MobileNetV2", "block_13_expand_relu"): 2048,
    ("VGG16", "block1_conv1"): 512,
}
RESUMED = {"MobileNetV2": "block_13_expand_relu", "ResNet50": "conv4_block6_out"}


def main() -> None:
    """Run the benchmarks and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        for (model, layer), rows in COMMITS.items():
            bench_commits(describe(Path(name), model, layer, rows), options.rounds)
        for model, layer in RESUMED.items():
            job = describe(Path(name), model, layer, 512)
            file = Path(name) / f"{model}.keras"
            job.model.model.save(file)
            bench_resuming(replace(job, model=ModelSpec(model=file)), options.rounds)


def describe(directory: Path, name: str, layer: str, rows: int) -> Job:
    """Make a dump's job, of uint8 images in a file."""
    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None)
    images = np.random.default_rng(0).integers(0, 256, (rows, 224, 224, 3), "uint8")
    np.save(directory / "images.npy", images)
    return make_job(
        model=model,
        layers=[layer],
        inputs=[f"{directory}/images.npy"],
        output=directory / "acts.h5",
        overwrite=True,
    )


def bench_commits(job: Job, rounds: int) -> None:
    """Time a run with its commits, and with none but the last."""
    usual = running._COMMIT_SECONDS, running._COMMIT_BYTES
    waits: list[float] = []
    waiting: list[float] = []
    sync = WriteThreads.sync

    def sync_and_time(writes: WriteThreads) -> None:
        began = time.perf_counter()
        sync(writes)
        waiting.append(time.perf_counter() - began)

    def run_with() -> None:
        waiting.clear()
        run(ready)
        waits.append(sum(waiting))

    def run_without() -> None:
        running._COMMIT_SECONDS = running._COMMIT_BYTES = math.inf
        try:
            run(ready)
        finally:
            running._COMMIT_SECONDS, running._COMMIT_BYTES = usual

    WriteThreads.sync = sync_and_time
    try:
        with plan_job(job) as ready:
            times = take_turns(rounds, {"with": run_with, "without": run_without})
            size = ready.bytes
    finally:
        WriteThreads.sync = sync
    job.output.path.unlink()
    share = ratio(waits[1:], times["with"])
    print(
        f"{job.model.name} {job.selection.layers[0]}, {size / 1e9:.1f} GB: "
        f"{statistics.median(times['with']):.1f} s with commits, "
        f"{ratio(times['with'], times['without']):.3f} of the time without; they waited for the "
        f"disk in {share:.1%} of it",
        flush=True,
    )


def bench_resuming(job: Job, rounds: int) -> None:
    """Time from the loaded model until there is more than an earlier run left."""

    def stop(progress: Progress) -> None:
        if progress.rows >= 256:
            raise StoppedError("half of it is done")

    def measure(job: Job) -> tuple[float, float]:
        moments: list[float] = []
        load = planning.load

        def load_and_look(*arguments: Any) -> Any:
            model = load(*arguments)
            moments.append(time.perf_counter())
            return model

        def watch(progress: Progress) -> None:
            if len(moments) == 1 or progress.rows > progress.resumed:
                moments.append(time.perf_counter())
            if progress.rows > progress.resumed:
                raise StoppedError("that is all")

        planning.load = load_and_look
        try:
            with suppress(StoppedError), plan_job(job) as ready:
                run(ready, watch)
        finally:
            planning.load = load
        loaded, begun, there = moments
        return begun - loaded, there - loaded

    resumed, anew = [], []
    for _ in range(rounds):
        with suppress(StoppedError), plan_job(job) as ready:
            run(ready, stop)
        resumed.append(
            measure(replace(job, output=replace(job.output, resume=True, overwrite=False)))
        )
        anew.append(measure(job))
    for file in job.output.path.parent.glob("acts.h5*"):
        file.unlink()
    told = [
        [statistics.median(each) for each in zip(*times, strict=True)] for times in (resumed, anew)
    ]
    print(
        f"{job.model.name} {job.selection.layers[0]}: from the loaded model it takes a resumed run "
        "{:.1f} s until it computes, {:.1f} s until the first batch is there; a new one {:.1f} and "
        "{:.1f} s".format(*told[0], *told[1]),
        flush=True,
    )


if __name__ == "__main__":
    main()
