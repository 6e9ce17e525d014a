from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kprobe.analysis.statistics.blocks import Extremes, Scanner, reduce_rows
from kprobe.analysis.statistics.moments import Moments
from kprobe.analysis.statistics.sketch import Sketch

# A block of 32 MB, and then more of them than the kernels are worth.
IMPORTS = """
import sys
import numpy as np
from kprobe.analysis.statistics.accumulate import Statistics
import kprobe.analysis.statistics.stream
statistics = Statistics((1000,), np.float32, detail="moments")
values = np.ones((8000, 1000), np.float32)
statistics.add(values, 0)
assert "numba" not in sys.modules
for first in range(8000, 80_000, 8000):
    statistics.add(values, first)
assert "numba" in sys.modules
assert not {"tensorflow", "keras", "tf_keras", "click"} & {*sys.modules}
assert statistics.summarize().l1 == 80_000_000
"""


def test_few_values_do_not_wait_for_numba_and_no_tensorflow_is_imported():
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 64, 257])
def test_compiled_or_not_it_is_the_same(channels, dtype):
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(size=(2000, channels)), -2, None).astype(dtype)
    values[1500:1502, channels // 2] = np.nan, -np.inf
    values[::7] = 0
    found = []
    for compiled in False, True:
        moments, extremes, sketch, scanner = (
            Moments(channels),
            Extremes(),
            Sketch(wide=dtype == np.float64),
            Scanner(compiled),
        )
        odd = [
            scanner.add(values[first : first + 500], moments, extremes, sketch)
            for first in range(0, 2000, 500)
        ]
        assert odd == [(False, False)] * 3 + [(True, True)]
        scanner.finish(sketch)
        found.append((moments, extremes, sketch))
    (one, ends, bins), (other, other_ends, other_bins) = found
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.floats[3:], other.floats[3:])
    np.testing.assert_allclose(one.floats[:3], other.floats[:3], rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(ends.values, other_ends.values)
    np.testing.assert_array_equal(ends.counts, other_ends.counts)
    np.testing.assert_array_equal(bins.keys, other_bins.keys)
    np.testing.assert_array_equal(bins.counts, other_bins.counts)
    assert ends.counts[0] == np.count_nonzero(values == -2) > 1


@pytest.mark.parametrize("size", [1, 300, 20_000])
def test_each_row_has_moments_of_its_own(size):
    values = np.random.default_rng(0).normal(size=(40, size)).astype(np.float32)
    moments = reduce_rows(values, Scanner())
    np.testing.assert_allclose(moments.floats[0], values.mean(1, dtype=np.float64), atol=1e-14)
    np.testing.assert_array_equal(moments.floats[3], values.min(1))
    assert (moments.counts[0] == size).all()


def test_values_that_do_not_fit_the_bins_are_refused():
    with pytest.raises(ValueError, match="expected float32 as its bins are, received float64"):
        Scanner(compiled=True).add(np.ones((4, 1)), Moments(1), Extremes(), Sketch())
