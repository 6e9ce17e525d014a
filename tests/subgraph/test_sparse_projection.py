"""A sparse random projection follows from its seed, and keeps distances as Li says."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.errors import AddressError
from kprobe.subgraph.sparse_projection import draw_projection


def make_matrix(count, size, seed):
    drawn = draw_projection(count, size, seed)
    matrix = np.zeros((size, count))
    matrix[drawn.outputs, drawn.inputs] = drawn.values
    assert np.count_nonzero(matrix) == len(drawn.values)  # none is there twice
    return matrix


def test_entries_are_as_often_there_as_they_should_be():
    count, size = 2500, 400
    matrix = make_matrix(count, size, 3)
    share, cells = 1 / 50, count * size
    there = np.count_nonzero(matrix)
    assert abs(there - cells * share) < 5 * np.sqrt(cells * share)
    assert abs(np.count_nonzero(matrix > 0) - there / 2) < 5 * np.sqrt(there) / 2
    np.testing.assert_allclose(np.unique(np.abs(matrix)), [0, np.sqrt(50 / size)])
    # Nowhere more of them than elsewhere.
    halves = [np.count_nonzero(half) for half in (*np.split(matrix, 2), *np.split(matrix, 2, 1))]
    assert all(abs(half - there / 2) < 5 * np.sqrt(there) / 2 for half in halves)


def test_squared_distances_stay_on_average():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 900))
    expected = np.sum((one - other) ** 2)
    ratios = [
        np.sum((make_matrix(900, 64, seed) @ (one - other)) ** 2) / expected for seed in range(200)
    ]
    # Their standard deviation is near the square root of 2/64, and their mean's 200 times less.
    assert abs(np.mean(ratios) - 1) < 5 * np.sqrt(2 / 64 / 200)


def test_it_follows_from_the_seed_on_every_machine():
    drawn = draw_projection(10, 3, 7)
    assert drawn.outputs.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 2]
    assert drawn.inputs.tolist() == [0, 4, 6, 0, 1, 4, 6, 7, 8]
    assert np.sign(drawn.values).tolist() == [-1, -1, 1, -1, 1, -1, 1, -1, -1]
    assert not np.array_equal(make_matrix(10, 3, 7), make_matrix(10, 3, 8))


def test_one_value_is_projected_to_several():
    np.testing.assert_allclose(np.abs(make_matrix(1, 4, 0)), 0.5)


def test_a_matrix_that_is_too_large_is_refused():
    with pytest.raises(AddressError, match=r"from 1,000,000 to 1,000,000 values has about 1,0"):
        draw_projection(10**6, 10**6, 0)
