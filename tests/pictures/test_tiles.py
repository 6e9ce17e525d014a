"""Many maps as one image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from kprobe.pictures.colour import Scale, paint
from kprobe.pictures.tiles import GAP, shrink, shrink_image, tile


def test_maps_stand_side_by_side():
    planes = [np.full((30, 40), value) for value in (0.0, 0.5, 1.0)]
    scale = Scale(0, 1)
    canvas, size = tile(planes, 2, scale)
    assert size == (30, 40)
    assert canvas.shape == (60 + GAP, 80 + GAP, 3)
    for number, (top, left) in enumerate([(0, 0), (0, 40 + GAP), (30 + GAP, 0)]):
        part = canvas[top : top + 30, left : left + 40]
        np.testing.assert_array_equal(part, paint(planes[number], scale))
    assert (canvas[30 + GAP :, 40:] == 255).all()
    assert (canvas[30 : 30 + GAP] == 255).all()


def test_small_maps_are_enlarged_so_that_gaps_are_thin():
    plane = np.array([[0.0, 1.0]])
    canvas, size = tile([plane], 1, Scale(0, 1))
    assert size == (12, 24)
    np.testing.assert_array_equal(canvas[:, :12], np.broadcast_to(canvas[0, 0], (12, 12, 3)))


@pytest.mark.parametrize("shape", [(10, 10), (64, 3), (1000, 2), (7, 129)])
def test_large_maps_become_means(shape):
    plane = np.random.default_rng(0).normal(size=shape).astype("f2")
    small = shrink(plane, 64)
    assert small.shape == tuple(min(size, 64) for size in shape)
    if shape == (1000, 2):
        edges = np.linspace(0, 1000, 65).round().astype(int)
        means = [plane[a:b].astype("f8").mean(0) for a, b in pairwise(edges)]
        np.testing.assert_allclose(small, means)
    if max(shape) <= 64:
        np.testing.assert_array_equal(small, plane)


def test_nan_is_not_lost_among_many_values():
    plane = np.zeros((500, 500))
    plane[123, 321] = np.nan
    plane[7, 8] = np.inf
    small = shrink(plane, 64)
    assert (np.isnan(small).sum(), np.isinf(small).sum()) == (1, 1)


def test_a_large_image_keeps_its_ratio():
    image = np.arange(40 * 100 * 3).reshape(40, 100, 3).astype(np.uint8)
    small = shrink_image(image, 50)
    assert small.shape == (20, 50, 3)
    right = image.reshape(20, 2, 50, 2, 3).mean((1, 3))
    assert np.abs(small - right).max() <= 0.5
    assert shrink_image(image, 100) is image
    assert shrink_image(image[:1], 2).shape == (1, 2, 3)
