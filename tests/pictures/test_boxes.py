"""Where boxes are, by what their numbers mean."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.pictures.boxes import BOX_FORMATS, find_corners

RIGHT = [20, 10, 60, 40]  # left, top, right and bottom, of an image of 50 x 100
WRITTEN = {
    "xyxy": [20, 10, 60, 40],
    "yxyx": [10, 20, 40, 60],
    "xywh": [20, 10, 40, 30],
    "center_xywh": [40, 25, 40, 30],
    "rel_xyxy": [0.2, 0.2, 0.6, 0.8],
    "rel_yxyx": [0.2, 0.2, 0.8, 0.6],
    "rel_xywh": [0.2, 0.2, 0.4, 0.6],
    "rel_center_xywh": [0.4, 0.5, 0.4, 0.6],
}


@pytest.mark.parametrize("form", BOX_FORMATS)
def test_every_format_means_the_same_box(form):
    corners = find_corners(np.array([[WRITTEN[form]]], "f4"), form, height=50, width=100)
    np.testing.assert_allclose(corners, [RIGHT], rtol=1e-6)


def test_padding_and_nan_are_no_boxes():
    numbers = [[0, 0, 0, 0], [np.nan, 0, 5, 5], [5, 5, 2, 9], [1, 2, 3, 4], [0, 0, np.inf, 1]]
    np.testing.assert_array_equal(find_corners(np.array(numbers), "xyxy", 9, 9), [[1, 2, 3, 4]])
