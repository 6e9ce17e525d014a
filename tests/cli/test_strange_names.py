"""Names of samples can't steer a terminal or lead files elsewhere; JSON has them as they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ["\x1b[2Ja.png", "\u202egnp.b.png", "two\nlines.png", "\x1b]0;title\x07.png", "\x9b1m.png"]
DAMAGED = "\x1b[31mdamaged\r.png"


@pytest.fixture
def photos(folder):
    (folder / "photos").mkdir()
    for number, name in enumerate(NAMES):
        image = Image.fromarray(np.full((8, 8), number, np.uint8))
        image.save(folder / "photos" / name)
    (folder / "photos" / DAMAGED).write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "photos" / "\x1b[1mnone.png").write_text("no image")
    return folder / "photos"


def is_plain(text):
    return all(cell.isprintable() for line in text.split("\n") for cell in line.split("\t"))


def test_names_of_samples_are_shown_without_what_steers_a_terminal(photos, kprobe_here):
    model = "sample_models/digits_cnn.keras"
    dumped = kprobe_here(
        *("dump", model, "--layers", "digit", "-i", "photos", "--on-error", "skip", "-o", "a.h5")
    )
    assert dumped.exit_code == 3, dumped.output
    assert is_plain(dumped.stdout), dumped.stdout
    assert "\\x1b[31mdamaged\\r.png" in dumped.stderr
    own = [line for line in dumped.stderr.split("\n") if line.startswith("kprobe: ")]
    assert all(line.isprintable() for line in own)
    for command in (
        ["show", "a.h5", "--samples"],
        ["show", "a.h5"],
        ["stats", "a.h5", "--by", "sample"],
    ):
        shown = kprobe_here(*command)
        assert shown.exit_code in (0, 3), shown.output
        assert is_plain(shown.output), shown.output
    listed = json.loads(kprobe_here("show", "a.h5", "--samples", "--json").stdout)
    assert {*NAMES, DAMAGED} <= {*_list_texts(listed)}


def test_overlays_lie_in_their_folder_whatever_samples_are_called(photos, kprobe_here):
    (photos / DAMAGED).unlink()
    made = kprobe_here(
        *(
            "cam",
            "sample_models/digits_cnn.keras",
            "-i",
            "photos",
            "--overlays",
            "out",
            "-o",
            "c.h5",
        )
    )
    assert made.exit_code == 0, made.output
    found = [path for path in Path("out").rglob("*") if path.is_file()]
    assert len(found) == len(NAMES)
    assert all(path.parent == Path("out") and "\x1b" not in path.name for path in found)


def _list_texts(value):
    if isinstance(value, str):
        yield value
    for each in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _list_texts(each)
