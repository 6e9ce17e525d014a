"""Samples opened as a run opens them that needs every input."""

from __future__ import annotations

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
