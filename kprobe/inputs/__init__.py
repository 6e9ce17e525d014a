"""Inputs: batches of samples from what the user points at, each row with its identity.

Its names are imported when they are asked for: a help page needs no h5py.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kprobe.inputs.opening import open_samples as open_samples
    from kprobe.inputs.samples import Samples as Samples
    from kprobe.inputs.sources.model_input import ModelInput as ModelInput
    from kprobe.inputs.sources.source import Source as Source
    from kprobe.inputs.spec import SampleSpec as SampleSpec

_HOMES = {
    "ModelInput": "kprobe.inputs.sources.model_input",
    "SampleSpec": "kprobe.inputs.spec",
    "Samples": "kprobe.inputs.samples",
    "Source": "kprobe.inputs.sources.source",
    "open_samples": "kprobe.inputs.opening",
}
__all__ = ["ModelInput", "SampleSpec", "Samples", "Source", "open_samples"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kprobe.inputs' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
