from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kprobe.dumps.reader import open_dump
from kprobe.pictures.colour import Scale, paint
from kprobe.reports.maps import Limits, choose_limits, draw_maps, find_pictured, read_maps

RNG = np.random.default_rng(3)


def open_picture(uri):
    head, _, text = uri.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def picture(path, name, rows, limits):
    with open_dump(path) as dump:
        layouts = find_pictured(dump)
        column = next(c for c in dump.columns if dump[c].attrs["addresses"][0] == name)
        return draw_maps(read_maps(dump, column, layouts[column], rows), limits)


def test_small_maps_are_the_colours_of_their_values(write_dump, tmp_path):
    values = RNG.random((3, 5, 4, 6), "f4")
    values[..., 2] *= 100  # the most active
    values[..., 4] *= 10
    path = write_dump(tmp_path / "a.h5", {"a": values})
    found = picture(path, "a", [0, 2], Limits(2, 8))
    assert found.channels == ["2", "4"]
    scale = Scale(*found.scale, found.palette)
    shown = values[[0, 2]][..., [2, 4]]
    assert found.scale == (shown.min(), shown.max())
    for uri, row in zip(found.pictures, shown, strict=True):
        expected = np.concatenate([paint(row[..., 0], scale), paint(row[..., 1], scale)], 1)
        np.testing.assert_array_equal(open_picture(uri), expected)
    assert (found.ratio, found.pixelated) == (4 / 5, True)


def test_large_maps_are_means_of_squares(write_dump, tmp_path):
    values = np.arange(7 * 10, dtype="f8").reshape(1, 7, 10, 1).repeat(2, 3)
    path = write_dump(tmp_path / "a.h5", {"a": values})
    found = picture(path, "a", [0], Limits(1, 5))
    parts = [
        [values[0, y : y + 2, x : x + 2, 0].mean() for x in range(0, 10, 2)] for y in range(0, 7, 2)
    ]
    expected = paint(np.array(parts), Scale(*found.scale, found.palette))
    np.testing.assert_array_equal(open_picture(found.pictures[0]), expected)


def test_channels_may_come_first(write_dump, tmp_path):
    values = RNG.random((1, 3, 6, 4), "f4")
    values[:, 1] += 1
    axes = {"a": ("channel", "height", "width")}
    found = picture(write_dump(tmp_path / "a.h5", {"a": values}, axes=axes), "a", [0], Limits(1, 8))
    assert found.channels == ["1"]
    expected = paint(values[0, 1], Scale(*found.scale, found.palette))
    np.testing.assert_array_equal(open_picture(found.pictures[0]), expected)


def test_a_matrix_is_one_picture(write_dump, tmp_path):
    values = RNG.normal(size=(2, 6, 3)).astype("f4")
    found = picture(write_dump(tmp_path / "a.h5", {"a": values}), "a", [1], Limits(8, 32))
    assert (found.channels, found.palette) == ([], "red-blue")
    expected = paint(values[1], Scale(*found.scale, found.palette))
    np.testing.assert_array_equal(open_picture(found.pictures[0]), expected)


def test_of_a_volume_the_middle_is_shown(write_dump, tmp_path):
    values = RNG.random((1, 5, 4, 6, 2), "f4")
    axes = {"a": ("depth", "height", "width", "channel")}
    found = picture(write_dump(tmp_path / "a.h5", {"a": values}, axes=axes), "a", [0], Limits(1, 8))
    expected = paint(values[0, 2, :, :, int(found.channels[0])], Scale(*found.scale, found.palette))
    np.testing.assert_array_equal(open_picture(found.pictures[0]), expected)


def test_nan_and_infinity_have_their_colours(write_dump, tmp_path):
    values = RNG.random((1, 4, 4, 1), "f4")
    values[0, 1, 2], values[0, 2, 3] = np.nan, np.inf
    found = picture(write_dump(tmp_path / "a.h5", {"a": values}), "a", [0], Limits(8, 32))
    shown = open_picture(found.pictures[0])
    assert tuple(shown[1, 2]) == (255, 0, 255)
    assert tuple(shown[2, 3]) == (255, 255, 255)
    assert np.isfinite(found.scale).all()


@pytest.mark.parametrize("dtype", ["u1", "i8", "f2", "f8"])
def test_any_dtype_of_numbers_is_drawn(dtype, write_dump, tmp_path):
    values = (RNG.random((1, 40, 40, 12)) * 100).astype(dtype)
    found = picture(write_dump(tmp_path / "a.h5", {"a": values}), "a", [0], Limits(8, 32))
    assert open_picture(found.pictures[0]).shape == (20, 160, 3)
    assert not found.pixelated


def test_what_is_no_map_has_no_picture(write_dump, tmp_path):
    arrays = {
        "vector": np.ones((2, 5), "f4"),
        "number": np.ones(2, "f4"),
        "empty": np.ones((2, 0, 4), "f4"),
        "one pixel": np.ones((2, 1, 1, 7), "f4"),
        "complex": np.ones((2, 3, 3), "c8"),
        "kernel": np.ones((3, 3, 2, 2), "f4"),
        "maps": np.ones((2, 3, 3, 2), "f4"),
    }
    path = write_dump(tmp_path / "a.h5", arrays, weights=["kernel"])
    with open_dump(path) as dump:
        assert [dump[c].attrs["addresses"][0] for c in find_pictured(dump)] == ["maps"]


@pytest.mark.parametrize("layers", [1, 50, 200, 400, 1000, 2000, 100_000])
def test_the_more_maps_the_smaller_they_are(layers):
    limits = choose_limits(layers, 4)
    pixels = layers * 4 * limits.channels * limits.side**2
    assert pixels <= 6_000_000 or limits == Limits(2, 16)
    assert choose_limits(50, 4) == Limits(8, 32)
    assert choose_limits(2000, 4) == Limits(2, 16)
