"""What the four numbers of a box mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# As Keras calls them. "rel": as parts of the image's sides, from 0 to 1; else in pixels.
BoxFormat = Literal[
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
]
BOX_FORMATS: tuple[BoxFormat, ...] = get_args(BoxFormat)


def find_corners(numbers: Array, form: BoxFormat, height: float, width: float) -> Array:
    """Give where boxes are, in pixels.

    Args:
        numbers: Of shape (..., 4).
        form: What they mean.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        float64 of shape (boxes, 4): left, top, right and bottom, for those whose numbers are all
        finite and that have an area; padding, which is all zeros, has none.
    """
    import numpy as np  # the help of a command waits for no numpy

    values = np.asarray(numbers, np.float64).reshape(-1, 4)
    values = values[np.isfinite(values).all(1)]
    plain = form.removeprefix("rel_")
    a, b, c, d = values.T
    if plain == "yxyx":
        left, top, right, bottom = b, a, d, c
    elif plain == "xywh":
        left, top, right, bottom = a, b, a + c, b + d
    elif plain == "center_xywh":
        left, top, right, bottom = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    else:
        left, top, right, bottom = a, b, c, d
    corners = np.stack([left, top, right, bottom], 1)
    if form.startswith("rel_"):
        corners = corners * [width, height, width, height]
    return np.asarray(corners[(corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])])
