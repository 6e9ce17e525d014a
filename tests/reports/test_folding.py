from __future__ import annotations

import random
import string

import pytest

from kprobe.reports.folding import fold


def list_layers(tree):
    for place in tree:
        if isinstance(place, dict):
            yield from list_layers(place["inside"])
        else:
            yield place


def list_levels(tree):
    yield tree
    for place in tree:
        if isinstance(place, dict):
            yield from list_levels(place["inside"])


def measure_depth(tree):
    inside = [measure_depth(place["inside"]) for place in tree if isinstance(place, dict)]
    return 1 + max(inside, default=0)


def test_nested_models_are_groups_and_what_they_give_belongs_to_them():
    paths = [["encoder@0", "a"], ["encoder@0"], ["encoder@1", "a"], ["encoder@1"], ["sum"]]
    assert fold(paths) == [
        {"name": "encoder@0", "inside": [0, 1]},
        {"name": "encoder@1", "inside": [2, 3]},
        4,
    ]


def test_many_blocks_of_one_level_are_groups_by_their_names():
    blocks = [f"conv{n}_block{m}_{k}" for n in range(2, 6) for m in range(4) for k in range(4)]
    tree = fold([["stem"], *([name] for name in blocks), ["top"]])
    assert [place["name"] for place in tree[1:-1]] == ["conv2…", "conv3…", "conv4…", "conv5…"]
    assert (tree[0], tree[-1]) == (0, 65)
    assert tree[1]["inside"] == list(range(1, 17))


def test_a_long_row_without_telling_names_is_cut_into_parts():
    tree = fold([[f"dense_{n}"] if n % 2 else [f"add_{n}"] for n in range(2000)])
    assert list(list_layers(tree)) == list(range(2000))
    assert max(map(len, list_levels(tree))) <= 40
    assert tree[0]["name"] == "add_0 … dense_49"


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_names_every_layer_is_there_once_and_no_level_is_long(seed):
    chance = random.Random(seed)
    letters = chance.choice(["a", "ab_", string.ascii_letters + "_./-…", "_", "\u202e\u2028ß_1"])
    names = ["".join(chance.choices(letters, k=chance.randint(1, 6))) for _ in range(60)]
    paths = [chance.choices(names, k=chance.randint(1, 5)) for _ in range(chance.randint(1, 900))]
    tree = fold(paths)
    assert sorted(list_layers(tree)) == list(range(len(paths)))
    assert max(map(len, list_levels(tree))) <= 40
    assert measure_depth(tree) <= 40


def test_names_in_ten_thousand_steps_are_no_groups_of_that_depth():
    tree = fold([["a"] * 10_000, ["a"] * 9_999 + ["b"]])
    assert sorted(list_layers(tree)) == [0, 1]
    assert measure_depth(tree) < 20


def test_what_is_alone_in_a_group_needs_none():
    assert fold([["a", "b", "c"], ["d"]]) == [0, 1]
    inside = {"name": "a/b", "inside": [0, 1]}
    assert fold([["a", "b", "c"], ["a", "b", "d"], ["e"]]) == [inside, 2]


def test_nothing_has_no_groups():
    assert fold([]) == []
