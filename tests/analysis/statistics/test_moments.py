from __future__ import annotations

import math

import numpy as np
import pytest

from kprobe.analysis.statistics.moments import L1, M2, MEAN, Moments, reduce_block


@pytest.mark.parametrize("rows", [0, 1, 127, 128, 300])
@pytest.mark.parametrize("channels", [1, 5, 100, 200])
def test_a_block_of_any_shape_has_the_moments_of_its_columns(rows, channels):
    rng = np.random.default_rng(0)
    values = (1e4 + rng.normal(size=(rows, channels))).astype(np.float32)
    values[rows // 2 :: 50] = np.nan
    moments = reduce_block(values)
    assert moments.floats.shape == (5, channels)
    for channel in {0, channels // 2, channels - 1}:
        finite = [x for x in values[:, channel].astype(float).tolist() if math.isfinite(x)]
        mean = math.fsum(finite) / max(1, len(finite))
        squares = math.fsum((x - mean) ** 2 for x in finite)
        assert moments.floats[MEAN, channel] == pytest.approx(mean, rel=1e-15)
        assert moments.floats[M2, channel] == pytest.approx(squares, rel=1e-10)
        assert moments.floats[L1, channel] == pytest.approx(math.fsum(finite), rel=1e-14)
        assert moments.counts[:, channel].tolist() == [len(finite), 0, rows - len(finite), 0]


def test_folding_is_merging_what_comes_that_far_apart():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 12)) + np.arange(12) * 1e5
    values[:, 4] = np.nan  # a mean of nothing
    folded = reduce_block(values).fold(4)
    merged = Moments(4)
    for group in range(3):
        merged.merge(reduce_block(np.ascontiguousarray(values[:, group * 4 : group * 4 + 4])))
    np.testing.assert_array_equal(folded.counts, merged.counts)
    np.testing.assert_allclose(folded.floats, merged.floats, rtol=1e-13)
    np.testing.assert_allclose(folded.floats[MEAN, 1], values[:, 1::4].mean())
