"""How fast images that lie in one file are read, beside the file's bare bytes.

    python tests/benchmarks/bench_reading.py [ROUNDS]

1,024 images of (224, 224, 3), uint8, in batches of 32, from the system's memory.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from turns import ratio, take_turns

from kprobe.inputs import ModelInput, SampleSpec, open_samples

IMAGE = ModelInput("image", (None, 224, 224, 3), "float32")
ROWS = 1024
BATCH = 32


def write_images(folder: Path) -> list[Path]:
    images = np.random.default_rng(0).integers(0, 256, (ROWS, 224, 224, 3), "uint8")
    np.save(folder / "images.npy", images)
    np.savez(folder / "images.npz", image=images)
    with h5py.File(folder / "images.h5", "w") as file:
        file["image"] = images
    return sorted(folder.iterdir())


def read_bytes(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(BATCH * 224 * 224 * 3):
            pass


def read_samples(path: Path) -> None:
    with open_samples(SampleSpec(inputs=str(path)), [IMAGE]) as samples:
        for _ in samples.batches(BATCH):
            pass


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        for path in write_images(Path(folder)):
            candidates = {"bare": partial(read_bytes, path), "kprobe": partial(read_samples, path)}
            times = take_turns(rounds, candidates)
            rate = ROWS / sorted(times["kprobe"])[rounds // 2]
            share = ratio(times["bare"], times["kprobe"])
            print(f"{path.suffix:5} {rate:6.0f} images/s, {share:.2f} of the bare bytes")


if __name__ == "__main__":
    main()
