"""How near a dump comes to its model computed alone, and to decoding alone.

    python tests/benchmarks/bench_computing.py [--rounds 5] [--images 512] [--only ResNet50]

Of each model a dump of 512 uint8 images from HDF5, reading and writing included, in turn with the
frozen sub-graph in a bare loop over a batch that is in memory, of 32 and of as many as the dump
chose; with a dump in batches of 32; and with the script that people write: `predict`, then h5py.
Of ResNet50 also a dump of 1,024 JPEG files of mixed sizes, in turn with a bare `tf.data` pipeline
and the bare loop. Models have random weights and are made here. Takes about an hour on two slow
cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np
import tensorflow as tf
from bench_images import run_bare, write_images
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from turns import ratio, slowest, take_turns

from kprobe.pipeline.planning.job import Job, make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.run import run

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 32
LAYERS = {
    "MobileNetV2": "block_13_expand_relu",
    "EfficientNetB0": "block6a_expand_activation",
    "ResNet50": "conv4_block6_out",
    "VGG16": "block3_conv3",
}


def main() -> None:
    """Run the benchmarks and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=512, help="from HDF5")
    parser.add_argument("--only", choices=[*LAYERS, "JPEG"], help="of all these")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for model in LAYERS:
            if options.only in (None, model):
                bench_arrays(directory, model, options.images, options.rounds)
        if options.only in (None, "JPEG"):
            bench_files(directory, options.rounds)


def make_part(name: str) -> tuple[keras.Model, keras.Model]:
    """Make a model, and the part of it that ends with the layer."""
    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None)
    return model, keras.Model(model.inputs, model.get_layer(LAYERS[name]).output)


def make_bare(part: keras.Model, rows: int, size: int = BATCH) -> Callable[[], None]:
    """Give the frozen sub-graph in a loop over a batch in memory."""
    spec = tf.TensorSpec((None, 224, 224, 3), tf.uint8)
    function = tf.function(lambda x: part(tf.cast(x, tf.float32), training=False))
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(spec))
    batch = tf.constant(make_images(size))

    def compute() -> None:
        for _ in range(rows // size):
            frozen(batch)

    return compute


def make_images(rows: int) -> np.ndarray[Any, Any]:
    """Make uint8 images of shape (rows, 224, 224, 3)."""
    return np.random.default_rng(0).integers(0, 256, (rows, 224, 224, 3), "uint8")


def describe(
    model: keras.Model, layer: str, source: str, directory: Path, batch_size: int | None = None
) -> Job:
    """Make the job of a dump, with what is chosen where nothing is said."""
    return make_job(
        model=model,
        layers=[layer],
        inputs=[source],
        output=directory / f"acts_{batch_size}.h5",
        overwrite=True,
        batch_size=batch_size,
    )


def bench_arrays(directory: Path, name: str, rows: int, rounds: int) -> None:
    """Images that are in memory, so that the model is the limit."""
    model, part = make_part(name)
    with h5py.File(directory / "images.h5", "w") as file:
        file["images"] = make_images(rows)

    def predict() -> None:
        with h5py.File(directory / "images.h5") as source:
            images = source["images"][:]
        with h5py.File(directory / "predicted.h5", "w") as file:
            file[LAYERS[name]] = part.predict(images, batch_size=BATCH, verbose=0)

    source = f"{directory}/images.h5:/images"
    with (
        plan_job(describe(model, LAYERS[name], source, directory)) as ready,
        plan_job(describe(model, LAYERS[name], source, directory, BATCH)) as asked,
    ):
        candidates = {
            "bare": make_bare(part, rows),
            "alike": make_bare(part, rows, ready.batch_size),
            "dump": lambda: run(ready),
            "asked": lambda: run(asked),
            "predict": predict,
        }
        times = take_turns(rounds, candidates)
        chosen = f"batches of {ready.batch_size}, {ready.streams} at a time"
    rates = {key: rows / statistics.median(value) for key, value in times.items()}
    print(
        f"{name} {LAYERS[name]}: {rates['dump']:.0f} samples/s ({chosen}), "
        f"{ratio(times['bare'], times['dump']):.2f} of computing alone in batches of {BATCH} "
        f"({rates['bare']:.0f}), {ratio(times['alike'], times['dump']):.2f} of that in batches of "
        f"{ready.batch_size} ({rates['alike']:.0f}), "
        f"{ratio(times['bare'], times['asked']):.2f} of the former with a batch size of {BATCH} "
        f"({rates['asked']:.0f}), "
        f"{ratio(times['predict'], times['dump']):.2f} times predict + h5py "
        f"({rates['predict']:.0f})",
        flush=True,
    )


def bench_files(directory: Path, rounds: int) -> None:
    """JPEG files of mixed sizes, which are decoded meanwhile."""
    model, part = make_part("ResNet50")
    folder = directory / "images"
    folder.mkdir()
    paths = write_images(folder)
    with plan_job(describe(model, LAYERS["ResNet50"], str(folder), directory)) as ready:
        candidates = {
            "computing": make_bare(part, len(paths)),
            "decoding": lambda: run_bare(paths),
            "dump": lambda: run(ready),
        }
        times = take_turns(rounds, candidates)
    rates = {key: len(paths) / statistics.median(value) for key, value in times.items()}
    print(
        f"ResNet50 of {len(paths)} JPEG files: {rates['dump']:.0f} samples/s, "
        f"{ratio(slowest(times, 'computing', 'decoding'), times['dump']):.2f} of the slower of "
        f"decoding alone ({rates['decoding']:.0f}) and computing alone ({rates['computing']:.0f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
