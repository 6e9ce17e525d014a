"""What may be asked for of pictures, and what is said of all that may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kprobe.errors import InputError
from kprobe.pipeline.plotting.spec import PlotSpec


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("0:16", [slice(0, 16)]),
        ("3, 7,-1", [3, 7, -1]),
        (":8,::4", [slice(None, 8), slice(None, None, 4)]),
        (5, [5]),
        ([1, "2:4", slice(9, None)], [1, slice(2, 4), slice(9, None)]),
        (np.int64(4), [4]),
        (range(2), [0, 1]),
        (None, None),
    ],
)
def test_channels_are_numbers_and_slices(given, right):
    assert PlotSpec(channels=given).look.channels == right


@pytest.mark.parametrize(
    ("given", "right"),
    [(3, [3]), ("a.jpg", ["a.jpg"]), ([1, Path("b"), np.int8(2)], [1, "b", 2]), (None, None)],
)
def test_samples_are_numbers_and_names(given, right):
    assert PlotSpec(samples=given).samples == right


def test_boxes_are_a_kind():
    assert PlotSpec(boxes="rel_yxyx").look.kind == "boxes"
    assert PlotSpec(boxes="xyxy", kind="boxes", overlay=Path("a")).overlay == "a"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"channels": "0-16"}, "channels: expected numbers such as 0:16 or 3,7, received '0-16'"),
        ({"channels": "1::0"}, "channels: expected numbers such as 0:16 or 3,7, received '1::0'"),
        ({"channels": 1.5}, "channels: expected numbers such as 0:16, received 1.5"),
        ({"channels": []}, "channels: expected one or more, received none"),
        ({"channels": True}, "channels: expected numbers such as 0:16, received True"),
        ({"samples": 1.5}, "samples: expected numbers or names of samples, received 1.5"),
        ({"samples": ()}, "samples: expected one or more, received none"),
        ({"overlay": 3}, "overlay: expected a path, received 3"),
        ({"pca": 1}, "pca: expected True or False, received 1"),
        ({"boxes": "xyxy", "kind": "maps"}, "boxes: expected no other kind, received 'maps'"),
        (
            {"pca": True, "samples": 3, "kind": "maps"},
            "pca: shows all samples as points; expected no samples, kind",
        ),
    ],
)
def test_what_can_not_be_meant_has_a_line(settings, line):
    with pytest.raises(InputError) as refused:
        PlotSpec(**settings)
    assert str(refused.value) == line


def test_the_nearest_kind_and_format_are_named():
    with pytest.raises(InputError) as refused:
        PlotSpec(kind="map", boxes="xyyx")
    kind, boxes = refused.value.faults
    assert kind.endswith("received 'map'; did you mean 'maps'?")
    assert boxes.startswith("boxes: expected 'xyxy', 'yxyx', ")
    with pytest.raises(InputError, match="kind: expected boxes, too, for boxes: one of xyxy, yxyx"):
        PlotSpec(kind="boxes")
