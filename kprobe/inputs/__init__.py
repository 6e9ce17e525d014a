"""Inputs: batches of samples from what the user points at, each row with its identity."""

from kprobe.inputs.model_input import ModelInput
from kprobe.inputs.opening import open_arrays, open_sources
from kprobe.inputs.samples import Samples
from kprobe.inputs.source import Source

__all__ = ["ModelInput", "Samples", "Source", "open_arrays", "open_sources"]
