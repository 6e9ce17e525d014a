"""The file of statistics: what is read again is what was gathered, and parts make the whole."""

from __future__ import annotations

import random
import resource
from dataclasses import replace
from itertools import pairwise

import h5py
import numpy as np
import pytest

from kprobe.analysis.statistics.accumulate import Statistics
from kprobe.dumps.output import OutputSpec
from kprobe.errors import DumpError
from kprobe.pipeline.statistics.gathered import Gathered
from kprobe.pipeline.statistics.report import make_report
from kprobe.pipeline.statistics.stored import read_gathered, save_gathered, write_gathered

GENERATOR = np.random.default_rng(0)
VALUES = (GENERATOR.normal(40, 3, (97, 5, 6)) * GENERATOR.choice([0, 1], (97, 5, 6))).astype("f4")
VALUES[:, :, 2] = 0
VALUES[[31, 60], 1, 4] = np.nan, np.inf


def gather(start, stop, by_sample=True):
    statistics = Statistics((5, 6), np.dtype("f4"), by_sample=by_sample)
    statistics.add(VALUES[start:stop], start)
    names = {row: f"sample é {row}" for row in range(start, stop)}
    return Gathered(
        source="m",
        statistics={"a/b:in": statistics},
        weights=[],
        rows=stop - start,
        total=97,
        names=names,
        attrs={"model": "m", "addresses": ["a/b:in"], "seed": 3},
    )


def test_what_is_read_is_what_was_written(tmp_path):
    whole = replace(gather(0, 97), left_out=2, uncounted=["text holds no numbers"])
    save_gathered(whole, OutputSpec(path=tmp_path / "s.h5"))
    read = read_gathered(tmp_path / "s.h5")
    assert make_report(read).to_json("sample") == make_report(whole).to_json("sample")
    assert make_report(read).to_json("channel") == make_report(whole).to_json("channel")
    assert (read.attrs, read.names) == (whole.attrs, whole.names)
    assert (read.complete, read.left_out, read.uncounted) == (True, 2, whole.uncounted)
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]


def as_bytes(text):
    return np.frombuffer(text, np.uint8)


def test_of_thousands_of_tensors_those_chosen_are_read(tmp_path):
    of_each = {}
    for number in range(2000):
        # Channels, values, dtypes and kinds of rows differ from tensor to tensor.
        dtype = ("f4", "f8", "i4")[number % 3]
        each = Statistics((number % 4,), np.dtype(dtype), by_sample=number % 2 == 0)
        each.add(GENERATOR.normal(0, 9, (number % 3, number % 4)).astype(dtype), 0)
        of_each[f"layer{number}"] = each
    gathered = replace(gather(0, 3), statistics=of_each, weights=["layer1999"], names={})
    path = tmp_path / "s.h5"
    save_gathered(gathered, OutputSpec(path=path))
    with h5py.File(path) as file:
        objects = []
        file.visit(objects.append)
    assert len(objects) < 25  # a file of thousands takes minutes
    for read in (read_gathered(path), read_gathered(path, lambda known: known[::150])):
        assert len(read.statistics) in (2000, 14)
        assert read.weights == ["layer1999"]
        for address, found in read.statistics.items():
            assert found.settings() == of_each[address].settings()
            for name, values in of_each[address].to_arrays().items():
                assert np.array_equal(found.to_arrays()[name], values), (address, name)
                assert found.to_arrays()[name].dtype == values.dtype


@pytest.mark.parametrize("seed", range(4))
def test_parts_merged_in_any_order_equal_one_run(seed, tmp_path):
    generator = random.Random(seed)
    edges = [0, *sorted(generator.sample(range(1, 97), generator.randint(1, 12))), 97]
    parts = list(pairwise(edges))
    generator.shuffle(parts)
    merged = None
    for start, stop in parts:
        write_gathered(tmp_path / "part.h5", gather(start, stop))
        part = read_gathered(tmp_path / "part.h5").statistics["a/b:in"]
        if merged is None:
            merged = part
        else:
            merged.merge(part)
    (whole,) = make_report(gather(0, 97)).tensors
    found = merged.summarize("a/b:in")
    # As the page about statistics promises.
    assert abs(found.mean - whole.mean) <= 1e-13 * np.nanmax(VALUES[np.isfinite(VALUES)])
    for name in ("std", "l1", "l2", "rms"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-10)
    rounded = {"mean": 0.0, "std": 0.0, "l1": 0.0, "l2": 0.0, "rms": 0.0}
    assert replace(found, **rounded) == replace(whole, **rounded)
    assert (found.first_nan, found.first_inf, found.dead_channels) == (31, 60, 1)
    finite = VALUES[np.isfinite(VALUES)].astype("f8")
    assert found.mean == pytest.approx(finite.mean(), rel=1e-13)
    assert found.std == pytest.approx(finite.std(), rel=1e-10)


def test_a_newer_format_a_damaged_file_and_none_are_told(tmp_path):
    path = tmp_path / "s.h5"
    with pytest.raises(DumpError, match="expected statistics, received no file"):
        read_gathered(path)
    save_gathered(gather(0, 97), OutputSpec(path=path))
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(DumpError, match="in format 1 at most, received format 2; it needs a newer"):
        read_gathered(path)
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 1
        del file["arrays/state"]
    with pytest.raises(DumpError, match="expected statistics, received a damaged file"):
        read_gathered(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("arrays/counts", lambda was: -was),
        ("arrays/counts", lambda was: was + 2**62),
        ("arrays/counts", lambda was: was[[1, 0, 2, 3]]),
        ("arrays/counts", lambda was: was.astype(float)),
        ("arrays/floats", lambda was: np.where(np.arange(5)[:, None] > 2, np.nan, was)),
        ("arrays/floats", lambda was: -was),
        ("arrays/floats", lambda was: was[[0, 1, 2, 4, 3]]),
        ("arrays/sample_counts", lambda was: was + 2**62),
        ("arrays/sample_floats", lambda was: was * np.nan),
        ("arrays/sample_rows", lambda was: was - 10**6),
        ("arrays/state", lambda was: -was - 1),
        ("arrays/at_extremes", lambda was: was - 2**40),
        ("arrays/sketch_counts", lambda was: was + 2**62),
        ("arrays/sketch_counts", lambda was: was[:-1]),
        ("arrays/sketch_counts", lambda was: -was),
        ("arrays/sketch_keys", lambda was: was.astype("u4") << 8),
        ("arrays/sketch_keys", lambda was: was[::-1]),
        ("arrays/sketch_keys", lambda was: was.astype(float)),
        ("committed", lambda was: np.full(3, was)),
        ("committed", lambda _: h5py.ExternalLink("other.h5", "committed")),
        ("sizes", lambda _: h5py.ExternalLink("other.h5", "sizes")),
        ("sizes", lambda was: was[:, :-1]),
        ("sizes", lambda was: was + 1),
        ("about", lambda was: as_bytes(was.tobytes().replace(b"[5", b"[1000000000000000, 5", 1))),
        ("about", lambda was: as_bytes(b"[1]")),
        ("about", lambda was: was[:-1]),
    ],
)
def test_numbers_that_cannot_be_are_damage(tmp_path, name, value):
    path = tmp_path / "s.h5"
    save_gathered(gather(0, 97), OutputSpec(path=path))
    with h5py.File(path, "a") as file:
        was = file[name][()]
        del file[name]
        new = value(np.asarray(was))
        file[name] = new
    with pytest.raises(DumpError, match="expected statistics, received a damaged file"):
        read_gathered(path)


def test_what_is_there_is_replaced_only_if_it_may_be(tmp_path):
    path = tmp_path / "s.h5"
    save_gathered(gather(0, 97), OutputSpec(path=path))
    with pytest.raises(DumpError, match="exists already; replace it with overwrite=True"):
        save_gathered(gather(0, 50), OutputSpec(path=path))
    assert read_gathered(path).rows == 97
    save_gathered(gather(0, 50), OutputSpec(path=path, overwrite=True))
    assert read_gathered(path).rows == 50
    (tmp_path / "other.h5").write_text("mine")
    with pytest.raises(DumpError, match="exists and is not statistics of kprobe"):
        save_gathered(gather(0, 50), OutputSpec(path=tmp_path / "other.h5", overwrite=True))
    assert {each.name for each in tmp_path.iterdir()} == {"s.h5", "other.h5"}


@pytest.mark.parametrize("most", [0, 700, 6000])
def test_a_disk_that_is_full_leaves_nothing_and_is_one_error(most, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        with pytest.raises(DumpError, match=r"s\.h5\.partial: can't be written: File too large"):
            save_gathered(gather(0, 97), OutputSpec(path=tmp_path / "s.h5"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [*tmp_path.iterdir()]
