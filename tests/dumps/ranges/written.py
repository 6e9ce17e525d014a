"""A dump that is written whole, and the same in ranges, by what the tests of ranges share."""

from __future__ import annotations

import h5py
import numpy as np

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.ranges.merge import merge_ranges
from kprobe.dumps.ranges.range_plan import agree_on_plan, plan_ranges
from kprobe.dumps.ranges.receipts import ATTRIBUTE, choose_file, describe_range, publish_range
from kprobe.dumps.writing.writer import Writer

ROWS, RANGE_ROWS = 23, 5
RANDOM = np.random.default_rng(3)
MAPS = RANDOM.normal(size=(ROWS, 3, 2)).astype("f4")
BOXES = [RANDOM.integers(0, 9, (n % 4, 2)).astype("i8") for n in range(ROWS)]
WEIGHT = RANDOM.normal(size=(4, 4)).astype("f8")
LABELS = RANDOM.integers(0, 2, ROWS).astype("i8")
NAMES = [f"photo{number}.png" for number in range(ROWS)]


def make_contents(start=0, stop=ROWS, **attrs):
    """Say what a dump of some of the rows holds."""
    columns = [
        Column("maps", (3, 2), np.dtype("f4"), {"addresses": ["maps"]}, axes=("height", None)),
        Column("boxes", (-1, 2), np.dtype("i8"), {"addresses": ["boxes"]}),
        Column("kernel", (4, 4), np.dtype("f8"), {"addresses": ["k"], "layout": "weight"}, WEIGHT),
        Column(
            "label",
            (stop - start,),
            np.dtype("i8"),
            {"layout": "label", "classes": ["cat", "dög"]},
            LABELS[start:stop],
            by_sample=True,
        ),
    ]
    names = np.array([name.encode() for name in NAMES])[start:stop]
    return Contents(columns=columns, samples=names, attrs={"model": "m.keras", "seed": 3, **attrs})


def write(path, start=0, stop=ROWS, **attrs):
    """Write a dump of some of the rows."""
    with Writer(OutputSpec(path=path), make_contents(start, stop, **attrs)) as writer:
        writer.write(0, {"maps": MAPS[start:stop], "boxes": BOXES[start:stop]})
        writer.finish()
    return path


def publish(folder, plan, rows, **attrs):
    """Write one range and publish it."""
    path = choose_file(folder, rows)
    told = {ATTRIBUTE: describe_range(plan, rows)}
    write(path, rows.start, rows.stop, **{**told, **attrs})
    return publish_range(folder, plan, rows, path, 0)


def write_ranges(folder, *, without=(), **attrs):
    """Write all ranges but some into a new directory, and give their plan."""
    folder.mkdir()
    plan = agree_on_plan(folder, plan_ranges(make_contents(**attrs), RANGE_ROWS))
    for number, rows in enumerate(plan.ranges):
        if number not in without:
            publish(folder, plan, rows, **attrs)
    return plan


def merge(folder, path, **options):
    """Merge ranges into a dump."""
    return merge_ranges(folder, OutputSpec(path=path), **options)


def blank_times(path):
    """Give the bytes of a dump but for when it was written."""
    with h5py.File(path) as file:
        places = [file[name].id.get_offset() for name in ("started", "finished")]
    content = bytearray(path.read_bytes())
    for place in places:
        content[place : place + 8] = bytes(8)
    return bytes(content)
