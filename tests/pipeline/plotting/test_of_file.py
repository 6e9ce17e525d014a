"""What is drawn of a dump, and of statistics."""

from __future__ import annotations

import numpy as np
import pytest
from drawable import KERNEL, LABELS, LEFT_OUT, NAMES, ROWS, VALUES
from PIL import Image

import kprobe
from kprobe.errors import DumpError, InputError
from kprobe.pictures.subject import Distribution, Points, Subject
from kprobe.pipeline.plotting.of_file import open_pictured
from kprobe.pipeline.plotting.spec import PlotSpec

GOOD = [row for row in range(ROWS) if row not in LEFT_OUT]


def take(path, addresses=(), *, apart=False, **settings):
    """Give what is drawn, read; and what is told of it."""
    with open_pictured(path, addresses, PlotSpec(**settings), apart=apart) as pictured:
        return [*pictured.things], pictured


def test_all_tensors_of_the_first_good_sample_in_the_order_of_computing(drawable):
    things, pictured = take(drawable)
    shown = [address for address, _ in pictured.names]
    assert shown == ["net/conv", "net/features", "net/score", "net/boxes", "net/kept", "net:kernel"]
    assert [thing.address for thing in things] == shown
    assert all(isinstance(thing, Subject) for thing in things)
    assert all(thing.samples == [(1, "photos/01.png")] for thing in things[:-1])
    np.testing.assert_array_equal(things[0].values, VALUES["conv"][1])
    np.testing.assert_array_equal(things[4].values, VALUES["kept"][1])
    np.testing.assert_array_equal(things[5].values, KERNEL)
    assert things[0].names == ["height", "width", "channel"]
    assert (things[0].about, things[5].samples) == ("Conv", [])
    assert pictured.notes == ["net/words: expected numbers to draw, received text"]
    assert (pictured.source, pictured.lines) == ("acts.h5", ["sample 1: photos/01.png"])


def test_a_row_of_numbers_alone_is_drawn_for_the_first_64_good_samples(drawable):
    for apart, addresses in ((False, ["features"]), (True, ["conv", "features"])):
        things, _ = take(drawable, addresses, apart=apart)
        np.testing.assert_array_equal(things[-1].values, VALUES["features"][GOOD[:64]])
        assert [row for row, _ in things[-1].samples] == GOOD[:64]
        assert things[-1].names == ["sample", "unit"]
    (score,), _ = take(drawable, ["score"])
    np.testing.assert_array_equal(score.values, VALUES["score"][GOOD[:64]])
    assert score.lay_out(None).kind == "bars"


@pytest.mark.parametrize(
    ("samples", "rows"),
    [
        (3, [3]),
        ([-1, 1], [79, 1]),
        ("photos/07.png", [7]),
        ("photos/1?.png", list(range(10, 20))),
        (["photos/77*", 3], [77, 3]),
    ],
)
def test_samples_are_found_by_number_and_name(drawable, samples, rows):
    things, pictured = take(drawable, ["conv"], samples=samples)
    assert [thing.samples for thing in things] == [[(row, NAMES[row])] for row in rows]
    for thing, row in zip(things, rows, strict=True):
        np.testing.assert_array_equal(thing.values, VALUES["conv"][row])
    several = len(rows) > 1
    told = [("net/conv", f"sample {row}" if several else "") for row in rows]
    assert pictured.names == told
    (table,), _ = take(drawable, ["features"], samples=samples)
    np.testing.assert_array_equal(table.values, VALUES["features"][rows if several else rows[0]])


def test_patterns_choose_tensors(drawable):
    _, pictured = take(drawable, ["net/*e*s"])
    assert [address for address, _ in pictured.names] == ["net/features", "net/boxes"]


def test_a_kind_leaves_out_what_does_not_fit(drawable):
    things, pictured = take(drawable, boxes="xyxy")
    assert [thing.address for thing in things] == ["net/boxes", "net/kept"]
    assert "net/conv: boxes: expected 4 numbers each in the last axis, received 4x5x20" in (
        pictured.notes
    )
    with pytest.raises(InputError) as refused:
        take(drawable, ["conv", "features"], kind="bars")
    assert str(refused.value) == "net/conv: bars: expected a row of numbers, received 4x5x20"


def test_histograms_are_of_all_good_samples(drawable):
    things, pictured = take(drawable, ["conv", "features"], kind="histogram")
    assert pictured.lines == ["histograms of 78 samples"]
    for thing, name in zip(things, ("conv", "features"), strict=True):
        assert isinstance(thing, Distribution)
        values = VALUES[name][GOOD]
        assert (thing.edges[0], thing.edges[-1]) == (values.min(), values.max())
        assert thing.counts.sum() == values.size
        assert thing.marks["mean"] == pytest.approx(values.mean(dtype="f8"), rel=1e-9)
    (one,), _ = take(drawable, ["conv"], kind="histogram", samples=4)
    np.testing.assert_array_equal(one.values, VALUES["conv"][4])
    with pytest.raises(InputError, match="words: expected real numbers to count"):
        take(drawable, ["words"], kind="histogram")


def test_kept_statistics_are_drawn_as_the_dump_is(drawable, tmp_path):
    kprobe.stats(drawable, output=tmp_path / "s.h5")
    kept, pictured = take(tmp_path / "s.h5", ["net/conv", "net:kernel"])
    of_dump, _ = take(drawable, ["net/conv", "net:kernel"], kind="histogram")
    for one, other in zip(kept, of_dump, strict=True):
        np.testing.assert_array_equal(one.counts, other.counts)
        np.testing.assert_array_equal(one.edges, other.edges)
        assert (one.about, one.notes) == (other.about, other.notes)
    assert kept[0].about == "4x5x20 · float32 · 78 samples"
    assert pictured.source == "s.h5"
    with pytest.raises(InputError, match="expected a dump to draw samples of, received statistics"):
        take(tmp_path / "s.h5", samples=3)


def test_points_have_the_labels_of_their_samples(drawable):
    (points, score), _ = take(drawable, pca=True)
    assert isinstance(points, Points)
    flat = VALUES["features"][GOOD].astype("f8")
    u, s, _ = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(points.places), np.abs(u[:, :2] * s[:2]), atol=1e-9)
    assert points.labels.tolist() == ["abc"[LABELS[row]] for row in GOOD]
    assert points.axes[0].startswith("component 1 (")
    assert points.about == "Features · unit 6 · 78 samples"
    assert score.address == "net/score"
    (maps,), _ = take(drawable, ["conv"], pca=True)
    assert maps.places.shape == (78, 2)
    with pytest.raises(InputError, match="net/kept: expected rows of one shape for components"):
        take(drawable, ["kept"], pca=True)


def test_images_are_those_of_the_samples(drawable, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(tmp_path / "photos" / "04.png")
    (thing,), _ = take(drawable, ["conv"], samples=4, overlay=tmp_path)
    np.testing.assert_array_equal(thing.image, np.full((7, 9, 3), (1, 2, 3)))
    with pytest.raises(InputError, match="has no file 'photos/06"):
        take(drawable, ["conv"], samples=6, overlay=tmp_path)


@pytest.mark.parametrize(
    ("addresses", "settings", "line"),
    [
        (["words"], {}, "net/words: expected numbers to draw, received text"),
        (["kept"], {"samples": 3}, "net/kept: expected numbers to draw, received none: its shape"),
        (["conv"], {"samples": 80}, "{0}: expected a sample from 0 to 79, received 80"),
        (["conv"], {"samples": 5}, "{0}: sample 5 (photos/05.png) couldn't be read: is empty"),
        (["conv"], {"samples": "photos/O7.png"}, "{0}: has no sample 'photos/O7.png'; nearest: "),
        (["words"], {"pca": True}, "net/words: expected rows of one shape for components, rec"),
        (["cnv"], {}, "{0}: has no address 'cnv'; nearest: "),
    ],
)
def test_what_can_not_be_drawn_has_a_line(drawable, addresses, settings, line):
    with pytest.raises((InputError, DumpError)) as refused:
        take(drawable, addresses, **settings)
    assert str(refused.value).startswith(line.format(drawable))
