"""Patterns of layers' paths are matched in little time, or refused."""

from __future__ import annotations

import re

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe.gate.networks.patterns import MAX_PATTERN, MAX_PATTERNS, Patterns, count_wild


@pytest.mark.parametrize(
    ("pattern", "wild"),
    [
        ("", 0),
        ("encoder/layer_0/dense", 0),
        ("encoder/.*", 1),
        (r"encoder/layer_\d+/dense", 1),
        (r"blocks\.0/attn", 0),
        ("[^/]+/query", 1),
        ("a/(query|key|value)", 0),
        ("(?:a|b)/c", 0),
        ("a/dense_?1?", 0),
        (".*/attention/.*", 2),
        ("model 1/Größe", 0),
        ("a>b/c", 0),
    ],
)
def test_paths_and_a_few_wildcards_pass(pattern, wild):
    assert re.compile(pattern)
    assert count_wild(pattern) == wild


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(?:.*)*",
        "(a|b)+",
        ".*.*.*",
        "a{9}",
        r"(a)\1",
        "(?=a)b",
        "(?P<n>a)",
        "(?i)a",
        "(?>a)",
        "a++",
        ".**",
        "a+",
        "^a$",
        "[a-z]{3}",
        "(a?)?b?",
        r"\Z",
        r"\ba",
        "[[a]+",
        "a" * (MAX_PATTERN + 1),
    ],
)
def test_all_else_is_refused(pattern):
    assert count_wild(pattern) is None


@given(st.text(alphabet="ab/.*+?|()[]^\\d{}1,:=<>!P-", max_size=14))
def test_what_passes_repeats_no_more_than_is_counted(pattern):
    wild = count_wild(pattern)
    if wild is None:
        return
    bare = re.sub(r"\\.", "", pattern)
    assert bare.count("*") + bare.count("+") <= wild
    assert "{" not in bare
    assert not re.search(r"\)[*+]", bare)


def test_every_map_that_keras_writes_passes():
    policies = keras.dtype_policies
    own = policies.DTypePolicyMap()
    own["encoder/dense"] = policies.DTypePolicy("bfloat16")
    own["decoder/.*"] = policies.QuantizedDTypePolicy("int8", "float32")
    config = keras.saving.serialize_keras_object(own)["config"]
    patterns = Patterns()
    assert not [*patterns.find_faults(config, "")]
    assert patterns.counts == {0: 1, 1: 1}
    assert not [*patterns.judge_all(500)]


def test_all_maps_of_a_model_count_together():
    patterns = Patterns()
    for number in range(3):
        names = dict.fromkeys(f"a/{number}/{k}" for k in range(MAX_PATTERNS // 3 + 1))
        assert not [*patterns.find_faults({"policy_map": names}, "")]
    (fault,) = patterns.judge_all(100)
    assert fault.text == ("expected at most 4,096 names in maps of dtype policies, received 4,098")
