"""Rows of several sources, read together: against the arrays that they were made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe.errors import InputError
from kprobe.inputs import ModelInput, Samples, SampleSpec, open_samples
from kprobe.inputs.sources.source import ArraySource

LEFT = ModelInput("left", (None, 2), "float32")
RIGHT = ModelInput("right", (None,), "int32")
ROWS = {"left": np.arange(22.0, dtype="f4").reshape(11, 2), "right": np.arange(11, dtype="i4") * 7}


def make(rows=ROWS, **options):
    sources = {each: ArraySource(rows[each.name], f"{each.name}.npy") for each in (LEFT, RIGHT)}
    return Samples(sources, **options)


@given(
    batch_size=st.integers(1, 13),
    limit=st.none() | st.integers(1, 13),
    bounds=st.tuples(st.integers(0, 11), st.integers(0, 11)).map(sorted),
)
def test_each_row_is_read_once_in_order_whatever_the_batches(batch_size, limit, bounds):
    samples = make(limit=limit)
    count = min(11, limit or 11)
    assert samples.rows == samples.most == count
    start, stop = (min(bound, count) for bound in bounds)
    for begin, end, batches in (
        (0, count, samples.batches(batch_size)),
        (start, stop, samples.batches(batch_size, start, stop)),
    ):
        batches = list(batches)
        assert [first for first, _ in batches] == list(range(begin, end, batch_size))
        for name, rows in ROWS.items():
            read = [batch[name] for _, batch in batches]
            assert all(len(each) == batch_size for each in read[:-1])
            np.testing.assert_array_equal(np.concatenate([rows[:0], *read]), rows[begin:end])


@given(count=st.integers(1, 13), limit=st.none() | st.integers(1, 13))
def test_the_first_rows_are_samples_of_their_own(count, limit):
    samples = make(limit=limit)
    first = samples.first(count)
    expected = min(11, count, limit or 11)
    assert first.rows == expected
    assert samples.rows == min(11, limit or 11)
    (batch,) = (batch for _, batch in first.batches(20))
    peeked = samples.peek(count)
    for name, rows in ROWS.items():
        np.testing.assert_array_equal(batch[name], rows[:expected])
        np.testing.assert_array_equal(peeked[name], rows[:expected])


def test_rows_are_named_after_the_first_input_s_source():
    names = make(limit=5).names()
    assert [name.decode() for name in names[:]] == [f"left.npy[{row}]" for row in range(5)]
    assert make().names(9, 11)[:].tolist() == [b"left.npy[9]", b"left.npy[10]"]


def test_what_is_read_is_told():
    samples = make(limit=5)
    assert samples.given == ["left", "right"]
    assert samples.specs() == {"left": ((2,), np.dtype("f4")), "right": ((), np.dtype("i4"))}
    told = [(each["input"], each["rows"], each["shape"]) for each in samples.identity()]
    # Before the limit.
    assert told == [("left", 11, [2]), ("right", 11, [])]
    assert samples.replayable
    assert not samples.random


def test_only_what_is_needed_is_read_and_has_to_have_as_many_rows():
    shorter = {**ROWS, "right": ROWS["right"][:7]}
    samples = make(shorter)
    assert samples.rows == 7
    with pytest.raises(InputError, match=r"received 11 from left\.npy, 7 from right\.npy"):
        samples.restrict(["left", "right"])
    samples.restrict(["left"])
    assert (samples.rows, samples.given) == (11, ["left"])
    ((_, batch),) = samples.batches(20)
    np.testing.assert_array_equal(batch.pop("left"), ROWS["left"])
    assert not batch


def test_an_input_without_a_source_may_lack_it_where_it_is_not_needed():
    extra = ModelInput("extra", (None, 3), "float32")
    samples = make(lacking={extra: None})
    with pytest.raises(InputError, match=r"received none for extra \(None, 3\) float32"):
        samples.restrict(["left", "extra"])
    samples = make(lacking={extra: None})
    samples.restrict(["left"])
    assert samples.given == ["left"]


@pytest.mark.parametrize("arguments", [(0,), (4, -1), (4, 5, 3), (4, 0, 12)])
def test_batches_that_cannot_be_are_refused(arguments):
    with pytest.raises(ValueError, match="no batches of"):
        list(make().batches(*arguments))


def test_an_integer_that_the_input_cannot_hold_is_refused_when_it_is_read():
    wide = {**ROWS, "right": np.array([*range(10), 2**40])}
    samples = make(wide)
    assert len(list(samples.batches(5, 0, 10))) == 2
    with pytest.raises(InputError, match=r"right\.npy"):
        list(samples.batches(5))


def test_where_nobody_knows_how_many_there_are_they_end_when_they_end():
    spec = SampleSpec(inputs=lambda: iter([ROWS["left"][:4], ROWS["left"][4:]]))
    with open_samples(spec, [LEFT]) as samples:
        assert (samples.rows, samples.most) == (None, math.inf)
        assert [len(batch["left"]) for _, batch in samples.batches(5)] == [5, 5, 1]
        with pytest.raises(ValueError, match="nobody knows"):
            samples.names()


def test_a_source_that_ends_before_the_others_is_named_with_where():
    given = {"left": lambda: iter([ROWS["left"][:4]]), "right": lambda: iter([ROWS["right"]])}
    with open_samples(SampleSpec(inputs=given), [LEFT, RIGHT]) as samples:
        fault = "function:left: expected 5 samples, and it ended after 4"
        with pytest.raises(InputError, match=fault) as caught:
            list(samples.batches(5))
    assert caught.value.hint == "limit=4"
