"""The most active channels, by the mean of magnitudes."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.pictures.channels import find_most_active, measure_activity


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "?", "c8"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_activity_is_the_mean_magnitude(dtype, axis):
    values = (np.random.default_rng(0).normal(size=(7, 9, 11)) * 3).astype(dtype)
    others = tuple(place for place in range(3) if place != axis % 3)
    right = np.abs(values.astype("c16")).mean(others)
    np.testing.assert_allclose(measure_activity(values, axis), right, rtol=1e-12)


def test_large_maps_are_gone_through_in_blocks():
    values = np.random.default_rng(0).normal(size=(300, 200, 5)).astype("f2")
    right = np.abs(values.astype("f8"))
    np.testing.assert_allclose(measure_activity(values), right.mean((0, 1)), rtol=1e-12)
    moved = np.moveaxis(values, -1, 0)
    np.testing.assert_allclose(measure_activity(moved, 0), right.mean((0, 1)), rtol=1e-12)
    view = values[::2, :, ::-1]
    np.testing.assert_allclose(measure_activity(view), right[::2].mean((0, 1))[::-1], rtol=1e-12)


def test_what_is_not_finite_does_not_count():
    values = np.array([[1, np.nan, 9, np.nan], [3, 5, -np.inf, np.inf]])
    np.testing.assert_array_equal(measure_activity(values), [2, 5, 9, 0])


def test_the_most_active_come_first_and_equal_ones_in_order():
    values = np.array([[0, -5, 2, 5, 7]], "f2")
    assert find_most_active(values, most=4) == [4, 1, 3, 2]
    assert find_most_active(values, most=9) == [4, 1, 3, 2, 0]
    assert find_most_active(np.zeros((0, 3))) == [0, 1, 2]
