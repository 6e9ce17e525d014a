"""The grammar of addresses, pinned by a table."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from kprobe.addresses.grammar import Address, Step, names_weight, parse_address, split_addresses
from kprobe.errors import AddressError

PARSED = [
    ("conv5_3", {"steps": (Step("conv5_3"),)}),
    ("backbone/conv5_3", {"steps": (Step("backbone"), Step("conv5_3"))}),
    ("encoder@1/d1", {"steps": (Step("encoder", 1), Step("d1"))}),
    ("encoder@*", {"steps": (Step("encoder", "*"),)}),
    ("block*_conv?", {"steps": (Step("block*_conv?"),)}),
    ("**/bn", {"steps": (Step("**"), Step("bn"))}),
    ("a@b", {"steps": (Step("a@b"),)}),
    ("type:Conv2D", {"type": "Conv2D"}),
    ("type:Conv2D:in", {"type": "Conv2D", "port": "in"}),
    ("at:-1", {"position": -1}),
    ("at:3:in[0]", {"position": 3, "port": "in", "index": 0}),
    ("conv1:in", {"steps": (Step("conv1"),), "port": "in"}),
    ("lstm:mask", {"steps": (Step("lstm"),), "port": "mask"}),
    ("conv1:out", {"steps": (Step("conv1"),)}),
    ("ROI[0]", {"steps": (Step("ROI"),), "index": 0}),
    ("ROI[-1]", {"steps": (Step("ROI"),), "index": -1}),
    ("ROI[0:2]", {"steps": (Step("ROI"),), "index": slice(0, 2)}),
    ("ROI[::2]", {"steps": (Step("ROI"),), "index": slice(None, None, 2)}),
    ("ROI['boxes']", {"steps": (Step("ROI"),), "index": "boxes"}),
    ("ROI[boxes]", {"steps": (Step("ROI"),), "index": "boxes"}),
    ("add:in[1]", {"steps": (Step("add"),), "port": "in", "index": 1}),
    ("features=avg_pool", {"alias": "features", "steps": (Step("avg_pool"),)}),
    ("x=ROI[1]", {"alias": "x", "steps": (Step("ROI"),), "index": 1}),
    ("conv1//BiasAdd", {"steps": (Step("conv1"),), "operation": "BiasAdd"}),
    (
        "nms=ROI//*NonMaxSuppression*:0",
        {"alias": "nms", "steps": (Step("ROI"),), "operation": "*NonMaxSuppression*", "number": 0},
    ),
    ("//model/conv/BiasAdd:0", {"steps": (), "operation": "model/conv/BiasAdd", "number": 0}),
    ("conv1:kernel", {"steps": (Step("conv1"),), "weight": "kernel"}),
    ("k=conv1:kernel", {"alias": "k", "steps": (Step("conv1"),), "weight": "kernel"}),
    ("conv1:output", {"steps": (Step("conv1"),), "weight": "output"}),
    ("conv1:*", {"steps": (Step("conv1"),), "weight": "*"}),
    ("**:kernel", {"steps": (Step("**"),), "weight": "kernel"}),
    ("mha:query/kernel", {"steps": (Step("mha"),), "weight": "query/kernel"}),
    ("enc@1/conv1:kernel", {"steps": (Step("enc", 1), Step("conv1")), "weight": "kernel"}),
    ("shared@*:kernel", {"steps": (Step("shared", "*"),), "weight": "kernel"}),
    ("type:Conv2D:kernel", {"type": "Conv2D", "weight": "kernel"}),
    ("at:1:bias", {"position": 1, "weight": "bias"}),
    ("at:-1:cell/bias", {"position": -1, "weight": "cell/bias"}),
    ("seq/at:1", {"steps": (Step("seq"), Step("at:1"))}),
    ("seq/at:1@2", {"steps": (Step("seq"), Step("at:1", 2))}),
    ("seq/at:1:in[0]", {"steps": (Step("seq"), Step("at:1")), "port": "in", "index": 0}),
    ("seq/at:1:kernel", {"steps": (Step("seq"), Step("at:1")), "weight": "kernel"}),
    ("at:1/d", {"steps": (Step("at:1"), Step("d"))}),
    ("at:1/d:kernel", {"steps": (Step("at:1"), Step("d")), "weight": "kernel"}),
    (
        "x=at:1/at:0//BiasAdd",
        {"alias": "x", "steps": (Step("at:1"), Step("at:0")), "operation": "BiasAdd"},
    ),
    ("conv1:own", {"steps": (Step("conv1"),), "own": True}),
    ("c=enc@1/conv1:own", {"alias": "c", "steps": (Step("enc", 1), Step("conv1")), "own": True}),
    ("ROI[0:2]:own", {"steps": (Step("ROI"),), "index": slice(0, 2), "own": True}),
    ("add:in[1]:own", {"steps": (Step("add"),), "port": "in", "index": 1, "own": True}),
    ("conv1:out:own", {"steps": (Step("conv1"),), "own": True}),
    (
        "conv1//Conv2D:0:own",
        {"steps": (Step("conv1"),), "operation": "Conv2D", "number": 0, "own": True},
    ),
    ("//a/Relu:own", {"steps": (), "operation": "a/Relu", "own": True}),
    ("type:Conv2D:own", {"type": "Conv2D", "own": True}),
    ("at:3:own", {"position": 3, "own": True}),
    ("seq/at:1@2:own", {"steps": (Step("seq"), Step("at:1", 2)), "own": True}),
    ("**:own", {"steps": (Step("**"),), "own": True}),
    ("a=b=c:own", {"alias": "a", "steps": (Step("b=c"),), "own": True}),
    ("mha:query/own", {"steps": (Step("mha"),), "weight": "query/own"}),
]


@pytest.mark.parametrize(("text", "parts"), PARSED, ids=[text for text, _ in PARSED])
def test_an_address_is_taken_apart(text, parts):
    alias = parts.get("alias")
    place = text.removeprefix(f"{alias}=") if alias else text
    assert parse_address(text) == Address(place, **parts)


def test_a_regex_reaches_to_the_end():
    address = parse_address(r"re:conv\d_(1|3):in,[a]")
    assert address.regex is not None
    assert address.regex.pattern == r"conv\d_(1|3):in,[a]"
    assert parse_address("c=re:conv.").alias == "c"


REFUSED = [
    ("conv5_3/Relu:0", "'conv5_3/Relu:0' is the name of a graph tensor, not of a layer"),
    ("conv5_3:0", "'conv5_3:0': a layer's outputs are numbered in brackets"),
    (
        "conv5_3:",
        "'conv5_3:': expected :in, :out, :mask, :scores, :own or the name of a weight, received :",
    ),
    (
        "conv5_3:cell/",
        "'conv5_3:cell/': expected :in, :out, :mask, :scores, :own or the name of a weight, "
        "received :cell/",
    ),
    (
        "conv5_3:kernel[0]",
        "'conv5_3:kernel[0]': brackets choose among outputs, and a weight has no parts",
    ),
    ("a:own[0]", "'a:own[0]': :own stands at the end"),
    ("a:kernel:own", "'a:kernel:own': weights aren't computed"),
    ("a:own:own", "'a:own:own': one :own is enough"),
    (":own", "'': expected a layer's name between the slashes"),
    ("a//", "'a//': expected an operation and the number of its output after '//', received ''"),
    (
        "a//b:x",
        "'a//b:x': expected an operation and the number of its output after '//', received 'b:x'",
    ),
    ("at:last", "'at:last': expected a whole number after 'at:', received 'last'"),
    ("a/", "'a/': expected a layer's name between the slashes"),
    ("/a", "'/a': expected a layer's name between the slashes"),
    ("@1", "'@1': expected a layer's name between the slashes"),
    ("", "'': expected a layer's name between the slashes"),
    ("a[0]:in", "'a[0]:in': brackets hold an index and stand at the end"),
    ("a[0", "'a[0': brackets hold an index and stand at the end"),
    ("a[]", "'a[]': expected an index, a slice or a key in the brackets"),
    (
        "re:(",
        "'re:(' is not a regular expression: missing ), unterminated subpattern at position 0",
    ),
]


@pytest.mark.parametrize(("text", "fault"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_is_no_address_is_refused_with_the_reason(text, fault):
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert caught.value.faults == (fault,)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("a:own[0]", "a[0]:own"), ("a:kernel:own", "a:kernel"), ("x=a/b:own:own", "a/b:own")],
)
def test_a_wrong_own_is_answered_with_the_right_address(text, hint):
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert caught.value.hint == f"write {hint}"
    assert parse_address(hint)


def test_a_regex_has_no_own():
    assert parse_address("re:conv.:own") == Address("re:conv.:own", regex=re.compile("conv.:own"))


def test_a_tensor_name_of_tensorflow_1_is_answered_with_the_address():
    with pytest.raises(AddressError) as caught:
        parse_address("conv5_3/Relu:0")
    assert caught.value.hint == "write conv5_3//Relu:0 for that operation inside conv5_3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("conv1:kernel", True),
        ("k=**:*", True),
        ("conv1", False),
        ("conv1:in", False),
        ("a[", False),
    ],
)
def test_the_text_tells_the_address_of_a_weight(text, expected):
    assert names_weight(text) is expected


LISTS = [
    ("a,b", ["a", "b"]),
    (" a , b ,", ["a", "b"]),
    ("ROI[0,1],b", ["ROI[0,1]", "b"]),
    ("re:a{1,2},b", ["re:a{1,2},b"]),
    ("x=re:a{1,2}", ["x=re:a{1,2}"]),
    ("", []),
]


@pytest.mark.parametrize(("argument", "addresses"), LISTS, ids=[text for text, _ in LISTS])
def test_commas_separate_addresses_outside_brackets_and_regexes(argument, addresses):
    assert split_addresses(argument) == addresses


def test_the_grammar_needs_no_tensorflow():
    script = "import sys, kprobe.addresses.resolve; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "kprobe.addresses.grammar" in modules
    assert "tensorflow" not in modules
    assert "numpy" not in modules
