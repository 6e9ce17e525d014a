"""A map over an image."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kprobe.pictures.colour import NAN, Scale, list_colours
from kprobe.pictures.overlay import overlay, stretch


def test_a_map_is_stretched_as_pillow_does():
    heat = np.random.default_rng(0).normal(size=(7, 5)).astype("f4")
    right = Image.fromarray(heat).resize((83, 64), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(stretch(heat, 64, 83), np.asarray(right), atol=1e-5)
    np.testing.assert_array_equal(stretch(heat, 7, 5), heat)
    np.testing.assert_array_equal(stretch(np.ones((1, 1)), 3, 2), np.ones((3, 2)))


def test_what_is_low_shows_the_image_and_what_is_high_the_colour():
    image = np.random.default_rng(0).integers(0, 256, (2, 2, 3), np.uint8)
    heat = np.array([[0.0, 1.0], [np.nan, 0.0]])
    mixed = overlay(image, heat, Scale(0, 1))
    np.testing.assert_array_equal(mixed[[0, 1], [0, 1]], image[[0, 1], [0, 1]])
    right = image[0, 1] * 0.25 + list_colours("viridis")[255] * 0.75
    assert np.abs(mixed[0, 1] - right).max() <= 0.5
    np.testing.assert_array_equal(mixed[1, 0], NAN)


def test_around_0_it_is_0_that_shows_the_image():
    image = np.full((1, 3, 1), 100, np.uint8)
    mixed = overlay(image, np.array([[-2.0, 0.0, 2.0]]), Scale(-2, 2, "red-blue"))
    assert mixed[0, 1].tolist() == [100, 100, 100]
    assert mixed[0, 0, 2] > mixed[0, 0, 0]  # blue
    assert mixed[0, 2, 0] > mixed[0, 2, 2]  # red


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 2), (4, 6, 3), (4, 6, 4)])
def test_images_may_have_any_channels(shape):
    image = np.full(shape, 50, np.uint8)
    mixed = overlay(image, np.zeros((2, 2)), Scale(0, 1))
    np.testing.assert_array_equal(mixed, np.full((4, 6, 3), 50))
