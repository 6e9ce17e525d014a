"""How fast images are decoded and resized, beside a bare `tf.data` pipeline.

    python tests/benchmarks/bench_images.py [ROUNDS]

Both read the same 1,024 JPEG files of mixed sizes and make (32, 224, 224, 3) of them, in turn.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from kprobe.inputs import ModelInput, SampleSpec, open_samples

ROWS = 1024
BATCH = 32


def write_images(folder: Path) -> list[str]:
    generator = np.random.default_rng(0)
    paths = []
    for row in range(ROWS):
        height, width = generator.integers(240, 600, 2)
        small = generator.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3)).astype("f4")
        soft = tf.image.resize(small, (height, width), "bicubic")
        noisy = soft + generator.normal(0, 6, (height, width, 1))
        encoded = tf.io.encode_jpeg(
            tf.cast(tf.clip_by_value(noisy, 0, 255), tf.uint8),
            quality=int(generator.integers(75, 96)),
            chroma_downsampling=bool(row % 2),
        )
        paths.append(str(folder / f"{row:04}.jpg"))
        tf.io.write_file(paths[-1], encoded)
    return paths


def run_bare(paths: list[str]) -> None:
    def load(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(tf.io.read_file(path), 3, dct_method="INTEGER_ACCURATE")
        return tf.image.resize(image, (224, 224), antialias=True)

    images = tf.data.Dataset.from_tensor_slices(paths)
    images = images.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH)
    for batch in images.prefetch(tf.data.AUTOTUNE):
        batch.numpy()


def run_kprobe(folder: str) -> None:
    image = ModelInput("image", (None, 224, 224, 3), "float32")
    with open_samples(SampleSpec(inputs=folder), [image]) as samples:
        for _ in samples.batches(BATCH):
            pass


def measure(run, *arguments) -> tuple[float, float]:
    """Give wall time and processor time in seconds."""
    began = time.perf_counter(), time.process_time()
    run(*arguments)
    return time.perf_counter() - began[0], time.process_time() - began[1]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as folder:
        paths = write_images(Path(folder))
        run_bare(paths[:64])
        times = []
        for number in range(rounds):
            runs = {"bare": (run_bare, paths), "kprobe": (run_kprobe, folder)}
            order = list(runs)[:: 1 if number % 2 else -1]
            times.append({name: measure(*runs[name]) for name in order})
    for name in ("bare", "kprobe"):
        wall, cpu = (statistics.median(time[name][n] for time in times) for n in (0, 1))
        print(f"{name:8} {ROWS / wall:6.0f} images/s, {1000 * cpu / ROWS:.2f} ms of processor each")
    for n, what in enumerate(("speed", "processor")):
        ratio = statistics.median(time["bare"][n] / time["kprobe"][n] for time in times)
        print(f"{what}: {ratio:.2f} of the bare pipeline")


if __name__ == "__main__":
    main()
