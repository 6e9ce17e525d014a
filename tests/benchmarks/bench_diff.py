"""How near the comparison of two dumps comes to reading both, and what memory it takes.

    python tests/benchmarks/bench_diff.py [--rounds 5] [--gigabytes 1] [--directory /tmp]

In turn, over two float32 dumps that are in the page cache: `preadv` of the same bytes into reused
buffers of 4 MiB by as many threads; the comparison of samples in the same order; and of samples in
another order. Then the most memory that a process of its own takes which compares them. Takes about
a minute.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench_statistics import SHAPE, THREADS, read
from turns import ratio, take_turns

from kprobe.analysis.comparison.columns import compare_columns
from kprobe.analysis.comparison.joining import join_rows
from kprobe.analysis.comparison.matching import match_tensors
from kprobe.analysis.comparison.records import Described
from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import Dump, open_dump
from kprobe.dumps.writing.writer import Writer

ADDRESSES = ["a", "b"]


def main() -> None:
    """Run the benchmark and print a line for each candidate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=1, help="of each of the dumps")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--compare", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare:
        with open_dump(options.compare[0]) as one, open_dump(options.compare[1]) as other:
            compare(one, other)
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        print(next(line for line in status if line.startswith("VmHWM")))
        return
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        bench(Path(name), options.gigabytes, options.rounds)


def bench(folder: Path, gigabytes: float, rounds: int) -> None:
    """Time the candidates over two dumps of two layers."""
    count = int(gigabytes * 1e9 / 4 / np.prod(SHAPE)) // len(ADDRESSES)
    paths = [folder / name for name in ("one.h5", "other.h5", "shuffled.h5")]
    for path in paths:
        write(path, count, np.random.default_rng(0 if path.stem == "shuffled" else None))
    dumps = [open_dump(path) for path in paths]
    places = [
        (dump.path, dump[a].id.get_offset(), dump[a].nbytes)
        for dump in dumps[:2]
        for a in ADDRESSES
    ]
    times = take_turns(
        rounds,
        {
            "preadv": lambda: [read(*place) for place in places],
            "same order": lambda: compare(dumps[0], dumps[1]),
            "shuffled": lambda: compare(dumps[0], dumps[2]),
        },
    )
    size = sum(nbytes for *_, nbytes in places)
    print(f"load {os.getloadavg()[0]:.1f}, {THREADS} threads, {size / 1e9:.1f} GB", flush=True)
    for name, seconds in times.items():
        print(
            f"{name}: {size / statistics.median(seconds) / 1e9:.2f} GB/s, "
            f"{ratio(times['preadv'], seconds):.2f} of preadv",
            flush=True,
        )
    for path in paths[1:]:
        command = [sys.executable, __file__, "--compare", str(paths[0]), str(path)]
        print(path.stem, subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(one: Dump, other: Dump) -> None:
    """Compare two dumps as `kprobe diff` does."""
    described = [Described(a, SHAPE, "float32", place) for place, a in enumerate(ADDRESSES)]
    pairs = match_tensors(described, described).pairs
    rows = join_rows(one.sample, other.sample)
    for difference in compare_columns(one, other, pairs, rows):
        difference.summarize()


def write(path: Path, rows: int, order: np.random.Generator) -> None:
    """Write a dump of so many rows, in an order of its own where its name says so."""
    random = np.random.default_rng(0)
    columns = [Column(a, SHAPE, np.dtype(np.float32), {"addresses": [a]}) for a in ADDRESSES]
    batch = np.maximum(random.normal(size=(64, *SHAPE)), 0).astype(np.float32)
    if path.stem == "other":
        batch *= np.float32(1.001)
    names = np.arange(rows)
    if path.stem == "shuffled":
        order.shuffle(names)
    contents = Contents(columns=columns, samples=[f"{name:09}.png" for name in names])
    with Writer(OutputSpec(path=path), contents) as writer:
        for first in range(0, rows, len(batch)):
            writer.write(first, dict.fromkeys(ADDRESSES, batch[: rows - first]))
        writer.finish()


if __name__ == "__main__":
    main()
