"""How fast a dump is, against the scripts that people write.

Every figure is a ratio of candidates run in turn, in one go, and the median of the rounds.
Models have random weights and are made here; nothing is downloaded. Takes about ten minutes on
two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 32

BARE_START = """
import sys, numpy as np, tensorflow as tf
model = tf.keras.models.load_model(sys.argv[1], compile=False)
part = tf.keras.Model(model.inputs, model.get_layer(sys.argv[2]).output)
part.predict(np.load(sys.argv[3]), batch_size=32, verbose=0)
"""


def main() -> None:
    """Run the benchmarks and print a table for the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        images = np.random.default_rng(0).integers(0, 256, (options.images, 224, 224, 3), "uint8")
        with h5py.File(directory / "images.h5", "w") as file:
            file["images"] = images
        np.save(directory / "batch.npy", images[:BATCH])
        bench_commands(directory, options.rounds)
        bench_start(directory, options.rounds)
        bench_steady(directory, "MobileNetV2", "block_13_expand_relu", images, options.rounds)


def take_turns(rounds: int, **candidates: Callable[[], object]) -> dict[str, list[float]]:
    """Time the candidates in turn, after one round that doesn't count; in seconds."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, candidate in candidates.items():
            began = time.perf_counter()
            candidate()
            if number:
                times[name].append(time.perf_counter() - began)
    return times


def ratio(times: list[float], others: list[float]) -> float:
    """The median of the ratios, round by round."""
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def bench_commands(directory: Path, rounds: int) -> None:
    """`--help`, and `ls` on a file of 500 MB."""
    path = directory / "big.h5"
    script = """
import sys, tf_keras
layers = tf_keras.layers
model = tf_keras.Sequential([layers.Input((4096,)), *(layers.Dense(4096) for _ in range(8))])
model.save(sys.argv[1])
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, path], check=True)
    command = [sys.executable, "-m", "kprobe"]
    times = take_turns(
        2 * rounds,
        help=lambda: subprocess.run([*command, "--help"], stdout=subprocess.DEVNULL, check=True),
        ls=lambda: subprocess.run([*command, "ls", path], stdout=subprocess.DEVNULL, check=True),
    )
    print(f"kprobe --help: {statistics.median(times['help']):.2f} s")
    size = path.stat().st_size / 1e6
    print(f"kprobe ls, HDF5 of {size:.0f} MB: {statistics.median(times['ls']):.2f} s")
    path.unlink()


def bench_start(directory: Path, rounds: int) -> None:
    """A dump of one batch from the start of the process, against the barest script."""
    model = directory / "ResNet50.keras"
    script = "import sys, keras; keras.applications.ResNet50(weights=None).save(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, model], check=True)
    layer, batch = "conv4_block6_out", directory / "batch.npy"
    bare = [sys.executable, "-c", BARE_START, model, layer, batch]
    dump = [sys.executable, "-m", "kprobe", "dump", model, "--layers", layer, "--input", batch]
    dump += ["--output", directory / "one.h5", "--overwrite"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
    times = take_turns(
        rounds,
        bare=lambda: subprocess.run(bare, **quiet),
        dump=lambda: subprocess.run(dump, **quiet),
    )
    print(
        f"one batch of ResNet50 {layer} from process start: {statistics.median(times['dump']):.2f}"
        f" s, {ratio(times['dump'], times['bare']):.2f} of the bare script"
    )


def bench_steady(directory: Path, name: str, layer: str, images: np.ndarray, rounds: int) -> None:
    """Samples a second, reading and writing included, against computing alone and `predict`."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    from kprobe.pipeline.job import Job
    from kprobe.pipeline.planning import plan
    from kprobe.pipeline.run import run

    model = getattr(keras.applications, name)(weights=None)
    part = keras.Model(model.inputs, model.get_layer(layer).output)
    frozen = convert_variables_to_constants_v2(
        tf.function(lambda x: part(tf.cast(x, tf.float32), training=False)).get_concrete_function(
            tf.TensorSpec((None, *images.shape[1:]), tf.uint8)
        )
    )
    resident = tf.constant(images[:BATCH])
    job = Job(
        model=model,
        layers=[layer],
        inputs=[f"{directory}/images.h5:/images"],
        output=directory / "acts.h5",
        batch_size=BATCH,
        overwrite=True,
    )
    steps = range(0, len(images), BATCH)

    def compute() -> None:
        for _ in steps:
            frozen(resident)

    def predict() -> None:
        shape = (len(images), *part.output_shape[1:])
        with (
            h5py.File(directory / "images.h5") as source,
            h5py.File(directory / "predicted.h5", "w") as file,
        ):
            dataset = file.create_dataset(layer, shape, "float32")
            for start in steps:
                stop = start + BATCH
                batch = source["images"][start:stop]
                dataset[start:stop] = part.predict_on_batch(batch.astype("float32"))

    def predict_by_batch() -> None:
        shape = (len(images), *part.output_shape[1:])
        with (
            h5py.File(directory / "images.h5") as source,
            h5py.File(directory / "predicted.h5", "w") as file,
        ):
            dataset = file.create_dataset(layer, shape, "float32")
            for start in steps:
                stop = start + BATCH
                dataset[start:stop] = part.predict(source["images"][start:stop], verbose=0)

    with plan(job) as ready:
        times = take_turns(
            rounds,
            bare=compute,
            dump=lambda: run(ready),
            predict=predict_by_batch,
            on_batch=predict,
        )
    rates = {k: len(images) / statistics.median(v) for k, v in times.items()}
    print(
        f"{name} {layer}: {rates['dump']:.0f} samples/s, "
        f"{ratio(times['bare'], times['dump']):.2f} of computing alone ({rates['bare']:.0f}), "
        f"{ratio(times['predict'], times['dump']):.2f} times predict + h5py "
        f"({rates['predict']:.0f}), {ratio(times['on_batch'], times['dump']):.2f} times "
        f"predict_on_batch + h5py ({rates['on_batch']:.0f})"
    )


if __name__ == "__main__":
    main()
