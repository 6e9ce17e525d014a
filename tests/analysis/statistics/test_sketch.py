from __future__ import annotations

import numpy as np
import pytest

from kprobe.analysis.statistics.sketch import RELATIVE_ERROR, Sketch, count_keys, find_keys

PLACES = tuple(np.linspace(0, 1, 1001))


def make_sketch(values):
    sketch = Sketch(wide=values.dtype == np.float64)
    sketch.add_counts(*count_keys(find_keys(values)))
    return sketch


def make_values(dtype=np.float32):
    """Of both signs and all magnitudes, with zeros."""
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(-80, 85, 50_000)) * rng.choice([-1, 1], 50_000)
    values[::10] = 0
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantiles_are_as_near_as_they_say_and_hardly_nearer(dtype):
    values = make_values(dtype)
    got = np.array(make_sketch(values).find_quantiles(PLACES))
    right = np.quantile(values.astype(np.float64), PLACES, method="lower")
    assert (got[right == 0] == 0).all()
    apart = np.abs(got - right)[right != 0] / np.abs(right[right != 0])
    assert 0.9 * RELATIVE_ERROR < apart.max() <= RELATIVE_ERROR


def test_sketches_are_merged_exactly_in_any_order():
    values = make_values()
    whole = make_sketch(values)
    rng = np.random.default_rng(1)
    for _ in range(5):
        parts = [make_sketch(part) for part in np.array_split(rng.permutation(values), 9)]
        while len(parts) > 1:
            one = parts.pop(rng.integers(len(parts)))
            parts[rng.integers(len(parts))].merge(one)
        np.testing.assert_array_equal(parts[0].keys, whole.keys)
        np.testing.assert_array_equal(parts[0].counts, whole.counts)


def test_what_is_not_finite_is_in_no_bin():
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, 1, 3], np.float32)
    sketch = make_sketch(values)
    assert sketch.counts.sum() == 2
    assert sketch.find_quantiles((0, 1)) == pytest.approx([1, 3], rel=RELATIVE_ERROR)
    assert make_sketch(values[:4]).find_quantiles((0.5,)) == []


def test_doubles_are_as_near_as_singles_however_large_or_small():
    rng = np.random.default_rng(0)
    values = np.exp(rng.uniform(-700, 709, 50_000)) * rng.choice([-1, 1], 50_000)
    got = np.array(make_sketch(values).find_quantiles(PLACES))
    right = np.quantile(values, PLACES, method="lower")
    apart = np.abs(got - right) / np.abs(right)
    assert 0.9 * RELATIVE_ERROR < apart.max() <= RELATIVE_ERROR


def test_integers_are_exact_below_256():
    values = np.arange(-255, 256, dtype=np.float32)
    got = make_sketch(values).find_quantiles(tuple((np.arange(511) + 0.25) / 510), whole=True)
    assert got == values.tolist()


def test_values_between_edges_are_counted():
    values = np.array([0, 0, 0, 1, 2, 2, -4, 8], np.float32)
    sketch = make_sketch(values)
    assert sketch.count_between(np.array([-5.0, -1, 0.5, 1.5, 5, 9])).tolist() == [1, 3, 1, 2, 1]
    assert sketch.count_between(np.array([-5.0, 9])).tolist() == [8]
    assert Sketch().count_between(np.array([0.0, 1, 2])).tolist() == [0, 0]
