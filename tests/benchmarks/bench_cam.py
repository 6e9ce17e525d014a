"""What class activation maps cost over a plain dump of the same layer, for the same images.

    python tests/benchmarks/bench_cam.py [--rounds 5] [--images 64] [--model ResNet50]

In turn, over a folder of JPEG images: a dump of the scores and of the last layer with height and
width; maps of that layer by each method; overlays besides; and maps of a layer of the first stage,
whose gradients go through nearly all of the model. The model has random weights; nothing is
downloaded. Loading and tracing isn't timed. Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image
from turns import ratio, take_turns

from kprobe.pipeline.planning.job import make_job
from kprobe.pipeline.planning.plan_job import plan_job
from kprobe.pipeline.running.overlays import Overlays, OverlaySink
from kprobe.pipeline.running.run import run

if TYPE_CHECKING:
    from kprobe.pipeline.planning.plan import Plan

LAYERS = {
    "ResNet50": ("conv5_block3_out", "conv2_block3_out"),
    "MobileNetV2": ("out_relu", "block_2_add"),
}


def main() -> None:
    """Run the benchmark and print a line for each candidate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--model", choices=LAYERS, default="ResNet50")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as opened:
        measure(Path(name), options.model, options.images, options.rounds, opened)


def measure(place: Path, kind: str, images: int, rounds: int, opened: contextlib.ExitStack) -> None:
    """Time the candidates, and print how fast each is."""
    write_images(place / "photos", images)
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, kind)(weights=None)
    last, first = LAYERS[kind]

    def plan(name: str, **settings: Any) -> Plan:
        output = place / f"{name}.h5"
        job = make_job(
            model=model, inputs=place / "photos", output=output, overwrite=True, **settings
        )
        return opened.enter_context(plan_job(job))

    plans = {
        "dump": plan("dump", layers=f"{last},predictions"),
        "grad-cam": plan("grad-cam", layers=None, cam="grad-cam"),
        "grad-cam++": plan("grad-cam++", layers=None, cam="grad-cam++"),
        "cam": plan("cam", layers=None, cam="cam"),
        f"grad-cam of {first}": plan("first", layers=first, cam="grad-cam"),
    }
    overlays = Overlays(plans["grad-cam"], place / "overlays")
    plans["grad-cam, overlays"] = plans["grad-cam"]
    spent: dict[str, list[float]] = {name: [] for name in plans}

    def compute(name: str) -> None:
        ready, drawn = plans[name], name.endswith("overlays")
        began = time.process_time()
        run(ready, sink=OverlaySink(ready, overlays) if drawn else None)
        spent[name].append(time.process_time() - began)

    times = take_turns(rounds, {name: partial(compute, name) for name in plans})
    print(f"load {os.getloadavg()[0]:.1f}, {images} images, {kind}", flush=True)
    for name, seconds in times.items():
        print(
            f"{name}: {images / statistics.median(seconds):.1f} samples/s, "
            f"{ratio(times['dump'], seconds):.2f} of the dump, by processor time "
            f"{ratio(spent['dump'][1:], spent[name][1:]):.2f}",
            flush=True,
        )


def write_images(folder: Path, count: int) -> None:
    """Write photos of 256 by 256 pixels: noise that is smooth, as in photos."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8))
        small.resize((256, 256)).save(folder / f"{number}.jpg")


if __name__ == "__main__":
    main()
