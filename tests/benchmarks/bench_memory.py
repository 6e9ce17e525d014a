"""How much memory a dump takes: after many samples, and with many layers.

    python tests/benchmarks/bench_memory.py

Resident memory of a process of its own: of `digits_cnn` after 100,000 samples against that after
1,000; of VGG16 with 40 fetches, at its peak, against that before the plan was made, which is the
model and TensorFlow.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import TYPE_CHECKING

import numpy as np

from kprobe.cli.freed_memory import keep_memory
from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.run import run

if TYPE_CHECKING:
    from kprobe.pipeline.running.progress import Progress

MODELS = Path(__file__).parents[2] / "sample_models"
MIB = 1 << 20


def main() -> None:
    """Run each measurement in a process of its own."""
    if len(sys.argv) > 1:
        keep_memory()  # as the command line does
        with tempfile.TemporaryDirectory() as name:
            {"samples": measure_samples, "layers": measure_layers}[sys.argv[1]](Path(name))
        return
    for what in ("samples", "layers"):
        subprocess.run([sys.executable, __file__, what], check=True)


def measure_samples(directory: Path) -> None:
    """Dump every layer of a small model for many samples."""
    digits = np.load(MODELS / "digits.npz")
    scans = next(iter(digits.values()))
    rows = 100_000
    np.save(directory / "scans.npy", np.resize(scans, (rows, *scans.shape[1:])))
    resident: dict[int, int] = {}

    def watch(progress: Progress) -> None:
        for mark in (1_000, rows):
            if progress.rows >= mark and mark not in resident:
                resident[mark] = read_resident()

    job = make_job(
        model=str(MODELS / "digits_cnn.keras"),
        layers=None,
        inputs=[f"{directory}/scans.npy"],
        output=directory / "acts.h5",
    )
    with plan_job(job) as ready:
        run(ready, watch)
    few, many = resident.values()
    print(
        f"digits_cnn, all layers: {few / MIB:.0f} MiB after 1,000 samples, "
        f"{(many - few) / MIB:+.0f} MiB after {rows:,}"
    )


def measure_layers(directory: Path) -> None:
    """Dump 40 tensors of a large model at once."""
    import keras

    model = keras.applications.VGG16(weights=None)
    layers = [layer.name for layer in model.layers if layer.name != "flatten"]
    convolutions = [name for name in layers if "conv" in name]
    layers += [f"{name}//BiasAdd" for name in convolutions]
    layers += [f"{name}//convolution" for name in convolutions]
    layers = layers[:40]
    np.save(directory / "images.npy", np.zeros((64, 224, 224, 3), "uint8"))
    before = read_resident()
    peak = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], read_resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    job = make_job(
        model=model,
        layers=layers,
        inputs=[f"{directory}/images.npy"],
        output=directory / "acts.h5",
    )
    try:
        with plan_job(job) as ready:
            planned = peak[0]
            run(ready)
            batch = ready.row_bytes * ready.batch_size
            size = ready.batch_size
    finally:
        done.set()
        watcher.join()
    whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"VGG16, {len(layers)} tensors, batches of {size} ({batch / MIB:.0f} MiB): model and "
        f"TensorFlow {before / MIB:.0f} MiB, at the peak {(peak[0] - before) / MIB:+.0f} MiB "
        f"({(planned - before) / MIB:+.0f} until the plan was made), which is "
        f"{(peak[0] - before - 4 * batch) / MIB:+.0f} MiB beside 4 batches; most of all "
        f"{whole / MIB:.0f} MiB"
    )


def read_resident() -> int:
    """Give this process's resident memory, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


if __name__ == "__main__":
    main()
