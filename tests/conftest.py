"""What every room's tests share: the sample models, and TensorFlow imported once a process."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

# Before TensorFlow is imported anywhere: its start-up lines have no other switch.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import numpy as np
import pytest

# Else each process that a test starts compiles kprobe anew, 0.5 s of it, and pytest all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# The same examples each time: what is found by chance, nobody else finds again.
hypothesis.settings.register_profile("kprobe", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("kprobe")

pytest_plugins = ["drawable", "model_files", "warm"]
SAMPLES = Path(__file__).parent.parent / "sample_models"
# What takes longest, longest first, so that one process doesn't work on it when the others are
# done. With `--dist loadfile` a file is one process's, for the sake of its fixtures.
LONGEST = [
    "cli/test_detector.py",
    "trace/recording/test_graph_mode.py",
    "cli/test_models_as_code.py",  # in the process of the first: both need an old `keras`
    "pipeline/test_killed_runs.py",
    "models/test_saved_model.py",
    "cli/test_error_boundary.py",
    "models/test_old.py",
    "gate/test_collection.py",
    "pipeline/comparing/test_local.py",
    "compat/test_untouched.py",
    "trace/test_constructions.py",
    "trace/recording/test_dropped.py",
    "trace/test_address_table.py",
    "trace/test_nested_functions.py",
    "trace/test_backbones.py",
    "trace/test_weights.py",
    "trace/test_operations.py",
    "trace/recording/test_copy_restored.py",
    "trace/recording/test_recorder.py",
    "trace/recording/test_composite.py",
    "test_imports.py",
    "test_layers.py",
]


def pytest_configure(config):
    if hasattr(config.option, "loadscopereorder"):
        # xdist would begin with the file that has most tests, and end with the longest ones.
        config.option.loadscopereorder = False
        # A process that a test ended is replaced by one that begins with the same test. So none is.
        config.option.maxworkerrestart = "0"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("pages"):
            item.add_marker(pytest.mark.timeout(3600))  # the README's block is all of the others


def pytest_collection_finish():
    # What was imported and collected stays. Else each full collection of garbage goes through it.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the sample models."""
    return SAMPLES


@pytest.fixture(scope="session")
def shapes_rpn():
    """A Keras 2 model: VGG-style, one input, three outputs."""
    from kprobe.models.load import load_source

    return load_source(SAMPLES / "shapes_rpn.h5")


@pytest.fixture(scope="session")
def digits_cnn():
    """A Keras 3 model with batch norm and dropout."""
    from kprobe.models.load import load_source

    return load_source(SAMPLES / "digits_cnn.keras")


@pytest.fixture(scope="session")
def siamese():
    """A Keras 3 model with two inputs, a shared nested model and an operation."""
    from kprobe.models.load import load_source

    return load_source(SAMPLES / "siamese.keras")


@pytest.fixture(scope="session")
def shapes() -> np.ndarray:
    """Images for `shapes_rpn`: float32, (rows, 64, 64, 3)."""
    with np.load(SAMPLES / "shapes.npz") as arrays:
        return arrays["image"]


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """Scans for `digits_cnn`: float32, (rows, 8, 8, 1)."""
    with np.load(SAMPLES / "digits.npz") as arrays:
        return arrays["scan"]


@pytest.fixture(scope="session")
def kprobe_command():
    """The command line as a person runs it: `kprobe` in a process of its own."""
    return [sys.executable, "-m", "kprobe"]
