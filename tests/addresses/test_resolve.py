"""Which calls an address names, and what is said when it names none or several."""

from __future__ import annotations

import pytest

from kprobe.addresses.calls import DroppedCall, LayerCall
from kprobe.addresses.resolve import match_pattern, resolve
from kprobe.errors import AddressError


def call(address, class_name="Dense", position=None):
    steps = []
    for step in address.split("|"):
        name, at, number = step.partition("@")
        steps.append((name, int(number) if at else None))
    return LayerCall(steps=tuple(steps), class_name=class_name, position=position)


# "|" stands between steps here, so that a layer's name may hold a slash.
CALLS = [
    call("image", "InputLayer", 0),
    call("conv1_1", "Conv2D", 1),
    call("conv1_2", "Conv2D", 2),
    call("conv1/bn", "BatchNormalization", 3),
    call("encoder@0", "Functional", 4),
    call("encoder@0|d1"),
    call("encoder@0|block|bn", "BatchNormalization"),
    call("encoder@1", "Functional", 4),
    call("encoder@1|d1"),
    call("encoder@1|block|bn", "BatchNormalization"),
    call("head", "Functional", 5),
    call("head|d1@0"),
    call("head|d1@1"),
    call("head|only"),
    call("add", "Add"),
]

FOUND = [
    ("conv1_1", ["conv1_1"]),
    ("conv1/bn", ["conv1/bn"]),
    ("conv1/bn:in", ["conv1/bn"]),
    ("x=conv1/bn", ["conv1/bn"]),
    ("encoder@1", ["encoder@1"]),
    ("encoder@*", ["encoder@0", "encoder@1"]),
    ("encoder@1/d1", ["encoder@1/d1"]),
    ("encoder@*/d1", ["encoder@0/d1", "encoder@1/d1"]),
    ("encoder@*/block/bn", ["encoder@0/block/bn", "encoder@1/block/bn"]),
    ("only", ["head/only"]),
    ("head/d1@1", ["head/d1@1"]),
    ("head@0/only", ["head/only"]),
    ("conv*_?", ["conv1_1", "conv1_2"]),
    ("**/bn", ["encoder@0/block/bn", "encoder@1/block/bn"]),
    ("**/d1", ["encoder@0/d1", "encoder@1/d1", "head/d1@0", "head/d1@1"]),
    ("head/**", ["head/d1@0", "head/d1@1", "head/only"]),
    ("type:BatchNormalization", ["conv1/bn", "encoder@0/block/bn", "encoder@1/block/bn"]),
    ("at:1", ["conv1_1"]),
    ("at:-1", ["head"]),
    (r"re:conv\d_(1|3)", ["conv1_1"]),
    ("**", [c.address for c in CALLS]),
    # Whether a weight is that of one layer isn't known here, but which calls are meant.
    ("encoder:kernel", ["encoder@0", "encoder@1"]),
    ("encoder@1:kernel", ["encoder@1"]),
    ("only:kernel", ["head/only"]),
    ("at:4:kernel", ["encoder@0", "encoder@1"]),
    ("type:Conv2D:*", ["conv1_1", "conv1_2"]),
    ("conv1/bn:gamma", ["conv1/bn"]),
    ("re:.*d1", ["encoder@0/d1", "encoder@1/d1"]),
]


@pytest.mark.parametrize(("text", "addresses"), FOUND, ids=[text for text, _ in FOUND])
def test_an_address_names_its_calls(text, addresses):
    assert [target.call.address for target in resolve([text], CALLS)] == addresses


def test_inside_another_a_layer_answers_to_its_place_too_in_each_of_its_calls():
    steps = (
        [("m", 0), ("half", None)],
        [("m", 0), ("n", None), ("top", 1)],
        [("m", 1), ("half", None)],
    )
    calls = [
        LayerCall(steps=tuple(steps[0]), class_name="Half", places=(3, 0)),
        LayerCall(steps=tuple(steps[1]), class_name="Top", places=(3, 1, 2)),
        LayerCall(steps=tuple(steps[2]), class_name="Half", places=(3, 0)),
    ]
    texts = ["m@0/at:0", "m@0/at:1/at:2@1", "m@0/n/at:2@1:kernel", "m@*/at:0"]
    found = [[target.call.address for target in resolve([text], calls)] for text in texts]
    assert found == [["m@0/half"], ["m@0/n/top@1"], ["m@0/n/top@1"], ["m@0/half", "m@1/half"]]
    for text in ("m@0/at:1", "m@0/at:2", "m@1/at:1/at:2@1"):
        with pytest.raises(AddressError, match=r"no layer|has only"):
            resolve([text], calls)


FAULTS = [
    ("conv1_3", "no layer 'conv1_3'; nearest: conv1_2, conv1_1, conv1/bn", None),
    ("conv1_3:kernel", "no layer 'conv1_3:kernel'; nearest: conv1_2, conv1_1, conv1/bn", None),
    ("zzz", "no layer 'zzz'", "`kprobe ls MODEL` lists the layers"),
    ("head/onl", "no layer 'head/onl'; nearest: head/only, head", None),
    (
        "encoder",
        "'encoder' fits 2 calls: encoder@0, encoder@1",
        "name one of them, or all with encoder@*",
    ),
    (
        "encoder/d1",
        "'encoder/d1' fits 2 calls: encoder@0/d1, encoder@1/d1",
        "name one of them, or all with encoder@*/d1",
    ),
    (
        "d1",
        "'d1' fits 4 calls: encoder@0/d1, encoder@1/d1, head/d1@0, head/d1@1",
        None,
    ),
    (
        "enc*",
        "'enc*' fits 2 calls: encoder@0, encoder@1",
        "name one of them, or all with encoder@*",
    ),
    (
        "at:4",
        "'at:4' fits 2 calls: encoder@0, encoder@1",
        "name one of them, or all with encoder@*",
    ),
    ("encoder@2", "'encoder@2': the model has only encoder@0, encoder@1", None),
    ("only@1", "no layer 'only@1'; nearest: head/only", None),
    ("zzz*", "'zzz*' matches no layer", "`kprobe ls MODEL` lists the layers"),
    ("type:conv2d", "'type:conv2d' matches no layer", "nearest: Conv2D"),
    ("type:LSTM", "'type:LSTM' matches no layer", "`kprobe ls MODEL` lists the layers"),
    ("at:6", "'at:6' matches no layer", "`kprobe ls MODEL` lists the layers"),
    ("at:-7", "'at:-7' matches no layer", "`kprobe ls MODEL` lists the layers"),
    ("re:conv", "'re:conv' matches no layer", "`kprobe ls MODEL` lists the layers"),
]


@pytest.mark.parametrize(("text", "fault", "hint"), FAULTS, ids=[text for text, *_ in FAULTS])
def test_what_names_nothing_or_several_things_is_answered(text, fault, hint):
    with pytest.raises(AddressError) as caught:
        resolve([text], CALLS)
    assert (caught.value.faults, caught.value.hint) == ((fault,), hint)


def test_all_faults_are_reported_at_once():
    with pytest.raises(AddressError) as caught:
        resolve(["conv1_1", "convv1_1", "a[", "encoder"], CALLS)
    assert len(caught.value.faults) == 3


def test_a_pattern_for_listing_takes_every_call_of_a_shared_layer():
    assert [c.address for c in match_pattern("encoder", CALLS)] == ["encoder@0", "encoder@1"]
    assert [c.address for c in match_pattern("bn", CALLS)] == [
        "encoder@0/block/bn",
        "encoder@1/block/bn",
    ]


@pytest.mark.parametrize("name", ["conv1/bn", "x:0", "a[0]", "old/x@0", "old/x@1"])
def test_a_pattern_for_listing_that_is_a_path_is_taken_as_it_stands(name):
    calls = [*CALLS, call("x:0"), call("a[0]"), call("old/x@0"), call("old/x@1")]
    assert [c.address for c in match_pattern(name, calls)] == [name]
    assert [c.address for c in match_pattern("old/x", calls)] == ["old/x@0", "old/x@1"]


@pytest.mark.parametrize(
    ("pattern", "fault", "hint"),
    [
        ("convv1_1", "no layer 'convv1_1'; nearest: conv1_1, conv1_2, conv1/bn", None),
        ("zzz*", "'zzz*' matches no layer", "`kprobe ls MODEL` lists the layers"),
        ("encoder@7", "'encoder@7': the model has only encoder@0, encoder@1", None),
        ("type:Conv3D", "'type:Conv3D' matches no layer", "nearest: Conv2D"),
    ],
)
def test_a_pattern_for_listing_that_matches_nothing_is_answered(pattern, fault, hint):
    with pytest.raises(AddressError) as caught:
        match_pattern(pattern, CALLS)
    assert (caught.value.faults, caught.value.hint) == ((fault,), hint)


def dropped(address, reason, hint=None, position=None):
    steps = tuple((step, None) for step in address.split("|"))
    return DroppedCall(
        steps=steps, class_name="Unused", reason=reason, hint=hint, position=position
    )


DROPPED = [
    dropped("head|off", "isn't used"),
    dropped("head|d1", "isn't used"),
    dropped("encoder|bn", "isn't used"),
    dropped("last", "is of one row", "ask for all", position=6),
]


@pytest.mark.parametrize(
    ("text", "fault", "hint"),
    [
        ("head/off", "'head/off' isn't used", None),
        ("head/off@0", "'head/off' isn't used", None),
        ("off", "'head/off' isn't used", None),
        ("o*", "'o*' matches no layer", "`kprobe ls MODEL` lists the layers"),
        ("h*/of*", "'head/off' isn't used", None),
        ("last:in", "'last' is of one row", "ask for all"),
        ("at:-1", "'last' is of one row", "ask for all"),
        ("re:la.t", "'last' is of one row", "ask for all"),
        ("d1@7", "no layer 'd1@7'; nearest: head/d1@1", None),
        (
            "head/d1",
            "'head/d1' fits 2 calls: head/d1@0, head/d1@1",
            "name one of them, or all with head/d1@*",
        ),
    ],
)
def test_what_names_only_calls_without_tensors_is_answered_with_the_reason(text, fault, hint):
    with pytest.raises(AddressError) as caught:
        resolve([text], CALLS, DROPPED)
    assert (caught.value.faults, caught.value.hint) == ((fault,), hint)


def test_calls_without_tensors_are_never_among_the_targets():
    assert [t.call.address for t in resolve(["**"], CALLS, DROPPED)] == [c.address for c in CALLS]
    assert len(resolve(["re:.*"], CALLS, DROPPED)) == len(CALLS)
    with pytest.raises(AddressError, match="'encoder/bn' isn't used"):
        resolve(["type:Unused"], CALLS, DROPPED)
