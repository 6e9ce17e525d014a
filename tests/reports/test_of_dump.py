from __future__ import annotations

import sys

import numpy as np
import pytest

from kprobe.errors import InputError
from kprobe.reports.of_dump import describe_dump

RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def path(write_dump, tmp_path_factory):
    arrays = {"maps": RNG.random((6, 4, 4, 3)), "vector": RNG.random((6, 3))}
    names = ["a.png", "b.png", "3", "c.png", "d.png", "e.png"]
    return write_dump(tmp_path_factory.mktemp("dumps") / "a.h5", arrays, names=names)


def test_the_first_four_samples_are_shown(path):
    found = describe_dump(path)
    assert found.samples == ["a.png", "b.png", "3", "c.png"]
    assert [len(layer.maps.pictures) if layer.maps else 0 for layer in found.layers] == [4, 0]


def test_samples_are_named_or_numbered(path):
    found = describe_dump(path, ["e.png", 0, "1", "e.png"])
    assert found.samples == ["e.png", "a.png", "b.png"]
    assert found.layers[0].maps.pictures[1:] == describe_dump(path).layers[0].maps.pictures[:2] or (
        found.layers[0].maps.scale != describe_dump(path).layers[0].maps.scale
    )


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (["b.pn"], "has no sample 'b.pn'.*b.png"),
        ([6], "expected a row below 6, received 6"),
        ([0, 1, 2, 3, 4], "expected 4 at most, received 5"),
        ([-1], "has no sample"),
        (["²"], "has no sample"),
    ],
)
def test_samples_that_are_not_there_are_answered(samples, said, path):
    with pytest.raises(InputError, match=said):
        describe_dump(path, samples)


def test_without_pillow_there_are_no_maps_and_it_is_said(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    found = describe_dump(path)
    assert not any(layer.maps for layer in found.layers)
    assert "pip install 'kprobe[report]'" in found.findings[-1].text
