"""How a model is computed is checked where it is said."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.engines.compute import Compute
from kprobe.errors import KprobeError


@pytest.mark.parametrize(
    ("settings", "faults"),
    [
        ({"exact": "yes"}, ("exact: expected True or False, received 'yes'",)),
        ({"device": "tpu"}, ("device: expected 'cpu', 'gpu' or 'gpu:N', received 'tpu'",)),
        (
            {"precision": "bfloat16", "exact": True},
            ("precision: expected 'float32' together with exact, received 'bfloat16'",),
        ),
        (
            {"precision": "bfloat16", "eager": True, "audit": True},
            (
                "precision: expected 'float32' together with eager, received 'bfloat16'",
                "audit: a model that runs eagerly has no graph to be audited",
            ),
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_all_at_once(settings, faults):
    with pytest.raises(KprobeError) as caught:
        Compute(**settings)
    assert caught.value.faults == faults


def test_numbers_of_numpy_become_pythons():
    made = Compute(seed=np.int64(3), batch_size=np.uint8(4))
    assert (made.seed, made.batch_size) == (3, 4)
    assert {type(made.seed), type(made.batch_size)} == {int}
