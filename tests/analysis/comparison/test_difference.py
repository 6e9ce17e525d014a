"""How far two tensors are from each other, against numpy over all values at once."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from kprobe.analysis.comparison.difference import Difference


def compare(a, b, *, step=None, **settings):
    found = Difference(a.shape[1:], **settings)
    for first in range(0, len(a), step or len(a)):
        found.add(a[first : first + (step or len(a))], b[first : first + (step or len(a))], first)
    return found.summarize()


def draw(shape, dtype, spread=1e-3, seed=0):
    random = np.random.default_rng(seed)
    a = (random.normal(size=shape) * 3 + 1).astype(dtype)
    return a, (a + random.normal(size=shape) * spread * np.arange(1, shape[-1] + 1)).astype(dtype)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(64, 5, 7, 3), (40, 300), (9, 1, 1, 2000), (5000,)])
def test_all_figures_are_numpys(shape, dtype, fast):
    a, b = draw(shape, dtype, spread=0.03)
    found = compare(a, b, step=7, fast=fast, cosine=True)
    wide_a, wide_b = a.astype("f8"), b.astype("f8")
    apart = wide_b - wide_a
    # float32 may be subtracted in float32.
    near = 1e-12 if dtype == "f8" else 2e-7
    where = np.unravel_index(np.argmax(np.abs(apart)), apart.shape)
    std, rms = wide_a.std(), np.sqrt((apart**2).mean())
    assert found.count == a.size
    assert found.max_abs == pytest.approx(np.abs(apart).max(), rel=near)
    assert (found.row, *found.index) == where
    assert found.scale == pytest.approx(std, rel=1e-12)
    assert found.relative == pytest.approx(rms / std, rel=near)
    snr = 10 * np.log10((wide_a**2).mean() / (apart**2).mean())
    assert found.snr_db == pytest.approx(snr, rel=near)
    cosine = wide_a.ravel() @ wide_b.ravel() / np.linalg.norm(wide_a) / np.linalg.norm(wide_b)
    assert found.cosine == pytest.approx(cosine, rel=1e-12)
    if len(shape) > 1:
        channels = np.sqrt((apart**2).mean(tuple(range(apart.ndim - 1))))
        assert found.worst_channel == np.argmax(channels)
        assert found.worst_channel_relative == pytest.approx(channels.max() / std, rel=near)
    else:
        assert found.worst_channel is None


@pytest.mark.parametrize("fast", [False, True])
def test_ranges_in_any_order_give_what_one_run_gives(fast):
    a, b = draw((60, 4, 100), "f4")
    a[7, 1, 2] = b[11, 3, 4] = np.nan
    # Two largest differences that are equal: the first counts.
    b[30, 2, 5], b[50, 0, 1] = a[30, 2, 5] + 64, a[50, 0, 1] + 64
    a[30, 2, 5] = a[50, 0, 1] = 0
    b[30, 2, 5] = b[50, 0, 1] = 64
    whole = compare(a, b, fast=fast)
    assert (whole.row, whole.index) == (30, (2, 5))
    ranges = [(0, 20), (20, 45), (45, 60)]
    for order in itertools.permutations(ranges):
        merged = Difference(a.shape[1:], fast=fast)
        for start, stop in order:
            part = Difference(a.shape[1:], fast=fast)
            part.add(a[start:stop], b[start:stop], start)
            merged.merge(part)
        found = merged.summarize()
        for name in ("count", "max_abs", "row", "index", "only_a", "only_b", "first_unlike"):
            assert getattr(found, name) == getattr(whole, name), name
        assert found.worst_channel == whole.worst_channel
        for name in ("relative", "snr_db", "scale", "worst_channel_relative"):
            assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-12), name


@pytest.mark.parametrize("fast", [False, True])
def test_nan_and_infinity_count_where_one_side_alone_has_them(fast):
    a = np.random.default_rng(0).normal(size=(8, 1000)).astype("f4")
    b = a + np.float32(0.25)
    a[2, 1], b[2, 1] = np.nan, np.nan  # alike
    a[3, 1], b[3, 1] = np.inf, np.inf  # alike
    a[4, 1] = np.nan
    b[5, 1:3] = np.inf
    a[6, 1], b[6, 1] = np.inf, -np.inf
    a[7, 1], b[7, 1] = np.nan, np.inf
    found = compare(a, b, fast=fast)
    assert (found.only_a, found.only_b, found.unlike, found.first_unlike) == (1, 2, 2, 4)
    good = np.isfinite(a) & np.isfinite(b)
    assert found.count == np.count_nonzero(good)
    rms = np.sqrt(((b[good].astype("f8") - a[good]) ** 2).mean())
    assert found.relative == pytest.approx(rms / a.astype("f8")[good].std(), rel=1e-6)
    alike = compare(a[:4], b[:4], fast=fast)
    assert alike.all_finite_alike
    assert alike.first_unlike is None


@pytest.mark.parametrize("fast", [False, True])
def test_finite_values_whose_difference_is_not_finite_are_counted(fast):
    a = np.full((1, 5000), 3e38, "f4")
    found = compare(a, -a, fast=fast)
    assert found.all_finite_alike
    assert found.max_abs == 2 * np.float64(np.float32(3e38))


@pytest.mark.parametrize("fast", [False, True])
def test_equal_arrays_have_no_difference(fast):
    a, _ = draw((10, 700), "f4")
    found = compare(a, a.copy(), fast=fast, cosine=True, ulps="float32")
    assert (found.relative, found.max_abs, found.row, found.index) == (0, 0, None, None)
    assert (found.snr_db, found.worst_channel, found.max_ulps) == (None, None, 0)
    assert found.cosine == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("fast", [False, True])
def test_a_constant_is_measured_by_its_magnitude(fast):
    a = np.full((10, 700), 0.1, "f4")
    found = compare(a, a * np.float32(1.5), fast=fast)
    assert found.relative == pytest.approx(0.5, rel=1e-6)
    nothing = compare(a * 0, a, fast=fast)
    assert nothing.relative == float("inf")
    assert compare(a * 0, a * 0, fast=fast).relative == 0


def test_a_mean_that_dwarfs_the_deviation_costs_no_digits():
    a, _ = draw((50, 1000), "f8")
    found = compare(a + 1e7, a + 1e7 + 0.5, step=3, fast=True)
    assert found.scale == pytest.approx((a + 1e7).std(), rel=1e-9)


@pytest.mark.parametrize("fast", [False, True])
def test_channels_may_be_any_axis(fast):
    a, b = draw((30, 6, 8, 5), "f4")
    last = compare(a, b, fast=fast)
    first = compare(np.moveaxis(a, 3, 1), np.moveaxis(b, 3, 1), channel_axis=0, fast=fast)
    assert first.worst_channel == last.worst_channel
    assert first.row == last.row
    assert first.index == (last.index[2], *last.index[:2])
    assert compare(a, b, channel_axis=None, fast=fast).worst_channel is None


def test_whole_numbers_and_truth_are_compared_exactly():
    a = np.array([[2**62, 5, 7]])
    found = compare(a, a + np.array([[1, 0, 0]]))
    assert (found.max_abs, found.index) == (1, (0,))
    small = compare(np.array([[True, False]]), np.array([[True, True]]))
    assert (small.max_abs, small.index) == (1, (1,))
    assert compare(np.array([[200]], "u1"), np.array([[100]], "u1")).max_abs == 100


def test_parts_of_complex_numbers_are_compared():
    a = np.array([[1 + 2j, 3 - 1j]], "c8")
    found = compare(a, a + np.array([[0, 4j]], "c8"), channel_axis=None)
    assert (found.max_abs, found.row, found.index) == (4, 0, (1,))


def test_rows_of_different_shapes_are_compared_one_by_one():
    found = Difference(None)
    for row, size in enumerate((3, 5, 2)):
        a = np.arange(size * 2.0).reshape(1, size, 2)
        b = a.copy()
        b[0, size - 1, 1] += row
        found.add(a, b, row)
    assert (found.summarize().row, found.summarize().index) == (2, (1, 1))
    with pytest.raises(ValueError, match=r"received \(1, 2\) and \(1, 3\)"):
        found.add(np.zeros((1, 2)), np.zeros((1, 3)), 3)


@pytest.mark.parametrize(
    ("dtype", "kept"), [("float16", "float16"), ("float32", "float32"), ("float64", "float64")]
)
def test_units_in_the_last_place_are_counted(dtype, kept):
    a = np.array([[1.0, -0.0, -1.0, np.nan]], dtype)
    b = a.copy()
    for _ in range(5):
        b = np.nextafter(b, np.array(np.inf, dtype))
    assert compare(a, b, ulps=kept).max_ulps == 5
    assert compare(a[:, :1], -a[:, :1], ulps=kept).max_ulps == 2 * int(
        a[0, 0].view(f"i{a.itemsize}")
    )


def test_units_of_bfloat16_are_counted_where_it_is_stored_as_float32():
    a = np.array([[1.0, -2.0]], "f4")
    b = np.array([[1 + 3 / 128, -2.0]], "f4")  # 7 digits behind the point
    assert compare(a, b, ulps="bfloat16").max_ulps == 3
    # float32 on one side is rounded first: to the nearest, the even one of two.
    assert compare(a, a + np.float32(1 / 512), ulps="bfloat16").max_ulps == 0


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("scale", [1e-306, 1e-170, 1e-120, 1.0, 1e120, 1e200, 1.5e308])
def test_values_whose_squares_float64_does_not_hold(scale, fast):
    a, b = draw((2, 4096), "f8", spread=1e-8)
    a, b = a / 16 * scale, b / 16 * scale
    if scale > 1e300:
        b[0, 0] = -a[0, 0]
    found = Difference((4096,), cosine=True, fast=fast)
    for row in range(2):
        part = Difference((4096,), cosine=True, fast=fast)
        part.add(a[row : row + 1], b[row : row + 1], row)
        found.merge(part)
    told = found.summarize()
    whole_a, whole_b = ([Fraction(float(x)) for x in each.ravel()] for each in (a, b))
    apart = [x - y for x, y in zip(whole_b, whole_a, strict=True)]
    size, mean = a.size, sum(whole_a) / a.size
    squares = sum(x * x for x in apart) / size
    variance = sum((x - mean) ** 2 for x in whole_a) / size
    power = sum(x * x for x in whole_a) / size
    assert told.max_abs == float(max(map(abs, apart)))
    assert told.relative == pytest.approx(math.sqrt(squares / variance), rel=1e-9)
    assert told.snr_db == pytest.approx(10 * math.log10(power / squares))
    assert told.scale / scale == pytest.approx(math.sqrt(variance / Fraction(scale) ** 2))
    both = sum(x * y for x, y in zip(whole_a, whole_b, strict=True))
    own = [sum(x * x for x in each) for each in (whole_a, whole_b)]
    cosine = math.sqrt(both**2 / (own[0] * own[1]))
    assert told.cosine == pytest.approx(cosine, rel=1e-12)


def test_tiny_values_count_beside_blocks_of_zeros():
    a = np.array([[0.0, 0.0], [3e-200, 4e-200], [0.0, 0.0]])
    found = Difference((2,))
    for row in range(3):
        found.add(a[row : row + 1], a[row : row + 1] * 2, row)
    assert found.summarize().relative == pytest.approx(5 / math.sqrt(6) / math.sqrt(101 / 36))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.array([2**53 + 1, 5]), np.array([2**53, 5])),
        (np.array([-(2**63), 2**63 - 1]), np.array([2**63 - 1, 2**63 - 2])),
        (np.array([2**64 - 1, 2**63], "u8"), np.array([2**64 - 2, 2**63 + 1], "u8")),
        (np.array([-(2**63), -1]), np.array([2**64 - 1, 0], "u8")),
        (np.array([2**62 + 1, 7]), np.array([2.0**62, 7.5])),
        (np.array([2**62 + 1, 7]), np.array([2.0**62, 7.5], "f4")),
        (np.array([2**62 + 1, 7]), np.array([1, 0], "u1")),
    ],
)
def test_whole_numbers_of_64_bits_are_subtracted_exactly(a, b):
    right = [Fraction(y.item()) - Fraction(x.item()) for x, y in zip(a, b, strict=True)]
    told = compare(a[None], b[None])
    assert told.max_abs == float(max(map(abs, right)))
    assert told.index == (max(range(2), key=lambda place: abs(right[place])),)
    wide = [float(x) for x in a]
    scale = np.std(wide) or abs(wide[0])
    rms = math.sqrt(sum(x * x for x in right) / 2)
    assert told.relative == pytest.approx(rms / scale)


def test_rows_of_other_shapes_are_counted_and_the_others_compared():
    a = [np.ones((2, 3)), np.ones((1, 3)), np.zeros((0, 3)), np.full((3, 3), 2.0)]
    b = [np.ones((2, 3)), np.ones((2, 3)), np.zeros((0, 3)), np.full((3, 3), 2.0)]
    b[3][2, 1] = 5.0
    found = Difference((None, 3))
    for row in range(4):
        part = Difference((None, 3))
        part.add_uneven(a[row : row + 1], b[row : row + 1], row)
        found.merge(part)
    at_once = Difference((None, 3))
    at_once.add_uneven(a, b, 0)
    for told in (found.summarize(), at_once.summarize()):
        assert (told.unequal, told.first_unequal, told.count) == (1, 1, 15)
        assert (told.row, told.index, told.max_abs, told.worst_channel) == (3, (2, 1), 3, 1)
        assert not told.all_alike
        assert told.all_finite_alike


def test_texts_are_the_same_or_not():
    texts = [np.frombuffer(text, np.uint8) for text in (b"one", b"two", b"three")]
    found = Difference(None)
    found.add_texts(texts, [texts[0], texts[0], texts[0]], 10)
    told = found.summarize()
    assert (told.count, told.unequal, told.first_unequal, told.max_abs) == (3, 2, 11, 0)


def test_a_small_signal_under_a_huge_noise_has_a_ratio_in_decibels():
    # The quotient of their powers is too small for float64.
    told = compare(np.full((3, 2), 1e-150), np.full((3, 2), 1e30))
    assert told.snr_db == pytest.approx(20 * (-150 - 30))
