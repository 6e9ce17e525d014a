"""A model that fails alike however it is called: its failure is told once."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras

from kprobe.errors import InputError
from kprobe.trace.recording.learn import learn_signature

ROWS = np.ones((1, 4), "float32")
KERASES = pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])


def make_model(k, call):
    class Net(k.Model):
        def call(self, x, y=None):
            return call(x)

    return Net()


def fail_always(x):
    raise RuntimeError("the tower leans")


def fail_by_kind(x):
    raise RuntimeError(f"no {type(x).__name__}" if isinstance(x, dict | list) else "the rest")


def learn(model, **sample):
    with pytest.raises(InputError) as caught:
        learn_signature(model, sample)
    return caught.value.faults[0]


@KERASES
@pytest.mark.parametrize("names", [("x",), ("a",), ("x", "y"), ("a", "b")], ids=" ".join)
def test_equal_failures_are_told_once(k, names):
    told = learn(make_model(k, fail_always), **dict.fromkeys(names, ROWS))
    assert told.count("the tower leans") == 1


@KERASES
def test_different_failures_are_each_told(k):
    told = learn(make_model(k, fail_by_kind), x=ROWS)
    assert [told.count(f"no {kind}") for kind in ("dict", "list")] == [1, 1]
    assert told.count("the rest") == 1
