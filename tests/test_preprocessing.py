"""What is done to an input is checked where it is said."""

from __future__ import annotations

import numpy as np
import pytest

import kprobe


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"scale": "1/255"}, "scale: expected a finite number, received '1/255'"),
        ({"scale": float("nan")}, "scale: expected a finite number, received nan"),
        ({"scale": True}, "scale: expected a finite number, received True"),
        ({"scale": 10**400}, f"scale: expected a finite number, received {10**400}"),
        ({"mean": []}, "mean: expected finite numbers, received []"),
        ({"mean": ["a"]}, "mean: expected finite numbers, received ['a']"),
        ({"std": 0}, "std: expected finite numbers other than 0, received 0"),
        ({"std": [1, 0, 1]}, "std: expected finite numbers other than 0, received [1, 0, 1]"),
        ({"preprocess": 50}, "preprocess: expected a family of keras.applications, received 50"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, fault):
    with pytest.raises(kprobe.KprobeError) as caught:
        kprobe.Preprocessing(**options)
    assert caught.value.faults == (fault,)


def test_numbers_of_numpy_become_pythons():
    made = kprobe.Preprocessing(scale=np.float32(2), mean=np.array([1, 2]), std=np.float64(4))
    assert made == kprobe.Preprocessing(scale=2.0, mean=(1.0, 2.0), std=(4.0,))
    assert [type(each) for each in (made.scale, *made.mean)] == [float] * 3
