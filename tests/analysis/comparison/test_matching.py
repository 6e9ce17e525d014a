"""Which tensors of two sides are matched, and by what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobe.analysis.comparison.matching import UnmatchedError, match_tensors
from kprobe.analysis.comparison.records import Described
from kprobe.errors import InputError


def describe(*layers):
    """Describe a side: "name", "name:Class" or ("name:Class", shape), in order."""
    side = []
    for order, layer in enumerate(layers):
        text, shape = layer if isinstance(layer, tuple) else (layer, (4,))
        address, _, class_name = text.partition(":")
        side.append(Described(address, shape, "float32", order, class_name or None))
    return side


def show(matching):
    return [(pair.a.address, pair.b.address, pair.matched_by) for pair in matching.pairs]


def test_one_address_is_one_tensor():
    found = match_tensors(
        describe("conv", "relu", "only_a"), describe("relu", "conv", "only_b", "c")
    )
    assert show(found) == [("conv", "conv", "address"), ("relu", "relu", "address")]
    assert (found.unmatched_a, found.unmatched_b) == (("only_a",), ("only_b", "c"))


def test_a_tensor_has_all_of_its_addresses():
    a = [replace(describe("nested")[0], also=("nested/last",))]
    b = describe("nested/first", ("nested/last", (4,)))
    assert show(match_tensors(a, b)) == [("nested", "nested/last", "address")]


def test_what_is_given_counts_first():
    a, b = describe("block_a", "block_b", "head"), describe("part_b", "part_a", "block_b")
    found = match_tensors(a, b, [("block_*", "part_*")])
    assert show(found)[:2] == [("block_a", "part_a", "given"), ("block_b", "part_b", "given")]
    assert show(match_tensors(a, b, [("head", "part_b")]))[-1] == ("head", "part_b", "given")


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ([("blok_a", "part_a")], "A has no blok_a; nearest: block_a"),
        ([("block_a", "prt_a")], "B has no prt_a; nearest: part_a"),
        ([("block_*", "part")], "as many"),
        ([("block_a", "part_a"), ("block_b", "part_a")], "part_a: expected one partner"),
        ([("block_a", "part_a"), ("block_*", "part_b*")], "B has no"),
        ([("block_a", "part_a"), ("?lock_a", "?art_b")], "B has no"),
        ([("block_a", "part_a"), ("block_a", "part_b")], "block_a: expected one partner"),
    ],
)
def test_what_cannot_be_given_is_said(match, said):
    a, b = describe("block_a", "block_b"), describe("part_a", "part_b")
    with pytest.raises(InputError, match=said.replace("*", r"\*")):
        match_tensors(a, b, match)


def test_numbers_of_keras_are_no_names():
    a = describe("conv2d:Conv2D", "conv2d_1:Conv2D", "add:Add", "functional/dense:Dense")
    b = describe("conv2d_7:Conv2D", "conv2d_8:Conv2D", "add_3:Add", "functional_2/dense_9:Dense")
    found = match_tensors(a, b)
    assert {by for _, _, by in show(found)} == {"path"}
    assert [pair.b.order for pair in found.pairs] == [0, 1, 2, 3]


def test_a_name_that_the_user_gave_is_one_whatever_its_number():
    a = describe("fc_1:Dense", "fc_2:Dense", "fc_3:Dense")
    found = match_tensors(a, describe("fc_1:Dense", "fc_3:Dense"))
    assert show(found) == [("fc_1", "fc_1", "address"), ("fc_3", "fc_3", "address")]


def test_a_layer_less_makes_the_names_of_those_behind_it_no_names():
    # The first was deleted: B's conv2d is A's conv2d_1.
    a = describe(("conv2d:Conv2D", (3,)), ("conv2d_1:Conv2D", (5,)), ("conv2d_2:Conv2D", (7,)))
    found = match_tensors(a, describe(("conv2d:Conv2D", (5,)), ("conv2d_1:Conv2D", (7,))))
    assert show(found) == [("conv2d_1", "conv2d", "order"), ("conv2d_2", "conv2d_1", "order")]
    assert found.unmatched_a == ("conv2d",)
    # All of one shape: nothing tells which was deleted.
    a = describe("start:InputLayer", "conv2d:Conv2D", "conv2d_1:Conv2D", "conv2d_2:Conv2D")
    found = match_tensors(a, describe("start:InputLayer", "conv2d:Conv2D", "conv2d_1:Conv2D"))
    assert show(found) == [("start", "start", "address")]
    assert any("conv2d: A has 3 of them and B 2" in note for note in found.notes)


def test_renamed_layers_are_matched_by_order_and_shape_between_those_that_are():
    a = describe("in:I", ("a1:Conv2D", (3,)), ("a2:ReLU", (3,)), "mid:D", ("a3:Dense", (2,)))
    b = describe("in:I", ("b1:Conv2D", (3,)), ("b2:ReLU", (3,)), "mid:D", ("b3:Dense", (2,)))
    assert show(match_tensors(a, b)) == [
        ("in", "in", "address"),
        ("a1", "b1", "order"),
        ("a2", "b2", "order"),
        ("mid", "mid", "address"),
        ("a3", "b3", "order"),
    ]


def test_what_order_and_shape_leave_open_are_candidates():
    a = describe("in", "x", "y", ("z", (5,)), "out")
    b = describe("in", "p", "q", "r", ("s", (6,)), "out")
    found = match_tensors(a, b)
    assert show(found) == [("in", "in", "address"), ("out", "out", "address")]
    names = [(one.address, other.address) for one, other in found.candidates]
    # Either side's may be that of the pair before it, too.
    assert names == [(one, other) for one in ("in", "x", "y") for other in ("in", "p", "q", "r")]
    assert match_tensors(a, a).candidates == ()


def test_nothing_matched_leaves_candidates():
    with pytest.raises(UnmatchedError) as caught:
        match_tensors(describe("x:Dense", "y:ReLU"), describe("p:Conv2D", ("q:Add", (5,))))
    assert [(a.address, b.address) for a, b in caught.value.candidates] == [("x", "p"), ("y", "p")]


def test_names_are_the_same_but_for_case_and_separators():
    # As Keras 2 and Keras 3 call the layers of MobileNetV3.
    a = describe("Conv:Conv2D", "expanded_conv/expand:Conv2D", "multiply:Multiply", "own/x:Dense")
    b = describe("conv:Conv2D", "expanded_conv_expand:Conv2D", "mul/tiply:Multiply", "own_X:Dense")
    assert show(match_tensors(a, b)) == [
        ("Conv", "conv", "path"),
        ("expanded_conv/expand", "expanded_conv_expand", "path"),
        ("multiply", "mul/tiply", "order"),
        ("own/x", "own_X", "path"),
    ]
    # Two that are spelt alike aren't told apart.
    twice = describe("own_x:Dense", "own/x:Dense")
    assert match_tensors(describe("In:I", "OWN_X:Dense"), [*describe("in:I"), *twice]).pairs[0]


def test_calls_that_cannot_be_told_apart_are_refused():
    a = describe("in", "enc@0", "enc@1", "out")
    found = match_tensors(a, describe("in", "enc@0", "enc@1", "enc@2", "out"))
    assert show(found) == [("in", "in", "address"), ("out", "out", "address")]
    assert "enc: its calls can't be told apart: A has enc@0, enc@1, B has enc@0" in found.notes[0]
    once = match_tensors(a, describe("in", "enc", "out"))
    assert show(once) == [("in", "in", "address"), ("out", "out", "address")]
    alike = match_tensors(a, describe("in", "enc@0", "enc@1", "out"))
    assert show(alike)[1:3] == [("enc@0", "enc@0", "address"), ("enc@1", "enc@1", "address")]
    renumbered = match_tensors(
        describe("in", "dense_1@0:Dense", "dense_1@1:Dense"),
        describe("in", "dense@0:Dense", "dense@1:Dense", "dense@2:Dense"),
    )
    assert len(renumbered.pairs) == 1


def test_layouts_are_found_by_shape_and_said():
    a = describe(("conv", (8, 6, 3)), ("pool", (4, 4, 4)), ("flat", (10,)))
    found = match_tensors(a, describe(("conv", (3, 8, 6)), ("pool", (4, 4, 4)), ("flat", (10,))))
    assert [(p.a.address, p.layout, p.transpose) for p in found.pairs] == [
        ("conv", "NHWC/NCHW", (2, 0, 1)),
        ("flat", None, None),
    ]
    assert found.pairs[0].channel_axis == 0
    assert "pool: the layouts of A and B differ" in found.notes[0]
    assert (found.unmatched_a, found.unmatched_b) == (("pool",), ("pool",))
    back = match_tensors(describe(("c", (3, 8, 6))), describe(("c", (8, 6, 3))))
    assert (back.pairs[0].layout, back.pairs[0].transpose) == ("NCHW/NHWC", (1, 2, 0))
    # Without another layout a cube is what it is.
    assert match_tensors(a, a).pairs[1].layout is None


def test_the_names_of_axes_tell_the_layout_of_a_cube():
    cube = describe(("conv", (4, 4, 4)))[0]
    a = replace(cube, axes=("height", "width", "channel"))
    b = replace(cube, axes=("channel", "height", "width"))
    assert match_tensors([a], [b]).pairs[0].layout == "NHWC/NCHW"
    assert match_tensors([a], [a]).pairs[0].layout is None
    assert match_tensors([b], [b]).pairs[0].channel_axis == 0


def test_another_number_of_values_under_one_name_is_an_error():
    a, b = describe(("conv", (8, 6, 3)), ("x", (4,))), describe(("conv", (8, 6, 5)), ("x", (2,)))
    with pytest.raises(InputError) as error:
        match_tensors(a, b)
    assert error.value.faults == (
        "conv: expected as many values on both sides, received (8, 6, 3) in A and (8, 6, 5) in B",
        "x: expected as many values on both sides, received (4) in A and (2) in B",
    )


def test_nothing_matched_is_an_error():
    with pytest.raises(InputError, match=r"received a in A and b, c in B; say which .* match"):
        match_tensors(describe(("a", (2,))), describe(("b", (3,)), ("c", (4,))))


def test_what_lies_between_matched_ones_is_said():
    b = describe("in", ("extra", (9,)), "x", "y")
    found = match_tensors(describe("in", "x", "y"), b)
    assert [pair.between for pair in found.pairs] == [(), ("extra",), ()]
    # `extra` stands beside x, not before it, and goes into y.
    wired = [
        replace(t, inputs=i) for t, i in zip(b, ((), ("in",), ("in",), ("extra", "x")), strict=True)
    ]
    found = match_tensors(describe("in", "x", "y"), wired)
    assert [pair.between for pair in found.pairs] == [(), (), ("extra",)]
    assert found.pairs[2].after == ("in", "x")
    # The other way round, `extra` is what B leaves out before y.
    found = match_tensors(wired, describe("in", "x", "y"))
    assert [pair.removed for pair in found.pairs] == [(), (), ("extra",)]


CLASSES = {"Conv2D": "conv2d", "Dense": "dense", "ReLU": "re_lu"}
layer = st.tuples(st.sampled_from(sorted(CLASSES)), st.sampled_from([(2,), (3,)]), st.booleans())


def build(layers, start):
    """Name layers as Keras does, some by the user; each keeps what it is as its dtype."""
    counts = dict.fromkeys(CLASSES, start)
    side = []
    for order, (identity, (class_name, shape, named)) in enumerate(layers):
        number = counts[class_name]
        name = f"own{identity}" if named else CLASSES[class_name] + (f"_{number}" if number else "")
        counts[class_name] += not named
        side.append(Described(name, shape, str(identity), order, class_name))
    return side


@settings(max_examples=300, deadline=None)
@given(
    layers=st.lists(layer, min_size=1, max_size=9),
    gone=st.sets(st.integers(0, 8)),
    from_a=st.booleans(),
    start=st.integers(0, 2),
)
def test_deleted_and_renumbered_layers_never_match_another_by_name(layers, gone, from_a, start):
    every = list(enumerate(layers))
    fewer = [item for item in every if item[0] not in gone]
    sides = build(fewer, 0), build(every, start)
    a, b = sides if from_a else sides[::-1]
    try:
        found = match_tensors(a, b)
    except InputError as error:
        assert "expected tensors that both sides have" in str(error)  # noqa: PT017
        return
    for pair in found.pairs:
        assert pair.matched_by == "order" or pair.a.dtype == pair.b.dtype, show(found)
    if not gone & set(range(len(layers))):
        assert [p.a.dtype for p in found.pairs] == [t.dtype for t in a]
        assert all(p.a.dtype == p.b.dtype for p in found.pairs)


@settings(max_examples=100, deadline=None)
@given(layers=st.lists(layer, min_size=1, max_size=9), renamed=st.sets(st.integers(0, 8)))
def test_renamed_layers_are_said_to_be_matched_by_order(layers, renamed):
    a = [replace(t, address=f"own{t.order}") for t in build(list(enumerate(layers)), 0)]
    b = [replace(t, address=f"new{t.order}") if t.order in renamed else t for t in a]
    found = match_tensors(a, b)
    assert [(p.a.dtype, p.matched_by) for p in found.pairs] == [
        (t.dtype, "order" if t.order in renamed else "address") for t in a
    ]
    assert all(p.a.dtype == p.b.dtype for p in found.pairs)


def test_operations_of_keras_2_say_no_class():
    a = describe("in:I", "tf.__operators__.add_1:TFOpLambda", "out:D")
    found = match_tensors(a, describe("in:I", "add_3:Add", "out:D"))
    assert show(found)[1] == ("tf.__operators__.add_1", "add_3", "order")
    # Other classes of one shape are no partners: a lost ReLU isn't the layer in its place.
    found = match_tensors(describe("in:I", "re_lu:ReLU"), describe("in:I", "dense:Dense"))
    assert len(found.pairs) == 1
