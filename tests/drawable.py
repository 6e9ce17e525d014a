"""A dump of all kinds of columns, as several tests draw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kprobe.dumps.contents import REASON, VALID, Column, Contents
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.writing.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 80
RNG = np.random.default_rng(7)
VALUES: dict[str, Any] = {
    "conv": RNG.normal(size=(ROWS, 4, 5, 20)).astype("f4"),
    "features": RNG.normal(size=(ROWS, 6)).astype("f2"),
    "score": RNG.normal(size=ROWS).astype("f4"),
    "boxes": RNG.uniform(0, 9, (ROWS, 3, 4)).astype("f4"),
    "kept": [RNG.normal(size=(row % 3, 4)).astype("f4") for row in range(ROWS)],
    "words": [np.frombuffer(f"word {row:02}".encode(), "u1").copy() for row in range(ROWS)],
}
KERNEL = RNG.normal(size=(6, 3)).astype("f4")
NAMES = [f"photos/{row:02}.png" for row in range(ROWS)]
LEFT_OUT = (0, 5)  # rows that couldn't be read
LABELS = np.arange(ROWS, dtype="i4") % 3


def _make_columns():
    def column(name, shape, stored="f4", axes=(), **attrs):
        told = {"addresses": [f"net/{name}"], "layer_class": name.title(), **attrs}
        return Column(name, shape, np.dtype(stored), told, axes=axes)

    weight = {"addresses": ["net:kernel"], "layout": "weight"}
    return [
        column("features", (6,), "f2", ("unit",)),
        column("conv", (4, 5, 20), axes=("height", "width", "channel")),
        column("score", ()),
        column("boxes", (3, 4)),
        column("kept", (-1, 4)),
        column("words", (-1,), "u1", dtype="string"),
        Column("kernel", KERNEL.shape, KERNEL.dtype, weight, KERNEL),
        Column("label", (ROWS,), LABELS.dtype, {"classes": [*"abc"]}, LABELS, by_sample=True),
        VALID,
        REASON,
    ]


@pytest.fixture(scope="session")
def drawable(tmp_path_factory) -> Path:
    """A dump; the model computes `conv` first."""
    path = tmp_path_factory.mktemp("drawable") / "acts.h5"
    attrs = {"computed": ["conv", "features", "score", "boxes", "kept", "words"], "inputs": "[]"}
    contents = Contents(columns=_make_columns(), samples=NAMES, attrs=attrs)
    with Writer(OutputSpec(path=path), contents) as writer:
        valid = np.ones(ROWS, "u1")
        valid[[*LEFT_OUT]] = 0
        reason = np.where(valid == 0, b"is empty", b"").astype(REASON.dtype)
        writer.write(0, {**VALUES, "valid": valid, "reason": reason})
        writer.finish()
    return path
