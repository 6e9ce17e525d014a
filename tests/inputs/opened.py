"""Samples opened as a run opens them that needs every input, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.errors import InputError
from kprobe.inputs import SampleSpec, open_samples


def open_all(given, inputs, *, feeds=(), **options):
    """Open the samples of all inputs of a model."""
    samples = open_samples(SampleSpec(inputs=given, **options), inputs, feeds=feeds)
    try:
        samples.restrict([model_input.name for model_input in inputs])
    except BaseException:
        samples.close()
        raise
    return samples


def refuse(texts, *inputs, **options):
    """Give the faults and the hint of what can't be opened."""
    with pytest.raises(InputError) as caught:
        open_all(texts, inputs, **options)
    assert caught.value.exit_code == 2
    assert all("\n" not in fault for fault in caught.value.faults)
    return list(caught.value.faults), caught.value.hint


def save(name, shape, dtype="float32"):
    np.save(name, np.zeros(shape, dtype))
