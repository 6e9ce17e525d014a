"""The grammar of what tensors mustn't be, and what meets it."""

from __future__ import annotations

import numpy as np
import pytest

from kprobe.analysis.statistics.accumulate import Statistics
from kprobe.errors import KprobeError
from kprobe.pipeline.statistics.conditions import find_failures, parse_conditions


def summarize(values, address="t"):
    values = np.asarray(values, "f4")
    statistics = Statistics(values.shape[1:], values.dtype)
    statistics.add(values, 0)
    return statistics.summarize(address)


GOOD = summarize([[1.0, -2.0], [3.0, 5.0]], "good")
HALF = summarize([[0.0, np.nan], [0.0, 200.0]], "half")
LOST = summarize([[np.nan], [np.nan]], "lost")


ALL = {tensor.address: [tensor] for tensor in (GOOD, HALF, LOST)}


def find(text):
    return [(f.address, f.field) for f in find_failures(parse_conditions(text), ALL)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nan", [("half", "nan"), ("lost", "nan")]),
        ("inf", []),
        ("dead", [("half", "dead")]),
        ("dead>0.5", []),
        ("dead >= 0.5", [("half", "dead")]),
        ("max>100", [("half", "max")]),  # where nothing is finite, there is no largest
        ("nan>1,min<-1", [("good", "min"), ("lost", "nan")]),
        ("count==2", [("lost", "count")]),
        ("count!=4", [("lost", "count")]),
        ("q.5<=3", [("good", "q0.5"), ("half", "q0.5")]),
        ("Dead-Channels>=1", [("half", "dead_channels")]),
        ("rms<1e9,zeros>5e-1", [("good", "rms"), ("half", "rms")]),
        ("lo*:nan", [("lost", "nan")]),
        ("good:max>4, h?lf : max>100", [("good", "max"), ("half", "max")]),
        ("*l*:count==2,good:nan", [("lost", "count")]),
    ],
)
def test_tensors_that_meet_a_condition_are_found(text, found):
    assert find(text) == found


def test_a_failure_has_the_value_and_the_condition_as_written():
    (failure,) = find_failures(parse_conditions(" max > 1e2"), {"half": [HALF]})
    assert (failure.condition, failure.value) == ("max > 1e2", 200.0)


def test_all_faults_are_told_together_each_with_the_nearest_name():
    with pytest.raises(KprobeError) as raised:
        parse_conditions("nam,max>x,mean,,dead>0.1,q0.9>1,max>nan")
    lines = raised.value.lines
    assert [line for line in lines if "nearest: nan" in line] == [
        "nam: there is no nam of a tensor; nearest: nan"
    ]
    assert "max>x: expected a number behind >, received 'x'" in lines
    assert "max>nan: expected a number behind >, received 'nan'" in lines
    assert "expected a comparison such as mean>100, received mean alone" in lines
    assert "expected a condition such as nan, dead>0.5 or max>100, received ''" in lines
    assert any(line.startswith("q0.9>1: there is no q0.9 of a tensor") for line in lines)
    assert len(lines) == 6


@pytest.mark.parametrize("text", ["p99>1", "q99>1", "p99.9>1", "q0.98>1"])
def test_another_quantile_is_answered_with_those_that_there_are(text):
    with pytest.raises(KprobeError, match=r"of a tensor; (there are|nearest:) q0\.") as raised:
        parse_conditions(text)
    assert "dead" not in str(raised.value)
