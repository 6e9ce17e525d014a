"""Layers of a file and of a model, whatever they are called and hold: each is matched once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kprobe.models.weights.weight_matching import match_layers

NAMES = st.sampled_from("abcdefg")
# Few of them, so that many layers fit many others.
SHAPES = st.sampled_from([((2, 3), (3,)), ((3, 2), (2,)), ((2, 3),)])
LAYERS = st.lists(st.tuples(NAMES, SHAPES), max_size=5, unique_by=lambda layer: layer[0]).map(dict)


@st.composite
def two_sides(draw):
    """Draw a model's layers and a file's: any, or the model's own in another order or renamed."""
    model = draw(LAYERS)
    held = draw(LAYERS)
    kind = draw(st.sampled_from(["any", "shuffled", "renamed"]))
    if kind == "shuffled":
        held = dict(draw(st.permutations(list(model.items()))))
    elif kind == "renamed":
        names = draw(st.permutations("abcdefg"))
        held = dict(zip(names, model.values(), strict=False))
    return model, held


def match(model, held):
    in_order = dict(zip(model, held, strict=True)) if len(model) == len(held) else None
    return match_layers(
        "w.h5",
        list(model),
        list(held),
        {name: name for name in model if name in held},
        in_order,
        lambda layer, source: (model[layer], held[source]),
        names={name: name for name in held},
    )


@given(two_sides())
def test_nothing_is_matched_twice_and_nothing_is_forgotten(sides):
    model, held = sides
    matched = match(model, held)
    assert sorted([*matched.pairs, *matched.missing, *matched.misfits]) == sorted(model)
    assert len(set(matched.pairs.values())) == len(matched.pairs)
    assert len(set(matched.unused)) == len(matched.unused)
    assert not set(matched.unused) & set(matched.pairs.values())
    assert len(matched.pairs) + len(matched.misfits) + len(matched.unused) == len(held)
    assert all(model[layer] == held[source] for layer, source in matched.pairs.items())
    assert all(both == (model[name], both[1]) for name, both in matched.misfits.items())
    assert matched.complete == (set(matched.pairs) == set(model))


@given(two_sides())
def test_names_count_first_and_then_the_order(sides):
    model, held = sides
    matched = match(model, held)
    if all(held.get(name) == shapes for name, shapes in model.items()):
        assert matched.how == "by name"
        assert matched.pairs == {name: name for name in model}
    elif list(model.values()) == list(held.values()):
        assert matched.how == "in order"
        assert list(matched.pairs.items()) == list(zip(model, held, strict=True))
    else:
        assert not matched.complete
        by_order = len(model) == len(held) and not model.keys() & held.keys()
        assert matched.how == ("in order" if by_order else "by name")


@given(two_sides(), st.permutations("abcdefg"))
def test_other_names_change_nothing_but_the_names(sides, names):
    model, held = sides
    new = dict(zip("abcdefg", names, strict=True))
    before = match(model, held)
    after = match(*({new[name]: shapes for name, shapes in side.items()} for side in sides))
    assert after.how == before.how
    assert after.pairs == {new[name]: new[source] for name, source in before.pairs.items()}
    assert after.missing == [new[name] for name in before.missing]
    assert after.misfits == {new[name]: both for name, both in before.misfits.items()}
    assert after.unused == [new[name] for name in before.unused]


@given(LAYERS, st.randoms(use_true_random=False))
def test_by_name_the_order_in_the_file_does_not_count(model, random):
    shuffled = list(model.items())
    random.shuffle(shuffled)
    assert match(model, dict(shuffled)).pairs == {name: name for name in model}
