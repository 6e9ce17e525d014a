"""Pictures look as those in `reference/`, which were looked at."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kprobe.pictures.draw import draw, encode
from kprobe.pictures.subject import Look

sys.path.insert(0, str(Path(__file__).parent))
from make_references import IMAGE, REFERENCE, draw_all, make_subject, make_waves

# Root mean square of differences of levels, of 255. Other versions of fonts are below 5.
TOLERANCE = 8


@pytest.fixture(scope="module")
def drawn():
    """All pictures, drawn now: as arrays, by name."""
    return {name: read(io.BytesIO(content)) for name, content in draw_all()}


def read(file):
    return np.asarray(Image.open(file).convert("RGB"), np.float64)


def measure(a, b):
    return np.sqrt(((a - b) ** 2).mean()) if a.shape == b.shape else np.inf


def test_every_picture_has_its_reference_and_no_other_is_there(drawn):
    assert drawn.keys() == {path.stem for path in REFERENCE.iterdir()}
    assert all(path.stat().st_size < 100_000 for path in REFERENCE.iterdir())


def test_pictures_look_as_they_did(drawn):
    apart = {name: measure(now, read(REFERENCE / f"{name}.png")) for name, now in drawn.items()}
    assert {name: value for name, value in apart.items() if value > TOLERANCE} == {}


def test_another_picture_would_be_noticed():
    reference = read(REFERENCE / "unfinite.png")
    changed = make_waves(12, 12, 4)[::-1]
    subject = make_subject("$conv$ <b>\u202e\n日", changed, IMAGE, "Conv2D")
    now = read(io.BytesIO(encode(draw(subject, Look()), "png")))
    assert TOLERANCE * 3 < measure(now, reference) < np.inf
