"""Colours of numbers: of the right palette, and for whatever the numbers are."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from kprobe.pictures.colour import INFINITY, NAN, Scale, choose_scale, list_colours, paint


@pytest.mark.parametrize(("palette", "known"), [("viridis", "viridis"), ("red-blue", "RdBu_r")])
def test_the_palettes_are_the_known_ones(palette, known):
    right = colormaps[known](np.arange(256))[:, :3] * 255
    assert np.abs(list_colours(palette) - right).max() <= 2.5


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ([0, 1, 6], Scale(0, 6)),
        ([2, 3], Scale(2, 3)),
        ([-3, -2], Scale(-3, -2)),
        ([-1, 3], Scale(-3, 3, "red-blue")),
        ([-4, 3], Scale(-4, 4, "red-blue")),
        ([-0.17, 6], Scale(-0.17, 6)),  # what swish leaves below 0
        ([np.nan, np.inf, 1, 2, -np.inf], Scale(1, 2)),
        ([0, 0], Scale(-0.5, 0.5)),
        ([8, 8], Scale(4, 12)),
        ([-1e300], Scale(-1.5e300, -0.5e300)),
        ([np.nan], Scale(0, 1)),
        ([], Scale(0, 1)),
    ],
)
def test_the_scale_reaches_from_the_least_to_the_largest(values, right):
    assert choose_scale(np.array(values, float)) == right


def test_what_is_shown_together_has_one_scale():
    parts = np.array([1, 2], "f2"), np.array([-5], "i4"), np.array([np.nan])
    assert choose_scale(*parts) == Scale(-5, 5, "red-blue")
    assert choose_scale(np.array([True, False])) == Scale(0, 1)


def test_colours_run_from_the_first_to_the_last():
    for palette in ("viridis", "red-blue"):
        painted = paint(np.array([[-9, -2, 0, 2, 9]], "f2"), Scale(-2, 2, palette))
        colours = list_colours(palette)
        assert (painted.shape, painted.dtype) == ((1, 5, 3), np.uint8)
        right = [colours[0], colours[0], colours[128], colours[255], colours[255]]
        np.testing.assert_array_equal(painted[0], right)


def test_what_is_not_finite_has_colours_of_its_own():
    values = np.array([np.nan, np.inf, -np.inf, 5e307, -5e307])
    for palette in ("viridis", "red-blue"):
        painted = paint(values, Scale(-1.7e308, 1.7e308, palette))
        colours = list_colours(palette)
        others = [NAN, INFINITY[palette]]
        assert not (colours[:, None] == others).all(-1).any()
        np.testing.assert_array_equal(painted[:3], [NAN, INFINITY[palette], INFINITY[palette]])
        np.testing.assert_array_equal(painted[3:], colours[[165, 90]])
