"""How fast a command starts, against the script that people write.

    python tests/benchmarks/bench_starting.py [--rounds 5]

Whole processes, in turn. Models have random weights and are made here. Takes about five minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from turns import ratio, take_turns

BATCH = 32

BARE_START = """
import sys, numpy as np, tensorflow as tf
model = tf.keras.models.load_model(sys.argv[1], compile=False)
part = tf.keras.Model(model.inputs, model.get_layer(sys.argv[2]).output)
part.predict(np.load(sys.argv[3]), batch_size=32, verbose=0)
"""


def main() -> None:
    """Run the benchmarks and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        images = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), "uint8")
        np.save(directory / "batch.npy", images)
        bench_commands(directory, options.rounds)
        bench_start(directory, options.rounds)


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
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    times = take_turns(
        2 * rounds,
        {
            "help": lambda: subprocess.run([*command, "--help"], **quiet),
            "ls": lambda: subprocess.run([*command, "ls", path], **quiet),
        },
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
        {
            "bare": lambda: subprocess.run(bare, **quiet),
            "dump": lambda: subprocess.run(dump, **quiet),
        },
    )
    print(
        f"one batch of ResNet50 {layer} from process start: {statistics.median(times['dump']):.2f}"
        f" s, {ratio(times['dump'], times['bare']):.2f} of the bare script"
    )


if __name__ == "__main__":
    main()
