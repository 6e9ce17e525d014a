"""Files of events, as TensorFlow itself reads them, which checks every checksum."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kprobe.analysis.statistics.accumulate import Statistics
from kprobe.errors import DumpError
from kprobe.pipeline.statistics.events import write_events

VALUES = np.random.default_rng(0).normal(3, 2, (50, 7)).astype("f4")


def summarize(values, address):
    statistics = Statistics(values.shape[1:], values.dtype)
    statistics.add(values, 0)
    return statistics.summarize(address)


def test_a_reader_reads_histograms_and_numbers_back(tmp_path):
    nothing = np.full((3, 2), np.nan, "f4")
    told = [
        summarize(VALUES, "block/çonv"),
        summarize(nothing, "nan"),
        summarize(VALUES.astype("f8") * 1e100, "w"),
    ]
    path = write_events(tmp_path / "logs" / "run", told, 300)
    assert path.parent == tmp_path / "logs" / "run"
    events = list(tf.compat.v1.train.summary_iterator(str(path)))
    assert events[0].file_version == "brain.Event:2"
    assert [event.step for event in events[1:]] == [300, 300, 300]
    values = {value.tag: value for event in events for value in event.summary.value}
    for name, number in (("mean", VALUES.mean()), ("max", VALUES.max()), ("zeros", 0), ("nan", 0)):
        assert values[f"block/çonv/{name}"].simple_value == pytest.approx(number, rel=1e-6)
    histogram = values["block/çonv/values"].histo
    assert (histogram.num, histogram.min) == (350, VALUES.min())
    assert histogram.sum == pytest.approx(VALUES.sum(dtype="f8"))
    assert histogram.sum_squares == pytest.approx((VALUES.astype("f8") ** 2).sum())
    edges = [VALUES.min(), *histogram.bucket_limit]
    right, _ = np.histogram(VALUES, edges)
    # Near an edge a value may count on the other side.
    np.testing.assert_allclose(np.cumsum(histogram.bucket), np.cumsum(right), atol=5)
    assert sum(histogram.bucket) == 350
    assert "nan/values" not in values
    assert values["nan/nan"].simple_value == 6
    assert np.isfinite(values["w/rms"].simple_value)


def test_runs_that_are_shown_at_several_steps_have_files_of_their_own(tmp_path):
    told = [summarize(VALUES, "a")]
    assert write_events(tmp_path, told, 1) != write_events(tmp_path, told, 2)


def test_a_place_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DumpError, match="expected a directory, received a file"):
        write_events(tmp_path / "file", [], 0)
    with pytest.raises(DumpError, match="can't be made: Not a directory"):
        write_events(tmp_path / "file" / "logs", [], 0)
