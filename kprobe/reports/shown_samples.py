"""Which samples of a dump there are pictures of."""

from __future__ import annotations

import base64
import io
import os
import re
from typing import TYPE_CHECKING

import numpy as np

from kprobe.errors import InputError
from kprobe.inputs.images.pillow import check_pillow
from kprobe.naming import name_nearest
from kprobe.pictures.tiles import shrink_image
from kprobe.pipeline.plotting.of_file import find_form
from kprobe.pipeline.plotting.sample_images import SampleImages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kprobe.dumps.reader import Dump

MOST_SAMPLES = 4
_SIDE = 256  # pixels of an image's longer side
_QUALITY = 80
# More digits than of any row; Python itself takes no more than 4,300.
_ROW = re.compile("[0-9]{1,18}")


def choose_rows(dump: Dump, samples: Sequence[str | int]) -> list[int]:
    """Choose the rows of samples.

    Args:
        dump: The dump.
        samples: Their names or rows, up to four; none for the first four that could be read.

    Returns:
        Their rows, in the order asked for.

    Raises:
        InputError: There is no such sample, or there are too many.
    """
    if len(samples) > MOST_SAMPLES:
        raise InputError(
            f"samples: expected {MOST_SAMPLES} at most, received {len(samples):,}",
            hint="make several reports",
        )
    if not samples:
        valid = dump.read_valid(0, min(dump.committed, 1 << 16))
        known = range(dump.committed) if valid is None else np.flatnonzero(valid).tolist()
        return [int(row) for row in known[:MOST_SAMPLES]]
    rows: dict[int, None] = {}
    names: list[str] | None = None
    for sample in samples:
        number = int(sample) if _ROW.fullmatch(str(sample)) else None
        if number is None:
            names = dump.describe_samples()["sample"].tolist() if names is None else names
            if str(sample) not in names:
                raise InputError(
                    f"{dump.path}: has no sample {sample!r}",
                    hint=name_nearest(str(sample), names, 3),
                )
            number = names.index(str(sample))
        if number >= dump.committed:
            raise InputError(
                f"{dump.path}: expected a row below {dump.committed:,}, received {number:,}"
            )
        rows[number] = None
    return list(rows)


def name_samples(dump: Dump, rows: Sequence[int]) -> list[str]:
    """Give the names of samples, each with its label where it has one."""
    names = []
    for row in rows:
        known = dump.describe_samples(row, row + 1)
        label = f" ({known['label'][0]})" if "label" in known else ""
        names.append(f"{known['sample'][0]}{label}")
    return names


def draw_images(dump: Dump, rows: Sequence[int], place: str | os.PathLike[str] | None) -> list[str]:
    """Give the images that samples were made from.

    Nothing is read that wasn't named: a stranger's dump may name any file as its input.

    Args:
        dump: The dump.
        rows: The samples.
        place: Where the images are, as `SampleImages` takes it; None for no images.

    Returns:
        A `data:` URI of a WebP image for each sample, in the ratio in which the model takes it
        where the photo was cut or padded, else in its own.

    Raises:
        InputError: One isn't there, or can't be read.
        KprobeError: There is no Pillow.
    """
    if place is None:
        return []
    check_pillow("images")
    from PIL import Image

    images = SampleImages(os.fspath(place), find_form(dump.attrs))
    drawn = []
    for row in rows:
        name = str(dump.describe_samples(row, row + 1)["sample"][0])
        pixels = shrink_image(images.read(row, name), _SIDE)
        shown = pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(shown)).convert("RGB").save(
            stream, "WEBP", quality=_QUALITY
        )
        drawn.append(f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}")
    return drawn
