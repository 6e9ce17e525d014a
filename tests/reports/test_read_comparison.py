from __future__ import annotations

import copy
import json

import pytest

from kprobe.errors import DumpError
from kprobe.reports.read_comparison import read_comparison


def read(folder, told):
    path = folder / "d.json"
    path.write_text(told if isinstance(told, str) else json.dumps(told))
    return read_comparison(path)


def test_what_was_printed_is_read(tmp_path, comparison):
    assert read(tmp_path, comparison) == comparison


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("tensors",), {}, "tensors isn't what it should be"),
        (("tensors",), [[]], r"tensors\[0\] is no object"),
        (("tensors", 1, "a"), 3, r"tensors\[1\].a isn't what it should be"),
        (("tensors", 1, "shape"), [1, "2"], r"tensors\[1\].shape isn't"),
        (("tensors", 1, "shape"), [-1], r"tensors\[1\].shape isn't"),
        (("tensors", 0, "after"), "first", r"tensors\[0\].after isn't"),
        (("tensors", 0, "count"), True, r"tensors\[0\].count isn't"),
        (("tensors", 0, "relative"), "0", r"tensors\[0\].relative isn't"),
        (("tensors", 0, "same"), 1, r"tensors\[0\].same isn't"),
        (("samples",), 1 << 70, "samples isn't"),
        (("kind",), "other", "kind isn't"),
        (("kind",), ["born"], "kind isn't"),
        (("notes",), [None], "notes isn't"),
        (("verdict",), None, "verdict isn't"),
    ],
)
def test_each_value_is_checked(place, value, said, tmp_path, comparison):
    told = copy.deepcopy(comparison)
    inside = told
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    with pytest.raises(DumpError, match=said):
        read(tmp_path, told)


def test_every_value_that_is_used_must_be_there(tmp_path, comparison):
    unused = {"order", "between", "gain"}
    for name in comparison["tensors"][0].keys() - unused:
        told = copy.deepcopy(comparison)
        del told["tensors"][2][name]
        with pytest.raises(DumpError, match=rf"tensors\[2\].{name} is missing"):
            read(tmp_path, told)
    for name in comparison:
        with pytest.raises(DumpError, match=f"{name} is missing"):
            read(tmp_path, {k: v for k, v in comparison.items() if k != name})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is no object"),
        ("{}", "same is missing"),
        ('{"same": NaN}', "NaN is no number of JSON"),
        ('{"same": -Infinity}', "-Infinity is no number of JSON"),
        ('{"same": 1e999}', "a number is too large"),
        ('{"same": ' + "[" * 100_000, "lists in lists, too deep"),
        ('{"same": ' + "9" * 5000 + "}", "4300"),
    ],
)
def test_what_is_no_comparison_is_answered_in_a_line(text, said, tmp_path):
    with pytest.raises(DumpError, match=said) as caught:
        read(tmp_path, text)
    assert len(caught.value.faults) == 1
    assert "`kprobe diff A B`" in str(caught.value)


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path):
    path = tmp_path / "d.json"
    path.write_bytes(b'{"same": "\xff"}')
    with pytest.raises(DumpError, match="utf-8"):
        read_comparison(path)
    with path.open("wb") as file:
        file.truncate((1 << 28) + 1)
    with pytest.raises(DumpError, match="more than 256 MiB"):
        read_comparison(path)
