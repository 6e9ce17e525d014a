"""What the gate takes: in a process, in one of its own, and of the time that loading takes.

    python tests/benchmarks/bench_gate.py [--rounds 5] [--bytes 5e8]

Models of dense layers, with random weights, are made here. Takes about five minutes.
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

import keras
import tf_keras
from turns import ratio, take_turns, take_turns_of_processor

from kprobe.gate.apart import inspect_apart
from kprobe.gate.inspect import inspect
from kprobe.gate.opened import open_file
from kprobe.models.load import load_source

# What a command imports anyhow before it reads a model file, and the same with the file.
IMPORTS = "import sys, h5py, kprobe.models.file as file"
READS = f"{IMPORTS}\nfile.read_model_file(sys.argv[1])"


def main() -> None:
    """Run the benchmarks and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes", type=float, default=5e8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for path in save_models(Path(name) / "small", 5e6):
            bench_check(path, options.rounds)
        for path in save_models(Path(name) / "large", options.bytes):
            bench_load(path, options.rounds)
            path.unlink()


def save_models(directory: Path, size: float) -> list[Path]:
    """Save a model of so many bytes as `.keras` and, of Keras 2, as HDF5."""
    directory.mkdir()
    units = int((size / 4 / 8) ** 0.5)
    paths = []
    for library, name in ((keras, "model.keras"), (tf_keras, "model.h5")):
        layers = library.layers
        dense = [layers.Dense(units, name=f"d{number}") for number in range(8)]
        library.Sequential([layers.Input((units,)), *dense]).save(directory / name)
        paths.append(directory / name)
    return paths


def bench_check(path: Path, rounds: int) -> None:
    """A file of 5 MB: in the process, in one of its own, and as the first one of a command."""
    quiet = {"check": True}
    _, spent = take_turns_of_processor(4 * rounds, {"here": lambda: inspect(open_file(path))})
    times = take_turns(
        4 * rounds,
        {
            "apart": lambda: inspect_apart(open_file(path)),
            "imports": lambda: subprocess.run([sys.executable, "-c", IMPORTS], **quiet),
            "reads": lambda: subprocess.run([sys.executable, "-c", READS, path], **quiet),
        },
    )
    here, apart = (1000 * statistics.median(each) for each in (spent["here"], times["apart"]))
    first = statistics.median(
        1000 * (a - b) for a, b in zip(times["reads"], times["imports"], strict=True)
    )
    print(
        f"{path.suffix} of {path.stat().st_size / 1e6:.1f} MB: {here:.1f} ms of the processor, "
        f"{apart:.1f} ms apart, {first:.0f} ms more for the first file of a command"
    )


def bench_load(path: Path, rounds: int) -> None:
    """A large file: checked against loaded, by the clock and by the processor's."""
    times, spent = take_turns_of_processor(
        rounds,
        {
            "check": lambda: inspect(open_file(path)),
            "load": lambda: load_source(path),
        },
    )
    print(
        f"{path.suffix} of {path.stat().st_size / 1e6:.0f} MB: "
        f"{1000 * statistics.median(times['check']):.0f} ms, "
        f"{100 * ratio(times['check'], times['load']):.1f} % of loading, and "
        f"{100 * ratio(spent['check'], spent['load']):.1f} % of its processor time"
    )


if __name__ == "__main__":
    main()
