"""What `dump.plot` draws: which samples are meant, and what is read of them."""

from __future__ import annotations

import numpy as np
import pytest
from drawable import VALUES

from kprobe.dumps.reader import open_dump
from kprobe.dumps.subjects import find_first_rows, match_samples
from kprobe.errors import DumpError, InputError


@pytest.fixture
def dump(drawable):
    with open_dump(drawable) as opened:
        yield opened


def read(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_the_first_good_sample_is_drawn_or_the_one_asked_for(dump):
    for sample, row in [(None, 1), (4, 4), (-1, 79), ("photos/33.png", 33)]:
        (plane,) = read(dump.plot("net/conv", sample, channels=[2]))
        np.testing.assert_array_equal(plane, VALUES["conv"][row, ..., 2])
    (table,) = read(dump.plot("features", [7, 9]))
    np.testing.assert_array_equal(table, VALUES["features"][[7, 9]])
    assert find_first_rows(dump, 3) == [1, 2, 3]


def test_several_samples_of_maps_come_on_a_sheet(dump):
    figure = dump.plot("conv", [7, 9])
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told[::3] == ["sample 7", "sample 9"]
    assert figure.texts[0].get_text() == "conv"


def test_kinds_and_boxes_may_be_asked_for(dump):
    assert len(dump.plot("conv", kind="histogram").axes[0].patches[0].get_data().values) == 32
    image = np.zeros((20, 20, 3), np.uint8)
    axes = dump.plot("boxes", 8, boxes="xywh", image=image).axes[0]
    assert axes.images[0].get_array().shape == (20, 20, 3)
    x, y, w, h = VALUES["boxes"][8, 0]
    extents = axes.patches[1].get_bbox().extents
    np.testing.assert_allclose(extents, [x, y, x + w, y + h], rtol=1e-6)


def test_what_is_not_there_is_refused(dump):
    with pytest.raises(InputError, match=r"sample 5 \(photos/05\.png\) couldn't be read: is empty"):
        dump.plot("conv", 5)
    with pytest.raises(DumpError, match="has no address 'con'"):
        dump.plot("con")
    dump.close()
    with pytest.raises(DumpError, match="expected an open dump, received a closed one"):
        dump.plot("conv")


def test_an_exact_name_comes_before_a_pattern_and_numbers_are_not_names():
    names = ["a*", "ab", "3", "a?"]
    assert match_samples(["a*"], names, 4, "d") == [0]
    assert match_samples(["a?b", "?"], [*names, "axb"], 5, "d") == [4, 2]
    assert match_samples([3, "3", 3], names, 4, "d") == [3, 2]
    with pytest.raises(InputError) as refused:
        match_samples([4, "x", -5], names, 4, "d")
    assert len(refused.value.faults) == 3
