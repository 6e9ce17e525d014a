"""Photos are read as they are, or smaller, and cut as the model's own images were."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from kprobe.errors import InputError
from kprobe.pipeline.photos import fit_image, read_photo

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def test_images_are_cut_and_padded_in_the_centre():
    np.testing.assert_array_equal(fit_image(PIXELS, "stretch", (5, 5)), PIXELS)
    np.testing.assert_array_equal(fit_image(PIXELS, "crop", (224, 224)), PIXELS[:, 1:7])
    np.testing.assert_array_equal(fit_image(PIXELS, "crop", (1, 4)), PIXELS[2:4])
    padded = fit_image(PIXELS, "pad", (10, 10))
    np.testing.assert_array_equal(padded[1:7], PIXELS)
    assert padded.shape == (8, 8, 3)
    assert not padded[[0, 7]].any()


def test_a_large_photo_is_made_smaller_in_its_ratio(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (2048, 512), (200, 30, 30)).save(path, quality=95)
    assert read_photo(path).shape == (512, 2048, 3)
    small = read_photo(path, 1024)
    assert small.shape == (256, 1024, 3)
    assert np.abs(small.astype(int) - [200, 30, 30]).max() <= 3
    Image.new("L", (5, 4)).save(tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png", 1024).shape == (4, 5, 1)


def test_only_images_of_the_kinds_that_samples_have_are_opened(tmp_path):
    # Pillow knows others, of which some run programs.
    Image.new("RGB", (3, 2)).save(tmp_path / "photo.png", "PPM")
    with pytest.raises(InputError, match="expected an image, received none"):
        read_photo(tmp_path / "photo.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="received a pipe"):
        read_photo(tmp_path / "pipe.png")
    for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        Image.new("RGB", (3, 2)).save(tmp_path / "photo", kind)
        assert read_photo(tmp_path / "photo").shape == (2, 3, 3)
