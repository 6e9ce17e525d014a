"""How near the statistics of a dump come to reading it.

    python tests/benchmarks/bench_statistics.py [--rounds 5] [--gigabytes 2] [--directory /tmp]

In turn, over a float32 dump that is in the page cache: `preadv` of the same bytes into reused
buffers of 4 MiB by as many threads; moments, extremes, zeros and NaN; the same with quantiles and
histograms; and the same as people write it with h5py and numpy. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from turns import ratio, take_turns

from kprobe.analysis.statistics.stream import read_statistics
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer

SHAPE = (56, 56, 64)
BUFFER = 4 << 20
THREADS = len(os.sched_getaffinity(0))


def main() -> None:
    """Run the benchmark and print a line for each candidate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        bench(Path(name) / "acts.h5", options.gigabytes, options.rounds)


def bench(path: Path, gigabytes: float, rounds: int) -> None:
    """Time the candidates over a dump of one layer, as a ReLU gives it."""
    rows = int(gigabytes * 1e9 / 4 / np.prod(SHAPE))
    write(path, rows)
    with open_dump(path) as dump:
        start, size = dump["a"].id.get_offset(), dump["a"].nbytes
        times = take_turns(
            rounds,
            {
                "preadv": lambda: read(path, start, size),
                "moments": lambda: read_statistics(dump, ["a"], detail="moments"),
                "full": lambda: read_statistics(dump, ["a"]),
                "numpy": lambda: compute_plainly(dump["a"]),
            },
        )
    print(f"load {os.getloadavg()[0]:.1f}, {THREADS} threads, {size / 1e9:.1f} GB", flush=True)
    for name, seconds in times.items():
        print(
            f"{name}: {size / statistics.median(seconds) / 1e9:.2f} GB/s, "
            f"{ratio(times['preadv'], seconds):.2f} of preadv, "
            f"{ratio(times['numpy'], seconds):.1f} times numpy",
            flush=True,
        )


def write(path: Path, rows: int) -> None:
    """Write a dump of so many rows."""
    rng = np.random.default_rng(0)
    column = Column("a", SHAPE, np.dtype(np.float32), {"addresses": ["a"]})
    batch = np.maximum(rng.normal(size=(64, *SHAPE)), 0).astype(np.float32)
    with Writer(OutputSpec(path=path), Contents(columns=[column], samples=["s"] * rows)) as writer:
        for first in range(0, rows, len(batch)):
            writer.write(first, {"a": batch[: rows - first]})
        writer.finish()


def read(path: Path, start: int, size: int) -> None:
    """Read bytes of a file, by as many threads as there are cores, and do nothing with them."""
    file = os.open(path, os.O_RDONLY)
    share = -(-size // THREADS)

    def read_share(number: int) -> None:
        buffer = bytearray(BUFFER)
        for place in range(number * share, min((number + 1) * share, size), BUFFER):
            os.preadv(file, [buffer], start + place)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read_share, range(THREADS)))
    os.close(file)


def compute_plainly(dataset: Any) -> list[Any]:
    """Compute the same with numpy, as one does who has memory enough."""
    values = dataset[:]
    axes = tuple(range(values.ndim - 1))
    return [
        values.mean(axes, dtype=np.float64),
        values.std(axes, dtype=np.float64),
        values.min(axes),
        values.max(axes),
        (values == 0).sum(axes),
        np.isnan(values).sum(axes),
        np.isinf(values).sum(axes),
        np.abs(values).sum(axes, dtype=np.float64),
    ]


if __name__ == "__main__":
    main()
