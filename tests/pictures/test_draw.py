"""What is drawn, as data: the arrays, extents and limits of axes, whatever the fonts."""

from __future__ import annotations

import logging
import re
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from kprobe.errors import InputError, KprobeError
from kprobe.pictures.colour import CLASSES, NAN, Scale, list_colours
from kprobe.pictures.draw import draw, draw_together, encode
from kprobe.pictures.overlay import overlay
from kprobe.pictures.subject import Distribution, Look, Points, Subject

IMAGE = ("height", "width", "channel")


def make(values, axes=(), **others):
    sample = others.pop("samples", [(3, "cat.jpg")])
    return Subject(address="a/b", rows=[np.asarray(values)], axes=axes, samples=sample, **others)


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("f4")


def list_panels(figure):
    """Give the axes that show planes, which have a title each; the last axes are the colour bar."""
    return [axes for axes in figure.axes if axes.images]


def read_panels(figure):
    return {axes.get_title(): axes.images[0].get_array() for axes in list_panels(figure)}


def list_texts(figure):
    return [text.get_text() for text in figure.texts]


def test_maps_hold_the_values_of_the_most_active_channels():
    values = random(5, 7, 40) * np.arange(1, 41)
    figure = draw(make(values, IMAGE), Look())
    activity = np.abs(values.astype("f8")).mean((0, 1))
    order = np.argsort(-activity)[:16]
    shown = read_panels(figure)
    assert list(shown) == [f"channel {channel}" for channel in order]
    for channel, plane in zip(order, shown.values(), strict=True):
        np.testing.assert_array_equal(plane, values[..., channel])
    (first, *_), most = list_panels(figure), np.abs(values[..., order]).max()
    assert first.images[0].get_extent() == [-0.5, 6.5, 4.5, -0.5]
    assert first.images[0].get_clim() == pytest.approx((-most, most))
    assert first.images[0].cmap.name == "red-blue"
    assert (first.get_ylabel(), first.get_xlabel()) == ("height", "")
    assert list_panels(figure)[-1].get_xlabel() == "width"
    assert figure.axes[-1].get_ylabel() == "value"
    assert list_texts(figure) == [
        "a/b",
        "height 5, width 7, channel 40 · float64 · sample 3: cat.jpg",
        "16 of 40 maps, the most active channels first",
    ]


def test_channels_come_as_asked_for_and_may_be_first():
    values = random(6, 4, 5)
    look = Look(channels=[slice(4, None), 1, -2])
    figure = draw(make(values, ("channel", "height", "width")), look)
    shown = read_panels(figure)
    assert list(shown) == ["channel 4", "channel 5", "channel 1"]
    np.testing.assert_array_equal(shown["channel 1"], values[1])
    with pytest.raises(
        InputError, match=r"^a/b: channels: expected numbers from 0 to 5, received 6"
    ):
        draw(make(values, ("channel", "height", "width")), Look(channels=[6]))
    with pytest.raises(InputError, match="expected some of the 6 channels, received none of them"):
        draw(make(values, ("channel", "height", "width")), Look(channels=[slice(9, 12)]))


def test_what_is_not_finite_is_masked_and_painted():
    values = np.abs(random(4, 4, 1)) + 1
    values[0, 1], values[2, 2], values[3, 0] = np.nan, np.inf, -np.inf
    (axes,) = list_panels(figure := draw(make(values, IMAGE), Look()))
    plane = axes.images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(plane), ~np.isfinite(values[..., 0]))
    assert axes.images[0].cmap.get_bad()[:3] == pytest.approx(to_rgb(np.array(NAN) / 255))
    infinite = axes.images[1].get_array()
    np.testing.assert_array_equal(infinite[..., 3] > 0, np.isinf(values[..., 0]))
    assert list_texts(figure)[2] == "1 NaN · 2 infinite"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["NaN", "infinite"]
    finite = values[np.isfinite(values)]
    assert axes.images[0].get_clim() == (finite.min(), finite.max())


def test_the_frames_of_a_volume_stand_beside_each_other():
    values = random(9, 4, 5, 8)
    figure = draw(make(values, ("depth", *IMAGE)), Look(channels=[3, 0]))
    panels = list_panels(figure)
    depths = [0, 2, 3, 5, 6, 8]
    assert [axes.get_title() for axes in panels] == [f"depth {depth}" for depth in depths] * 2
    assert [panels[0].get_ylabel(), panels[6].get_ylabel()] == [
        "channel 3\nheight",
        "channel 0\nheight",
    ]
    np.testing.assert_array_equal(panels[7].images[0].get_array(), values[2, ..., 0])


def test_heads_are_panels_in_their_order_and_kernels_have_indices():
    scores = random(3, 6, 6)
    shown = read_panels(draw(make(scores, ("head", "step", "key_step")), Look()))
    assert list(shown) == ["head 0", "head 1", "head 2"]
    np.testing.assert_array_equal(shown["head 2"], scores[2])
    kernel = random(3, 3, 2, 2)
    figure = draw(make(kernel, samples=()), Look())
    shown = read_panels(figure)
    np.testing.assert_array_equal(shown["[:, :, 1, 0]"], kernel[..., 1, 0])
    assert figure.axes[-1].get_ylabel() == "weight"


def test_several_samples_make_a_matrix():
    rows = random(30, 8)
    samples = [(2 * row, f"s{row}") for row in range(30)]
    subject = Subject(address="d", rows=[*rows], axes=("unit",), samples=samples)
    (axes,) = list_panels(draw(subject, Look()))
    np.testing.assert_array_equal(axes.images[0].get_array(), rows)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("unit", "sample")
    assert axes.yaxis.get_major_formatter()(5, 0) == "10"
    few = Subject(address="d", rows=[*rows[:3]], axes=("unit",), samples=samples[:3])
    (axes,) = list_panels(draw(few, Look()))
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0: s0", "2: s1", "4: s2"]
    alone = Subject(address="d", rows=[rows[4]], samples=[(4, "s4")], stacked=True)
    (axes,) = list_panels(draw(alone, Look(kind="matrix")))
    np.testing.assert_array_equal(axes.images[0].get_array(), rows[4:5])


def test_maps_lie_over_the_image():
    values, image = np.abs(random(3, 4, 2)), np.full((30, 40, 3), 90, np.uint8)
    figure = draw(make(values, IMAGE, image=image), Look(channels=[1]))
    (axes,) = list_panels(figure)
    clim = figure.axes[-1].get_ylim()
    assert clim == pytest.approx((values[..., 1].min(), values[..., 1].max()))

    right = overlay(image, values[..., 1], Scale(*clim))
    assert np.abs(axes.images[0].get_array().astype(int) - right).max() <= 1
    assert axes.get_xlabel() == "width (pixels)"


def test_many_maps_are_one_image():
    values = random(6, 6, 100)
    figure = draw(make(values, IMAGE), Look(channels=[slice(None)]))
    assert len(list_panels(figure)) == 1
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == [f"channel {number}" for number in range(0, 100, 10)]
    assert len(draw(make(values, IMAGE), Look(channels=[slice(64)])).axes) == 65


def test_bars_have_the_values_and_name_the_largest():
    values = np.array([0.1, np.nan, 0.7, -0.2], "f2")
    figure = draw(make(values, ("unit",)), Look())
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_array_equal(heights, np.nan_to_num(values.astype("f8")))
    assert list_texts(figure)[2] == "largest: unit 2 (0.7), 0 (0.1), 3 (-0.2) · 1 NaN"
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1]
    many = random(2000)
    (stairs,) = draw(make(many, ("channel",)), Look()).axes[0].patches
    np.testing.assert_array_equal(stairs.get_data().values, many)


def test_lines_run_over_steps_with_gaps_where_nothing_is():
    values = random(20, 12) * np.arange(1, 13)
    values[5, 11] = np.nan
    figure = draw(make(values, ("step", "unit")), Look())
    axes = figure.axes[0]
    named = {line.get_label(): line for line in axes.lines if line.get_label()[:4] == "unit"}
    order = np.argsort(-np.nanmean(np.abs(values), 0))[:8]
    assert list(named) == [f"unit {unit}" for unit in order]
    for unit, line in zip(order, named.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values[:, unit])
    assert [line.get_color() for line in named.values()] == [*CLASSES]
    assert len(axes.collections[0].get_segments()) == 4
    assert axes.lines[-1].get_xdata().tolist() == [5]
    assert (axes.get_xlabel(), list_texts(figure)[2]) == (
        "step",
        "8 of 12 in colour, the most active · 1 NaN",
    )


def test_histograms_count_what_is_finite():
    values = np.concatenate([np.zeros(50), random(500), [np.nan, np.inf]])
    figure = draw(make(values), Look(kind="histogram"))
    counts, edges, _ = figure.axes[0].patches[0].get_data()
    finite = values[np.isfinite(values)]
    np.testing.assert_array_equal(counts, np.histogram(finite, edges)[0])
    assert (edges[0], edges[-1], len(counts)) == (finite.min(), finite.max(), 32)
    assert list_texts(figure)[2] == f"mean {finite.mean():.4g} · 9.1% zeros · 1 NaN · 1 infinite"


def test_kept_histograms_are_drawn_and_steep_ones_on_a_logarithmic_axis():
    edges, counts = np.array([0.0, 1.0, 2.0, 3.0]), np.array([90_000, 10, 12])
    made = Distribution(address="a", edges=edges, counts=counts, marks={"mean": 0.4})
    axes = draw(made, Look()).axes[0]
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.patches[0].get_data().values, counts)
    nothing = Distribution(address="a", edges=np.zeros(0), counts=np.zeros(0, int))
    assert draw(nothing, Look()).axes[0].texts[0].get_text() == "no finite value"


def test_boxes_lie_where_they_are():
    image = np.zeros((50, 100, 1), np.uint8)
    values = np.array([[[0.2, 0.1, 0.8, 0.6]], [[0, 0, 0, 0]]])
    look = Look(kind="boxes", boxes="rel_yxyx")
    axes = draw(make(values, image=image), look).axes[0]
    rim, box = axes.patches
    assert box.get_bbox().extents.tolist() == rim.get_bbox().extents.tolist() == [10, 10, 60, 40]
    assert axes.images[0].get_extent() == [0, 100, 50, 0]
    bare = draw(make(values), look).axes[0]
    assert bare.patches[1].get_bbox().extents.tolist() == pytest.approx([0.1, 0.2, 0.6, 0.8])
    with pytest.raises(InputError, match="expected what the numbers of a box mean"):
        draw(make(values), Look(kind="boxes"))


def test_points_have_a_colour_and_a_marker_for_each_class():
    places = random(90, 2).astype("f8")
    labels = np.array([f"c{number % 9}" for number in range(90)])
    axes = draw(Points(address="a", places=places, labels=labels), Look()).axes[0]
    groups = {each.get_label(): each for each in axes.collections}
    assert list(groups) == [f"c{number}" for number in range(9)]
    looks = {(tuple(g.get_facecolor()[0]), len(g.get_paths()[0])) for g in groups.values()}
    assert len(looks) == 9
    np.testing.assert_array_equal(groups["c4"].get_offsets(), places[labels == "c4"])
    many = np.array([f"c{number:02}" for number in range(90)])
    axes = draw(Points(address="a", places=places, labels=many), Look()).axes[0]
    assert axes.collections[-1].get_label() == "others"
    plain = draw(Points(address="a", places=places), Look()).axes[0]
    np.testing.assert_array_equal(plain.collections[0].get_offsets(), places)


def test_a_sheet_shows_each_and_reads_one_after_another():
    things = [make(random(8, 8, 30), IMAGE), make(random(40)), make(random(9, 4), ("step", "unit"))]
    alive = []

    def give():
        for thing in things:
            alive.append(thing)
            yield thing

    titles = ["one", "two", "three"]
    figure = draw_together(give(), titles, Look(), "acts.h5", ["sample 3"])
    assert len(alive) == 3
    assert list_texts(figure) == ["acts.h5", "sample 3"]
    told = [text.get_text() for text in figure.axes[0].texts]
    assert told[::3] == titles
    assert told[1::3] == ["8x8x30", "40", "9x4"]
    assert re.fullmatch(r"-\d\.\d+ to \d\.\d+", told[2])
    assert len(figure.axes[0].images) == 1


def test_on_a_sheet_classes_are_named_in_the_middle_of_their_points():
    places = np.array([[0.0, 0], [2, 0], [2, 2], [1, 1]])
    points = Points(address="a", places=places, labels=np.array(["$x$", "$x$", "", ""]))
    axes = draw_together([points], ["a"], Look(), "acts.h5", []).axes[0]
    told = {text.get_text(): text.get_position() for text in axes.texts}
    (drawn,) = axes.collections
    x, y = drawn.get_offsets().T
    assert told["$x$"] == pytest.approx((x[:2].mean(), y[:2].mean()))
    assert told["''"] == pytest.approx((x[2:].mean(), y[2:].mean()))
    many = Points(address="a", places=random(11, 2), labels=np.arange(11).astype(str))
    axes = draw_together([many], ["a"], Look(), "acts.h5", []).axes[0]
    assert [text.get_text() for text in axes.texts] == ["a", "11 samples", ""]


def test_a_sheet_lays_maps_over_the_image_in_its_ratio_and_writes_single_numbers():
    values, image = np.abs(random(3, 4, 2)), np.full((30, 60, 3), 90, np.uint8)
    image[:, :30] = 200
    things = [make(values, IMAGE, image=image), make(np.float32(0.25)), make(np.array([7]))]
    axes = draw_together(things, ["cam", "score", "unit"], Look(), "maps.h5", []).axes[0]
    (shown,) = axes.images
    order = np.argsort(-values.mean((0, 1)))
    scale = Scale(values.min(), values.max())
    right = [overlay(image, values[..., channel], scale) for channel in order]
    gap = np.full((30, 2, 3), 255, np.uint8)
    np.testing.assert_array_equal(shown.get_array(), np.hstack([right[0], gap, right[1]]))
    left, right_end, bottom, top = shown.get_extent()
    assert (right_end - left) / (bottom - top) == pytest.approx(122 / 30)
    told = [text.get_text() for text in axes.texts]
    assert told[3:] == ["0.25", "score", "a number", "", "7", "unit", "1", ""]


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((4, 4, 3)),
        np.full((4, 4, 3), np.nan),
        np.full((4, 4, 3), np.inf),
        np.full((4, 4, 3), 1e300) * np.arange(3),
        np.full((4, 4, 3), 1e-310) * np.arange(3),
        np.array([-1.7e308, 1.7e308]).repeat(24).reshape(4, 4, 3),
        np.full((4, 4, 3), 65504, "f2"),
        np.ones((4, 4, 3), bool),
        np.full((4, 4, 3), 2**63 - 1, "i8"),
        np.full((4, 4, 3), 3 + 4j),
        np.ones((1, 1, 3)),
        np.ones((1, 1, 1)),
        np.ones((1, 900, 2)),
        np.ones((900, 1, 2)),
        np.ones((2, 1, 1, 3)),
        np.ones((1, 1, 1, 1, 2)),
        np.float32(3),
    ],
    ids=lambda values: f"{values.dtype}-{values.shape}",
)
def test_whatever_the_values_there_is_a_picture(values):
    subject = make(values)
    assert encode(draw(subject, Look()), "png")[:4] == b"\x89PNG"
    assert draw(subject, Look(kind="histogram")).axes
    for kind in (None, "histogram"):
        assert draw_together([subject, subject], ["a", "b"], Look(kind=kind), "x", []).axes


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_equal_pictures_are_equal_bytes(form):
    subject = make(random(5, 5, 3), IMAGE)
    first, second = (encode(draw(subject, Look()), form) for _ in range(2))
    assert first == second
    assert b"kprobe" in first
    assert b"20%02d" % 26 not in first[:600]


def test_names_are_never_formulas_and_are_cut():
    hostile = "$\\frac{1}{0}$ <script> " + "x" * 10_000
    subject = Subject(address=hostile, rows=[random(4, 4, 2)], axes=("$a$", "$b$", "$c$"))
    svg = encode(draw(subject, Look()), "svg")
    assert b"<script" not in svg
    assert len(svg) < 200_000
    texts = list_texts(draw(subject, Look()))
    assert texts[0].startswith("$\\frac")
    assert len(texts[0]) < 120


def test_the_style_of_the_user_neither_counts_nor_changes():
    subject = make(random(5, 5, 3), IMAGE)
    plain = encode(draw(subject, Look()), "png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 40}):
        assert encode(draw(subject, Look()), "png") == plain
        assert matplotlib.rcParams["font.size"] == 30


def test_a_figure_shows_itself_in_a_notebook():
    figure = draw(make(random(5, 5, 3), IMAGE), Look())
    assert isinstance(figure, Figure)
    assert figure._repr_png_() == encode(figure, "png")


def test_without_matplotlib_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kprobe.pictures.drawing.figures", None)
    with pytest.raises(KprobeError) as refused:
        draw(make(random(5, 5, 3), IMAGE), Look())
    assert str(refused.value) == "drawing needs matplotlib; pip install 'kprobe[plot]'"
    assert logging.getLogger("matplotlib").level == logging.NOTSET


def test_the_palette_of_a_figure_is_that_of_images():
    figure = draw(make(np.abs(random(5, 5, 3)), IMAGE), Look())
    colours = list_panels(figure)[0].images[0].cmap(np.arange(256))[:, :3] * 255
    np.testing.assert_allclose(colours, list_colours("viridis"), atol=1e-9)
