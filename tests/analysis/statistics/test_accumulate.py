from __future__ import annotations

import math
import pickle
from dataclasses import asdict, replace
from itertools import pairwise

import h5py
import ml_dtypes
import numpy as np
import pytest

from kprobe.analysis.statistics.accumulate import Statistics
from kprobe.analysis.statistics.blocks import Scanner
from kprobe.analysis.statistics.distribution import QUANTILES
from kprobe.analysis.statistics.sketch import RELATIVE_ERROR

SHAPE = (3, 4, 5)
ROWS = 40


def make(name: str) -> np.ndarray:
    """Values of shape (40, 3, 4, 5) that statistics may get wrong."""
    rng = np.random.default_rng(7)
    values = rng.normal(size=(ROWS, *SHAPE))
    if name == "relu6":
        values = np.clip(values * 6, 0, 6)
    elif name == "large mean":
        values = 1e6 + np.round(values * 2) / 16
    elif name == "huge":
        values *= 3e37
    elif name == "denormal":
        values *= 1e-42
    elif name == "constant":
        values[:] = 1234567
    elif name == "outlier first":
        values[0, 0, 0] = 1e20
    elif name == "all nan":
        values[:] = np.nan
    elif name == "all infinite":
        values[:] = -np.inf
    elif name == "some not finite":
        values[7, 1, 2, 3] = np.nan
        values[5, 0, 0, :2] = np.inf, -np.inf
        values[:, :, :, 4] = np.nan
    elif name == "zeros":
        values[:] = 0
        values[::2] = -0.0
    elif name == "dead channel":
        values[..., 2] = 0
    return values


NAMES = [
    *("plain", "relu6", "large mean", "huge", "denormal", "constant", "outlier first", "all nan"),
    *("all infinite", "some not finite", "zeros", "dead channel"),
]


def check(got: dict, values: np.ndarray) -> None:
    """Compare what is told of some values with sums without rounding, and with sorting."""
    flat = values.astype(np.float64).ravel().tolist()
    finite = [value for value in flat if math.isfinite(value)]
    assert got["count"] == len(flat)
    assert got["nan"] == sum(map(math.isnan, flat))
    assert got["inf"] == sum(map(math.isinf, flat))
    assert got["zeros"] == pytest.approx(flat.count(0) / len(flat) if flat else 0, abs=1e-15)
    if not finite:
        assert {got[name] for name in ("mean", "std", "min", "max", "l1", "l2", "rms")} == {None}
        return
    mean = math.fsum(finite) / len(finite)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in finite) / len(finite))
    largest = max(map(abs, finite))
    assert got["mean"] == pytest.approx(mean, rel=1e-13, abs=1e-14 * largest)
    assert got["std"] == pytest.approx(deviation, rel=1e-11, abs=1e-15 * largest)
    assert (got["min"], got["max"]) == (min(finite), max(finite))
    squares = math.fsum(value * value for value in finite)
    assert got["l1"] == pytest.approx(math.fsum(map(abs, finite)), rel=1e-12)
    assert got["l2"] == pytest.approx(math.sqrt(squares), rel=1e-12)
    assert got["rms"] == pytest.approx(math.sqrt(squares / len(finite)), rel=1e-12)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_is_what_sums_without_rounding_give(name, dtype, compiled):
    with np.errstate(over="ignore"):
        values = make(name).astype(dtype)
    statistics = Statistics(SHAPE, dtype, by_sample=True)
    for first in (0, 13, 14):  # 13 rows, one, and the rest
        rows = values[first : {0: 13, 13: 14, 14: ROWS}[first]]
        statistics.add(rows, first, scanner=(scanner := Scanner(compiled)))
        statistics.finish(scanner)
    whole = statistics.summarize("a")
    check(asdict(whole), values)
    assert name != "constant" or whole.std == 0
    assert (whole.address, whole.shape, whole.dtype, whole.rows) == ("a", SHAPE, dtype, ROWS)
    for channel in statistics.summarize_channels():
        check(asdict(channel), values[..., channel.channel])
    for sample in statistics.summarize_samples():
        check(asdict(sample), values[sample.row])
    assert [sample.row for sample in statistics.summarize_samples()] == list(range(ROWS))
    dead = [bool((values[..., c] == 0).all()) for c in range(5)]
    assert [channel.dead for channel in statistics.summarize_channels()] == dead
    assert (whole.channels, whole.dead_channels, whole.dead) == (5, sum(dead), sum(dead) / 5)
    for first, found in (whole.first_nan, np.isnan(values)), (whole.first_inf, np.isinf(values)):
        rows = np.flatnonzero(found.reshape(ROWS, -1).any(1))
        assert first == (rows[0] if len(rows) else None)
    check_distribution(whole, values[np.isfinite(values)].astype(np.float64))


def check_distribution(whole, finite):
    ordered = np.sort(finite)
    assert list(whole.quantiles) == ([str(part) for part in QUANTILES] if len(finite) else [])
    for part, value in zip(QUANTILES, whole.quantiles.values(), strict=False):
        right = ordered[int(part * (len(ordered) - 1))]
        assert abs(value - right) <= max(RELATIVE_ERROR * abs(right), 1e-40)
    if not len(finite):
        assert whole.histogram is None
        return
    edges, counts = whole.histogram.edges, whole.histogram.counts
    assert sum(counts) == len(finite)
    assert len(edges) == len(counts) + 1
    # As far as an edge may be moved, so many values may be on its other side.
    for edge, below in zip(edges, [0, *np.cumsum(counts)], strict=True):
        slack = 2 * RELATIVE_ERROR * abs(edge) + 1e-40
        assert np.sum(ordered < edge - slack) <= below <= np.sum(ordered <= edge + slack)


@pytest.mark.parametrize("name", NAMES)
def test_merged_in_any_order_it_is_the_same(name):
    values = make(name)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    whole = Statistics(SHAPE, np.float32, by_sample=True)
    whole.add(values, 0)
    rng = np.random.default_rng(1)
    for _ in range(5):
        edges = [0, *sorted(rng.choice(np.arange(1, ROWS), 6, replace=False)), ROWS]
        parts = []
        for first, last in pairwise(edges):
            part = Statistics(SHAPE, np.float32, by_sample=True)
            part.add(values[first:last], int(first))
            parts.append(part)
        while len(parts) > 1:
            one = parts.pop(rng.integers(len(parts)))
            parts[rng.integers(len(parts))].merge(one)
        assert_alike(parts[0], whole)


ROUNDED = ("mean", "std", "l1", "l2", "rms")


def assert_alike(one, other):
    """Equal but for the rounding of sums."""
    for a, b in zip(
        [one.summarize(), *one.summarize_channels(), *one.summarize_samples()],
        [other.summarize(), *other.summarize_channels(), *other.summarize_samples()],
        strict=True,
    ):
        nothing = dict.fromkeys(ROUNDED)
        assert replace(a, **nothing) == replace(b, **nothing)
        size = max(abs(a.min or 0), abs(a.max or 0))
        for field in ROUNDED:
            right = getattr(b, field)
            if right is not None:
                right = pytest.approx(right, rel=1e-12, abs=1e-14 * size)
            assert getattr(a, field) == right, field


def test_rows_that_are_not_valid_do_not_count():
    values = make("plain")
    valid = np.arange(ROWS) % 3 > 0
    values[~valid] = np.nan
    some, whole = (Statistics(SHAPE, np.float64, by_sample=True) for _ in range(2))
    some.add(values, 100, valid)
    whole.add(values[valid], 0)
    told = asdict(some.summarize())
    assert told == asdict(whole.summarize())
    assert (told["rows"], told["nan"]) == (26, 0)
    assert [s.row for s in some.summarize_samples()] == (100 + np.flatnonzero(valid)).tolist()


@pytest.mark.parametrize("axis", [0, 1, -3])
def test_channels_may_be_any_axis(axis):
    values = make("some not finite")
    last = Statistics((SHAPE[1], SHAPE[2], SHAPE[0]), np.float64)
    last.add(np.moveaxis(values, 1, -1), 0)
    statistics = Statistics(SHAPE, np.float64, channel_axis=axis)
    statistics.add(values, 0)
    along = values.swapaxes(1, axis % 3 + 1)
    for channel in statistics.summarize_channels():
        check(asdict(channel), along[:, channel.channel])
    assert statistics.summarize().first_nan == last.summarize().first_nan
    assert statistics.summarize().channels == SHAPE[axis]


def test_many_channels_and_few_rows():
    values = np.random.default_rng(0).normal(size=(3, 70_000)).astype(np.float32)
    statistics = Statistics((70_000,), np.float32)
    statistics.add(values, 0, scanner=(scanner := Scanner(compiled=True)))
    statistics.finish(scanner)
    check(asdict(statistics.summarize()), values)
    check(asdict(statistics.summarize_channels()[69_999]), values[:, 69_999])


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int32", "uint64", "float16", "bfloat16"]
)
def test_values_of_any_real_dtype(dtype):
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    values = np.abs(make("plain") * 40).astype(kind)
    statistics = Statistics(SHAPE, kind)
    statistics.add(values, 0)
    whole = statistics.summarize()
    assert whole.dtype == dtype
    check(asdict(whole), values)
    check_distribution(whole, values.astype(np.float64).ravel())
    if values.dtype.kind in "biu":  # small ones are exact
        ordered = np.sort(values, axis=None)
        assert whole.quantiles["0.5"] == ordered[(len(ordered) - 1) // 2]
        assert whole.saturated is None


def test_values_that_are_often_at_an_extreme_are_saturated():
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(size=(1000, 10)), -1, 1.5).astype(np.float32)
    cases = {
        "both ends": (values, np.mean((values == -1) | (values == np.float32(1.5)))),
        "zero is told of elsewhere": (np.maximum(values, 0), np.mean(values == np.float32(1.5))),
        "none": (rng.normal(size=(1000, 10)).astype(np.float32), 0),
        "a constant": (np.full((1000, 10), 3, np.float32), 1),
        "none is finite": (np.full((1000, 10), np.inf, np.float32), 0),
        "too few": (np.r_[np.full(9, 9), rng.random(9991)].reshape(1000, 10).astype("f4"), 0),
    }
    for compiled in False, True:
        for name, (rows, expected) in cases.items():
            statistics = Statistics((10,), np.float32)
            for first in (500, 0):
                scanner = Scanner(compiled)
                statistics.add(rows[first : first + 500], first, scanner=scanner)
                statistics.finish(scanner)
            assert statistics.summarize().saturated == pytest.approx(expected), name


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (-1,), (-1, 4)])
def test_rows_of_any_shape(shape):
    rows = [np.full([2 if size < 0 else size for size in shape], i, "f4") for i in range(3)]
    statistics = Statistics(shape, np.float32, by_sample=True)
    for number, row in enumerate(rows):
        statistics.add(row[None], number)
    check(asdict(statistics.summarize()), np.stack(rows))
    assert statistics.summarize().rows == 3
    assert [sample.count for sample in statistics.summarize_samples()] == [r.size for r in rows]
    assert statistics.summarize().channels == (4 if shape == (-1, 4) else None)


def test_no_rows_at_all():
    statistics = Statistics(SHAPE, np.float32)
    statistics.add(np.zeros((0, *SHAPE), np.float32), 0)
    whole = statistics.summarize()
    check(asdict(whole), np.zeros(0))
    assert (whole.rows, whole.quantiles, whole.histogram, whole.dead) == (0, {}, None, 0)


@pytest.mark.parametrize("compiled", [False, True])
def test_what_float64_cannot_hold_is_none(compiled):
    values = np.array([1e200, -1e200, 3e200, np.inf, 1.7e308, -1.7e308])
    statistics = Statistics((), np.float64)
    for row, value in enumerate(values):
        statistics.add(values[row : row + 1], row, scanner=(scanner := Scanner(compiled)))
        statistics.finish(scanner)
        assert np.isfinite(value) or row == 3
    whole = statistics.summarize()
    assert (whole.std, whole.l2, whole.rms) == (None, None, None)
    assert (whole.l1, whole.min, whole.max) == (None, -1.7e308, 1.7e308)
    assert (whole.count, whole.inf) == (6, 1)
    assert sum(whole.histogram.counts) == 5
    assert whole.quantiles["0.5"] == pytest.approx(1e200, rel=RELATIVE_ERROR)


def test_moments_alone():
    statistics = Statistics(SHAPE, np.float32, detail="moments")
    values = make("relu6").astype(np.float32)
    statistics.add(values, 0)
    whole = statistics.summarize()
    check(asdict(whole), values)
    assert (whole.quantiles, whole.quantile_error, whole.histogram) == ({}, None, None)
    assert whole.saturated > 0.1


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("by_sample", [False, True])
def test_what_is_stored_is_continued(tmp_path, by_sample, dtype):
    values = make("relu6").astype(dtype)
    values[3, 0, 0, 0] = np.nan
    whole, begun = (Statistics(SHAPE, dtype, by_sample=by_sample) for _ in range(2))
    for statistics in whole, begun:
        statistics.add(values[:20], 0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in begun.to_arrays().items():
            file[name] = array
    with h5py.File(tmp_path / "a.h5") as file:
        again = Statistics.from_arrays(
            begun.settings(), {n: stored[()] for n, stored in file.items()}
        )
    for statistics in whole, again:
        statistics.add(values[20:], 20)
    assert again.summarize() == whole.summarize()
    assert again.summarize_channels() == whole.summarize_channels()
    assert again.summarize_samples() == whole.summarize_samples()
    assert pickle.loads(pickle.dumps(again)).summarize() == whole.summarize()


def test_statistics_of_something_else_are_not_merged():
    statistics = Statistics(SHAPE, np.float32)
    for other in Statistics((3,), np.float32), Statistics(SHAPE, np.float64):
        with pytest.raises(ValueError, match="can't take in"):
            statistics.merge(other)
