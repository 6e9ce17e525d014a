"""What is written of reductions is read as it was meant, and what is wrong with it is said."""

from __future__ import annotations

import pytest

from kprobe.errors import AddressError
from kprobe.subgraph.reductions import REDUCTIONS, parse_requests


def read(value):
    return [str(request) for request in parse_requests(value)]


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("gap", ["gap"]),
        ((), []),
        (["gap", "conv1=norm, gmax"], ["gap", "conv1=norm,gmax"]),
        ({"conv1": "gap", "conv2": ["norm", "mean( height , width )"]},
         ["conv1=gap", "conv2=norm,mean(height,width)"]),
        ("conv1,enc/b@1:in[0]=gap", ["conv1,enc/b@1:in[0]=gap"]),
        ("re:a{1,2}=b=gap", ["re:a{1,2}=b=gap"]),
        ("channels(0:16).pool(2,2).norm(channel)", ["channels(0:16).pool(2,2).norm(channel)"]),
        ("channels( :-1:2 ),positions(-1,+3)", ["channels(:-1:2),positions(-1,3)"]),
        ("quantiles(.5,1e-3,1)", ["quantiles(0.5,0.001,1)"]),
        ("histogram(8,-1,2.5)", ["histogram(8,-1,2.5)"]),
        ("histogram(8,0.30000000000000004,1)", ["histogram(8,0.30000000000000004,1)"]),
        ("project(64)", ["project(64,0)"]),
        ("last().flatten", ["last.flatten"]),
    ],
)  # fmt: skip
def test_what_is_written_is_understood_and_can_be_given_again(given, understood):
    assert read(given) == understood
    assert read(understood) == understood


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gpa", "there is no 'gpa'; did you mean gap?"),
        ("zzzzz", "choose among gap, gmax, mean(AXIS,…)"),
        ("", "expected a reduction such as gap, received ''"),
        ("gap,,norm", "expected a reduction such as gap"),
        ("gap.", "expected a reduction such as gap or pool(2,2), received ''"),
        ("pool(2,2", "received 'pool(2,2'"),
        ("pool(2,2)x", "received 'pool(2,2)x'"),
        ("=gap", "expected an address before ="),
        (3, "expected texts such as gap, or such texts by address, received 3"),
        ([1], "received [1]"),
        ({3: "gap"}, "expected texts by address"),
        ({"conv": [None]}, "expected texts by address"),
        ("gap(1)", "gap takes no arguments, received gap(1)"),
        ("mean(0.5)", "mean(AXIS,…) takes names of axes such as height"),
        ("mean(height,)", "takes names of axes"),
        ("channels", "channels(N:M) takes whole numbers, or a slice such as 0:16"),
        ("channels(0:4,1)", "takes whole numbers, or a slice"),
        ("channels(0:4:0)", "takes whole numbers, or a slice"),
        ("positions(a)", "takes whole numbers, or a slice"),
        ("pool(0,2)", "takes the sizes of a window"),
        ("topk(1.5)", "how many: a whole number from 1 on"),
        ("argtopk(1,2)", "how many: a whole number from 1 on"),
        ("quantiles(0.5,1.5)", "numbers from 0 to 1"),
        ("quantiles", "numbers from 0 to 1"),
        ("histogram(8,1,0)", "how many bins, and the least and the largest value"),
        ("histogram(8,0,inf)", "how many bins"),
        ("histogram(8,0,1e999)", "how many bins"),
        ("histogram(0,0,1)", "how many bins"),
        ("project(8,-1)", "to how many numbers, and a seed"),
        ("project(8,4294967296)", "to how many numbers, and a seed"),
        ("project", "to how many numbers, and a seed"),
    ],
)  # fmt: skip
def test_what_cant_be_read_is_answered_with_what_would_be(given, said):
    with pytest.raises(AddressError) as raised:
        parse_requests(given)
    assert str(raised.value).startswith("reduce: ")
    assert said in str(raised.value)


def test_texts_may_come_one_by_one():
    assert read(text for text in ("gap", "a=norm")) == ["gap", "a=norm"]
    assert read({"a": (text for text in ("gap", "norm"))}) == ["a=gap,norm"]


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(AddressError) as raised:
        parse_requests(["gpa", "pool(0)"])
    assert len(raised.value.faults) == 2


def test_each_row_of_the_table_begins_with_its_name():
    assert all(row.written.partition("(")[0] == name for name, row in REDUCTIONS.items())
