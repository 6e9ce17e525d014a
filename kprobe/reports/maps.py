"""Pictures of feature maps: few enough, and small enough, for one page."""

from __future__ import annotations

import base64
import importlib.util
import io
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from kprobe.dumps.dimensions import read_labels
from kprobe.dumps.ragged_rows import RaggedRows
from kprobe.pictures.channels import measure_activity
from kprobe.pictures.colour import choose_scale, paint
from kprobe.pictures.kinds import choose_layout
from kprobe.reports.contents import Finding, Maps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.dumps.reader import Dump
    from kprobe.pictures.colour import Scale
    from kprobe.pictures.kinds import Layout

Array = np.ndarray[Any, Any]

# How many channels a layer has, and the longer side of a map in pixels: the first of these with
# which all pictures of a page have no more pixels than that. A pixel takes 0.3 bytes in maps that
# are smooth, and 0.7 in noise, as text in the page.
_SIZES = ((8, 32), (8, 28), (8, 24), (8, 20), (4, 24), (4, 20), (4, 16), (2, 16))
_MOST_PIXELS = 6_000_000
# Of more layers there are no pictures: not even the smallest ones would fit.
MOST_PICTURED = 2_000
# A matrix has a picture for itself.
_MATRIX = 96
# What has fewer pixels than this is stored as it is: smaller so, and sharp.
_FEW_PIXELS = 768
_QUALITY = 60


WITHOUT_PILLOW = Finding(
    level="note", text="No feature maps: these need Pillow, pip install 'kprobe[report]'."
)


@dataclass(frozen=True)
class Limits:
    """How many maps a layer has, and how large they are.

    Attributes:
        channels: How many channels at most.
        side: The longer side of a map at most, in pixels.
    """

    channels: int
    side: int


def can_draw() -> bool:
    """Tell whether there is what encodes images."""
    return importlib.util.find_spec("PIL") is not None


def choose_limits(layers: int, samples: int) -> Limits:
    """Choose how many maps a layer has, so that the page stays below a few megabytes.

    Args:
        layers: How many layers there are pictures of.
        samples: Of how many samples.
    """
    for channels, side in _SIZES:
        if layers * samples * channels * side * side <= _MOST_PIXELS:
            break
    return Limits(channels, side)


def find_pictured(dump: Dump) -> dict[str, Layout]:
    """Find the columns of a dump whose rows are maps or matrices, each with its layout."""
    found = {}
    for name in dump.columns:
        column = dump[name]
        if isinstance(column, RaggedRows) or column.attrs.get("layout") == "weight":
            continue
        shape = column.shape[1:]
        if column.dtype.kind not in "biuf" or len(shape) < 2 or 0 in shape:
            continue
        axes = read_labels(column)[1:]
        layout = choose_layout(shape, axes)
        if layout.kind not in ("maps", "matrix", "lines"):
            continue
        if layout.kind == "lines":  # of a sequence all channels are shown at once
            layout = choose_layout(shape, axes, "matrix")
        found[name] = layout
    return found


def read_maps(dump: Dump, column: str, layout: Layout, rows: Sequence[int]) -> Array:
    """Read some rows of a column as maps.

    Args:
        dump: The dump.
        column: The column.
        layout: How a row is laid out.
        rows: Which rows.

    Returns:
        Of shape (rows, down, across, channels).
    """
    dataset = dump[column]
    return np.stack([_arrange(dataset[row], layout) for row in rows])


def draw_maps(values: Array, limits: Limits, other: Array | None = None) -> Maps:
    """Draw the maps of the most active channels.

    Args:
        values: Maps, as `read_maps` gives them.
        limits: How many channels, and how large.
        other: Those of the same samples on a comparison's other side, of the same shape: then the
            channels are those that differ most. None where there is no other side.
    """
    if other is None:
        activity = measure_activity(values)
    else:
        activity = measure_activity(values.astype(np.float64) - other)
    channels = np.argsort(-activity, kind="stable")[: limits.channels]
    alone = values.shape[-1] == 1
    side = min(_MATRIX, 3 * limits.side) if alone else limits.side
    small = [_shrink(each[..., channels], side) for each in values]
    others = [] if other is None else [_shrink(each[..., channels], side) for each in other]
    scale = choose_scale(*small, *others)
    height, width = small[0].shape[:2]
    few = height * width * len(channels) < _FEW_PIXELS
    return Maps(
        channels=[] if alone else [str(channel) for channel in channels],
        scale=(scale.low, scale.high),
        palette=scale.palette,
        pictures=[_encode(each, scale, few=few) for each in small],
        others=[_encode(each, scale, few=few) for each in others],
        ratio=width / height,
        pixelated=few,
    )


def _arrange(row: Array, layout: Layout) -> Array:
    """Give a row as (down, across, channel): of frames such as depth the one in the middle."""
    for axis in layout.frames:
        row = row.take([row.shape[axis] // 2], axis)
    plane = [axis for axis in (layout.down, layout.across) if axis is not None]
    order = [*plane, *layout.channels, *layout.frames]
    moved: Array = row.transpose(order)
    return moved.reshape(*moved.shape[:2], -1)


def _shrink(maps: Array, side: int) -> Array:
    """Give the means of square parts of maps, so that no side is longer than `side`."""
    height, width, channels = maps.shape
    step = ceil(max(height, width) / side)
    wide = maps.astype(np.float64)
    if step == 1:
        return wide
    # What doesn't fill a part at the end has a mean of fewer values.
    padded = np.full((-(-height // step) * step, -(-width // step) * step, channels), np.nan)
    there = np.zeros(padded.shape[:2], bool)
    padded[:height, :width], there[:height, :width] = wide, True
    parts = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step, channels)
    parts = np.where(there.reshape(*parts.shape[:4])[..., None], parts, 0)
    counts = there.reshape(parts.shape[:4]).sum((1, 3))
    with np.errstate(invalid="ignore", over="ignore"):
        means: Array = parts.sum((1, 3)) / counts[..., None]
    return means


def _encode(maps: Array, scale: Scale, *, few: bool) -> str:
    """Give maps side by side as a `data:` URI of a WebP image."""
    from PIL import Image

    beside = maps.transpose(0, 2, 1).reshape(maps.shape[0], -1)
    stream = io.BytesIO()
    image = Image.fromarray(paint(beside, scale))
    image.save(stream, "WEBP", lossless=few, quality=100 if few else _QUALITY, method=2)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
