"""What an image costs is told by its bytes, and honest ones pass."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from kprobe.inputs.images.bounds import MOST_PIXELS, find_excess, keep_first_frame

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8))


def encode(kind, image=PHOTO, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}), ("BMP", {}), ("GIF", {}), ("WEBP", {}), ("TIFF", {}), ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + b"\xff\xda" * 20, "comment": b"text"}),
        ("JPEG", {"icc_profile": bytes(100_000)}),
        ("PNG", {"icc_profile": bytes(100_000)}),
        ("GIF", {"save_all": True, "append_images": [PHOTO] * 5, "loop": 0, "comment": b"c" * 999}),
    ],
)  # fmt: skip
def test_an_honest_image_is_within_bounds_by_its_own_pixels(kind, options):
    content = encode(kind, **options)
    assert find_excess(content) is None
    assert find_excess(content, 50 * 70) is None
    assert find_excess(content, 50 * 70 - 1) == (
        "the image is too large: expected 3,499 pixels at most (max_pixels), received 50 x 70"
    )


def test_what_is_no_image_has_no_excess():
    assert find_excess(b"") is None
    assert find_excess(b"nothing") is None
    assert MOST_PIXELS == Image.MAX_IMAGE_PIXELS


def test_of_a_gif_the_first_frame_is_kept_as_it_is():
    several = encode("GIF", save_all=True, append_images=[PHOTO.rotate(90), PHOTO.rotate(180)])
    first = keep_first_frame(several)
    assert len(first) < len(several)
    with Image.open(io.BytesIO(first)) as cut, Image.open(io.BytesIO(several)) as whole:
        assert (cut.n_frames, whole.n_frames) == (1, 3)
        np.testing.assert_array_equal(cut.convert("RGB"), whole.convert("RGB"))
    single = encode("GIF")
    assert keep_first_frame(single) == single
    for cut_short in (single[:-50], single[:20], b"GIF89a"):
        assert keep_first_frame(cut_short) == cut_short
    assert keep_first_frame(encode("PNG")) == encode("PNG")
