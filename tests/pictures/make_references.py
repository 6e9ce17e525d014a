"""Draw the pictures in `reference/`: look at each one after they were drawn anew.

    python tests/pictures/make_references.py

All that is drawn follows from formulas, so that it is the same everywhere.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from kprobe.pictures.draw import draw, draw_together, encode
from kprobe.pictures.subject import Distribution, Look, Points, Subject

REFERENCE = Path(__file__).parent / "reference"
IMAGE = ("height", "width", "channel")
SAMPLE = [(3, "photos/cat/0003.jpg")]


def make_waves(*shape):
    """Give smooth maps that differ from channel to channel; the channels are the last axis."""
    *space, channels = shape
    at = np.stack(np.meshgrid(*(np.linspace(0, 3, n) for n in space), indexing="ij"), -1)
    numbers = np.arange(channels)
    angle = sum((1 + (numbers * k + k) % 4) * at[..., k, None] for k in range(len(space)))
    return np.sin(angle + numbers) * (1 + numbers % 5)


def make_photo():
    """Give an image of 90 x 120 pixels: a disc and a square before a sky."""
    y, x = np.mgrid[:90, :120]
    photo = np.stack([150 + y * 0.5, 170 + x * 0.2, 235 - y], -1)
    photo[(y - 45) ** 2 + (x - 40) ** 2 < 22**2] = (200, 80, 40)
    photo[(abs(y - 60) < 17) & (abs(x - 90) < 15)] = (40, 90, 60)
    return photo.clip(0, 255).astype(np.uint8)


def make_unfinite():
    """Give maps with NaN and both infinities in them."""
    values = make_waves(12, 12, 4)
    values[2, 3] = np.nan
    values[7:9, 5] = np.inf
    values[10, 9, :2] = -np.inf
    return values


def make_lines():
    steps = np.arange(40)[:, None]
    units = np.arange(14)
    return np.tanh(np.sin(steps / (3 + units % 7) + units) * (units % 11) / 5)


def make_points():
    turn = np.arange(240)
    groups = turn % 9
    places = np.stack(
        [np.cos(turn) * 0.8 + groups % 3 * 4, np.sin(turn * 1.7) + groups // 3 * 3], 1
    )
    labels = np.array([f"class {number}" for number in groups])
    return Points(
        address="features",
        places=places - places.mean(0),
        axes=("component 1 (61.0% of the variance)", "component 2 (22.5% of the variance)"),
        labels=labels,
        about="Dense · unit 32 · 240 samples",
    )


def make_subject(address, values, axes=(), about="", **others):
    return Subject(
        address=address,
        rows=[np.asarray(values)],
        axes=axes,
        samples=others.pop("samples", SAMPLE),
        about=about,
        **others,
    )


def make_all():
    """Give what is drawn, by the names of the files, each with its look."""
    relu = np.maximum(make_waves(14, 14, 20), 0).astype("f4")
    bars = np.exp(-((np.arange(10) - 6) ** 2)).astype("f4")
    many = np.maximum(np.sin(np.arange(2048) ** 2 / 7), 0) ** 3
    table = [np.sin(np.arange(32) / 3 + row) for row in range(12)]
    heads = np.abs(make_waves(9, 9, 4)).transpose(2, 0, 1)
    boxes = np.array([[18, 23, 62, 67], [75, 43, 105, 77], [0, 0, 0, 0], [-9, 60, 30, 85]])
    subject = make_subject
    return {
        "maps": (subject("block_3/relu", relu, IMAGE, "ReLU"), Look()),
        "unfinite": (subject("$conv$ <b>\u202e\n日", make_unfinite(), IMAGE, "Conv2D"), Look()),
        "frames": (subject("c3d", make_waves(5, 9, 9, 3), ("depth", *IMAGE), "Conv3D"), Look()),
        "tiles": (subject("conv", make_waves(6, 6, 100), IMAGE), Look(channels=[slice(None)])),
        "heads": (subject("mha:scores", heads, ("head", "step", "key_step")), Look()),
        "table": (
            Subject(
                address="features",
                rows=table,
                axes=("unit",),
                samples=[(2 * row, f"digits.npz:scan[{2 * row}]") for row in range(12)],
                about="Dense",
            ),
            Look(),
        ),
        "kernel": (subject("conv/kernel", make_waves(3, 3, 4, 2), samples=()), Look()),
        "bars": (subject("digit", bars, ("unit",), "Dense"), Look()),
        "many_bars": (subject("avg_pool", many, ("channel",)), Look()),
        "lines": (subject("lstm", make_lines(), ("step", "unit"), "LSTM"), Look()),
        "histogram": (subject("relu", relu, IMAGE, "ReLU"), Look(kind="histogram")),
        "overlay": (subject("relu", relu[..., :5], IMAGE, image=make_photo()), Look()),
        "boxes": (
            subject("ROI[0]", boxes, about="ROI", image=make_photo()),
            Look(kind="boxes", boxes="xyxy"),
        ),
        "points": (make_points(), Look()),
    }


def make_sheet():
    things = [thing for thing, _ in make_all().values() if not isinstance(thing, Points)]
    counts = np.array([1, 8, 30, 90, 400, 90, 30, 9, 2])
    edges = np.linspace(-1, 1, 10)
    things += [Distribution(address="weights", edges=edges, counts=counts), make_points()]
    titles = [thing.address for thing in things]
    return draw_together(things, titles, Look(), "acts.h5", ["sample 3: photos/cat/0003.jpg"])


def draw_all():
    """Yield the names of the pictures, and each as the bytes of a PNG."""
    for name, (thing, look) in make_all().items():
        yield name, encode(draw(thing, look), "png")
    yield "sheet", encode(make_sheet(), "png")


if __name__ == "__main__":
    for name, content in draw_all():
        # 256 colours are less than half of the bytes, and far within the tolerance.
        Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(
            REFERENCE / f"{name}.png", optimize=True
        )
