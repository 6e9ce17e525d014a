"""Dump the activations of any layer of a saved Keras model to HDF5.

    import kprobe

    kprobe.dump("model.h5", "conv5_3,rpn_class", inputs="images.npy", output="acts.h5")
    with kprobe.open_dump("acts.h5") as dump:
        dump["conv5_3"][0]

    model = kprobe.load_model("model.h5")
    function = kprobe.function(model, ["conv5_3", "encoder@1/d1"])
    function(images)["conv5_3"]

Importing it imports neither TensorFlow nor Keras; what needs them does so when it is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kprobe.version import __version__ as __version__

if TYPE_CHECKING:
    from kprobe.api import activations as activations
    from kprobe.api import cam as cam
    from kprobe.api import check as check
    from kprobe.api import diff as diff
    from kprobe.api import dump as dump
    from kprobe.api import function as function
    from kprobe.api import load_model as load_model
    from kprobe.api import plot as plot
    from kprobe.api import report as report
    from kprobe.api import similarity as similarity
    from kprobe.api import stats as stats
    from kprobe.dumps.reader import Dump as Dump
    from kprobe.dumps.reader import open_dump as open_dump
    from kprobe.errors import KprobeError as KprobeError
    from kprobe.image_options import ImageOptions as ImageOptions
    from kprobe.preprocessing import Preprocessing as Preprocessing

_HOMES = {
    "Dump": "kprobe.dumps.reader",
    "ImageOptions": "kprobe.image_options",
    "KprobeError": "kprobe.errors",
    "Preprocessing": "kprobe.preprocessing",
    "activations": "kprobe.api",
    "cam": "kprobe.api",
    "check": "kprobe.api",
    "diff": "kprobe.api",
    "dump": "kprobe.api",
    "function": "kprobe.api",
    "load_model": "kprobe.api",
    "merge": "kprobe.api",
    "open_dump": "kprobe.dumps.reader",
    "plot": "kprobe.api",
    "report": "kprobe.api",
    "similarity": "kprobe.api",
    "stats": "kprobe.api",
}
__all__ = [
    "Dump",
    "ImageOptions",
    "KprobeError",
    "Preprocessing",
    "activations",
    "cam",
    "check",
    "diff",
    "dump",
    "function",
    "load_model",
    "merge",
    "open_dump",
    "plot",
    "report",
    "similarity",
    "stats",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kprobe' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
