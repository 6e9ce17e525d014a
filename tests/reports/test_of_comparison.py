from __future__ import annotations

import pytest

from kprobe.reports.of_comparison import describe_comparison


def test_the_verdict_comes_first_and_the_layers_are_marked(comparison):
    found = describe_comparison(comparison)
    assert (found.level, found.verdict) == ("bad", "The error is born at second")
    assert {layer.name: list(layer.flags) for layer in found.layers} == {
        "first": [],
        "second": ["born", "first", "above", "weak"],
        "third": [],
    }
    assert [(each.level, each.text) for each in found.findings] == [
        ("bad", "Born at: second."),
        ("bad", "The first that parts ways: second."),
        ("bad", "1 of 3 tensors is above tolerance, the worst first: second."),
        ("note", "It would pass with a relative tolerance of 0.5."),
        ("warn", "Only in new.keras: more."),
        ("warn", "1 matched by order and shape, not by a name: second."),
        ("note", "one note"),
    ]


def test_both_sides_are_told(comparison):
    found = describe_comparison(comparison)
    assert [layer.other for layer in found.layers] == ["", "zweite", ""]
    facts = dict(found.layers[1].facts)
    assert (facts["in A"], facts["in B"]) == ("zweite", "second")
    assert facts["sample of the largest difference"] == "b.png (row 1)"
    assert facts["index of the largest difference"] == "[2]"
    assert dict(found.facts)["B"] == "new.keras"


def test_the_local_error_decides_where_there_is_one(comparison, make_layers):
    tensor, make = make_layers
    found = describe_comparison(comparison)
    assert [layer.values["excess"] for layer in found.layers] == [0, pytest.approx(5e4), 0]
    assert [list(layer.upstream) for layer in found.layers] == [[], [0], [0, 1]]
    assert found.sort == "excess"
    running = describe_comparison(make(tensor("a", relative=2e-5)))
    assert running.layers[0].values["excess"] == 2.0


def test_what_json_has_no_number_for_has_none(make_layers):
    tensor, make = make_layers
    odd = tensor("a", relative=None, only_b=3, same=False)
    zero = tensor("b", relative=1e-300, tolerance=0.0, same=False, after=["a"])
    small = tensor("c", relative=1e300, tolerance=1e-300, same=False, after=["b"])
    found = describe_comparison(make(odd, zero, small, would_pass=None))
    assert [layer.values["excess"] for layer in found.layers] == [None, None, None]
    assert "unlike" in found.layers[0].flags
    assert dict(found.layers[0].facts)["not finite in B alone"] == "3 values"
    assert "unlike" in [figure.key for figure in found.figures]
    assert any(each.text == "NaN or infinity on one side: a." for each in found.findings)


def test_what_is_the_same_is_said_to_be(make_layers):
    tensor, make = make_layers
    found = describe_comparison(make(tensor("a"), tensor("b", after=["a"])))
    assert (found.level, found.verdict, found.sort) == ("good", "None: all values are equal", None)
    assert [(each.level, each.text) for each in found.findings] == [
        ("good", "All of 2 tensors are within tolerance.")
    ]


def test_sides_without_a_matched_tensor_make_a_page(make_layers):
    assert describe_comparison(make_layers[1]()).layers == []


def test_a_tensor_that_names_itself_or_what_is_not_there_has_no_line_to_it(make_layers):
    tensor, make = make_layers
    found = describe_comparison(make(tensor("a", after=["a", "gone"]), tensor("b", after=["a"])))
    assert [list(layer.upstream) for layer in found.layers] == [[], [0]]


def test_weights_are_beside_the_graph(make_layers):
    tensor, make = make_layers
    told = make(tensor("a"), tensor("a:kernel", weight=True), tensor("b", after=["a"]))
    found = describe_comparison(told)
    assert [layer.upstream for layer in found.layers] == [[], None, [0]]
    assert found.tree == [0, 2]


def test_samples_of_another_shape_are_told(make_layers):
    tensor, make = make_layers
    told = make(tensor("a", unequal=2, odd_sample="x.png", same=False), would_pass=None)
    found = describe_comparison(told)
    assert list(found.layers[0].flags) == ["above", "unequal"]
    facts = dict(found.layers[0].facts)
    assert facts["of another shape or text"] == "2 samples"
    assert facts["first sample that isn't alike"] == "x.png"
    assert "Of another shape or text in B: a." in [each.text for each in found.findings]
