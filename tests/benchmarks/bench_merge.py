"""What merging the ranges of a dump takes, beside copying as many bytes by `cp`.

    python tests/benchmarks/bench_merge.py [--rounds 5] [--bytes 2e9] [--ranges 16]

Needs three times the bytes on the disk.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from turns import take_turns

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ranges.merge import merge_ranges
from kprobe.dumps.ranges.range_plan import RangePlan, agree_on_plan, plan_ranges
from kprobe.dumps.ranges.receipts import ATTRIBUTE, choose_file, describe_range, publish_range
from kprobe.dumps.writing.writer import Writer

SHAPE = (7, 7, 512)
ROW_BYTES = 7 * 7 * 512 * 4


def main() -> None:
    """Run the benchmark and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes", type=float, default=2e9)
    parser.add_argument("--ranges", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, whole, copy = (Path(name) / part for part in ("a.dump", "a.h5", "b.h5"))
        write_ranges(folder, int(options.bytes / ROW_BYTES), options.ranges)
        merge_ranges(folder, OutputSpec(path=whole))

        def prepare() -> tuple[()]:
            copy.unlink(missing_ok=True)
            subprocess.run(["sync"], check=True)
            return ()

        # Both end when the disk has the bytes, as merging does.
        times = take_turns(
            options.rounds,
            {
                "cp": lambda: subprocess.run(
                    f"cp {whole} {copy} && sync {copy}", shell=True, check=True
                ),
                "merge": lambda: merge_ranges(folder, OutputSpec(path=copy)),
            },
            prepare,
        )
        size = whole.stat().st_size
    ratios = [a / b for a, b in zip(times["cp"], times["merge"], strict=True)]
    rates = {each: size / statistics.median(times[each]) / 1e9 for each in times}
    print(
        f"{size / 1e9:.1f} GB in {options.ranges} ranges: merge {rates['merge']:.2f} GB/s, "
        f"cp {rates['cp']:.2f} GB/s; ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


def write_ranges(folder: Path, rows: int, count: int) -> RangePlan:
    """Write a dump of one column in ranges."""
    folder.mkdir()
    column = Column("maps", SHAPE, np.dtype("f4"), {"addresses": ["maps"]})
    names = np.array([f"{row:08}".encode() for row in range(rows)])
    whole = Contents(columns=[column], samples=names)
    plan = agree_on_plan(folder, plan_ranges(whole, -(-rows // count)))
    values = np.random.default_rng(0).normal(size=(64, *SHAPE)).astype("f4")
    for own in plan.ranges:
        path = choose_file(folder, own)
        attrs = {ATTRIBUTE: describe_range(plan, own)}
        contents = Contents(columns=[column], samples=names[own.start : own.stop], attrs=attrs)
        with Writer(OutputSpec(path=path), contents) as writer:
            for start in range(0, len(own), len(values)):
                stop = min(start + len(values), len(own))
                writer.write(start, {"maps": values[: stop - start]})
            writer.finish()
        publish_range(folder, plan, own, path, 0)
    return plan


if __name__ == "__main__":
    main()
