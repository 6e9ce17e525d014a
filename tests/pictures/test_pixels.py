"""Rows as images."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.pictures.pixels import find_channels, make_pixels


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((8, 9), -1),
        ((8, 9, 3), 2),
        ((8, 9, 1), 2),
        ((3, 8, 9), 0),
        ((3, 8, 3), 2),
        ((-1, -1, 4), 2),
        ((8, 9, 2), None),
        ((8,), None),
        ((2, 8, 9, 3), None),
    ],
)
def test_channels_are_found(shape, axis):
    assert find_channels(shape) == axis


@pytest.mark.parametrize(
    ("values", "pixels"),
    [
        (np.array([[0, 255]], "u1"), [0, 255]),
        (np.array([[0, 200]], "i8"), [0, 200]),
        (np.array([[0.0, 1.0]], "f4"), [0, 255]),
        (np.array([[0.0, 0.5]], "f4"), [0, 128]),
        (np.array([[0.0, 16.0]], "f4"), [0, 16]),
        (np.array([[-1.0, 1.0]], "f4"), [0, 255]),
        (np.array([[0.0, 510.0]], "f8"), [0, 255]),
        (np.array([[np.nan, np.inf]], "f4"), [0, 0]),
        (np.array([[True, False]]), [255, 0]),
    ],
)
def test_values_mean_black_to_white(values, pixels):
    made = make_pixels(values)
    assert (made.dtype, made.shape) == (np.uint8, (1, 2, 1))
    assert made.ravel().tolist() == pixels


def test_channels_are_put_last():
    row = np.random.default_rng(0).integers(0, 256, (3, 5, 7), np.uint8)
    np.testing.assert_array_equal(make_pixels(row), row.transpose(1, 2, 0))
