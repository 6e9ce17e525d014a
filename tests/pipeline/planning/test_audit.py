"""The proof that fetching disturbs nothing, and that the proof can fail."""

from __future__ import annotations

import numpy as np
import pytest

import kprobe
from kprobe.pipeline.planning.audit import count_ulps


def test_neighbours_differ_by_one_unit_across_zero_too():
    for dtype in (np.float16, np.float32, np.float64):
        one = np.array([1.0, -1.0, 0.0, 1e-3], dtype)
        assert count_ulps(one, one) == 0
        assert count_ulps(one, np.nextafter(one, dtype(2))) == 1
        tiny = np.nextafter(dtype(0), dtype(1))
        assert count_ulps(np.array([-tiny]), np.array([tiny])) == 2
    assert count_ulps(np.array([0.0], "f4"), np.array([-0.0], "f4")) == 0


@pytest.mark.parametrize("exact", [True, False])
def test_an_audit_is_stored_and_zero_for_an_exact_dump(siamese, tmp_path, exact):
    output = tmp_path / "a.h5"
    kprobe.dump(siamese, None, output=output, exact=exact, audit=True)
    with kprobe.open_dump(output) as dump:
        ulps = dump.attrs["audit_ulps"]
    # How many there are otherwise depends on the processor.
    assert ulps == 0 if exact else ulps >= 0
