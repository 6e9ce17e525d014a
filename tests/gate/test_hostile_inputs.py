"""Samples that somebody could send are refused in a line, or read right, in little memory."""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from collection import read_cases
from gate.hostile.input_case import InputCase

import kprobe
from kprobe.errors import KprobeError
from kprobe.image_options import ImageOptions
from kprobe.inputs import files

_MEMORY = 1500 << 20  # bytes, of all that a case may take


@pytest.fixture(scope="module")
def models():
    made = {}
    for name, shape in {"values": (4,), "images": (8, 8, 3)}.items():
        x = keras.Input(shape)
        made[name] = keras.Model(x, keras.layers.Activation("linear", name="same")(x))
    return made


@pytest.fixture(autouse=True)
def little_memory():
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("case", read_cases(InputCase), ids=lambda case: case.name)
def test_samples_are_refused_in_a_line_or_read_right(case, models, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_PATIENCE", 0.05)
    marker, folder = tmp_path / "marker", tmp_path / "samples"
    folder.mkdir()
    given = case.make(folder, marker)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    settings = dict(case.settings)
    if "max_pixels" in settings:
        settings["images"] = ImageOptions(max_pixels=settings.pop("max_pixels"))
    read = partial(kprobe.activations, models[case.model], ["same"], inputs=str(given), **settings)
    if case.said is None:
        np.testing.assert_array_equal(read()["same"], case.right)
    else:
        with pytest.raises(KprobeError, match=case.said) as refused:
            read()
        (line,) = refused.value.lines
        assert "\n" not in line
        assert len(line.replace(str(tmp_path), "")) < 300
    assert not marker.exists()
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
