"""How near a dump comes to the disk, where there is more to write than to compute.

    python tests/benchmarks/bench_writing.py [--rounds 5] [--directory /where/dumps/go]

VGG16's `block1_conv1` is 12.8 MB a sample; the other model computes nothing. In turn: computing
alone, a bare `pwrite` of as many bytes into a file that was reserved before, the dump, and the
script that people write: `predict`, then h5py. All that write end when the bytes are on the disk.
Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np
from turns import ratio, slowest, take_turns

from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.batches import run_batch
from kprobe.pipeline.running.run import run

if TYPE_CHECKING:
    from kprobe.pipeline.planning.plan import Plan

ROWS = 256


def main() -> None:
    """Run the benchmarks and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    model = keras.applications.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3))
    nothing = keras.Sequential([keras.Input((224, 224, 64)), keras.layers.Identity(name="same")])
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        images = np.random.default_rng(0).integers(0, 256, (ROWS, 224, 224, 3), "uint8")
        bench(Path(name), model, "block1_conv1", images, options.rounds)
        wide = np.random.default_rng(0).random((ROWS, 224, 224, 64), "float32")
        bench(Path(name), nothing, "same", wide, options.rounds)


def bench(
    directory: Path, model: keras.Model, layer: str, samples: np.ndarray, rounds: int
) -> None:
    """Time a dump of one layer against what limits it."""
    source = directory / "samples.npy"
    np.save(source, samples)
    part = keras.Model(model.inputs, model.get_layer(layer).output)
    job = make_job(
        model=model,
        layers=[layer],
        inputs=[str(source)],
        output=directory / "acts.h5",
        overwrite=True,
    )

    def predict() -> None:
        with h5py.File(directory / "predicted.h5", "w") as file:
            file[layer] = part.predict(np.load(source), verbose=0)
        sync(directory / "predicted.h5")

    with plan_job(job) as ready:
        times = take_turns(
            rounds,
            {
                "computing": lambda: compute(ready),
                "pwrite": lambda: write(directory / "bare", ready.bytes),
                "dump": lambda: run(ready),
                "predict": predict,
            },
        )
        size = ready.bytes
    rates = {name: size / statistics.median(values) / 1e9 for name, values in times.items()}
    print(
        f"{model.name} {layer}, {size / 1e9:.1f} GB: {rates['dump']:.2f} GB/s, "
        f"{ratio(slowest(times, 'computing', 'pwrite'), times['dump']):.2f} of the slower of "
        f"computing alone ({rates['computing']:.2f}) and pwrite alone ({rates['pwrite']:.2f}), "
        f"{ratio(times['predict'], times['dump']):.2f} times predict + h5py "
        f"({rates['predict']:.2f})",
        flush=True,
    )
    for name in ("acts.h5", "bare", "predicted.h5"):
        (directory / name).unlink()


def compute(ready: Plan) -> None:
    """Compute the first batch as often as there are batches."""
    batch = ready.samples.peek(ready.batch_size)
    good = np.ones(ready.batch_size, bool)
    for first in range(0, ready.rows, ready.batch_size):
        for result in run_batch(ready, first, dict(batch), good):
            np.asarray(result)


def write(path: Path, size: int) -> None:
    """Write so many bytes to a reserved file, and wait for the disk."""
    path.unlink(missing_ok=True)
    content = np.random.default_rng(0).bytes(16 << 20)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
        for begin in range(0, size, len(content)):
            os.pwrite(file.fileno(), content[: size - begin], begin)
        os.fdatasync(file.fileno())


def sync(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb+") as file:
        os.fdatasync(file.fileno())


if __name__ == "__main__":
    main()
