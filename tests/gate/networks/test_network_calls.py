"""What the configs of either Keras refer to is found as that Keras finds it."""

from __future__ import annotations

import copy
import json

import keras
import pytest
import tf_keras
from gate.hostile.networks import K2, K3

from kprobe.gate.networks.network_calls import find_call_faults, starts_with_input


def _models(k):
    """Models that call others, each with what its config counts the first call as."""
    layers = k.layers

    def dense():
        return layers.Dense(4)

    def call_twice(inner):
        x = k.Input((4,))
        return k.Model(x, inner(inner(x)))

    a = k.Input((4,))
    graph = k.Model(a, dense()(a))
    yield "graph", call_twice(graph)
    yield "stack", call_twice(k.Sequential([k.Input((4,)), dense()]))
    yield "open stack", call_twice(k.Sequential([dense(), dense()]))
    yield "stack of a graph", call_twice(k.Sequential([graph, dense()]))
    yield (
        "stack of a stack",
        call_twice(k.Sequential([k.Sequential([k.Input((4,)), dense()]), dense()])),
    )
    yield "stack of an open stack", call_twice(k.Sequential([k.Sequential([dense()]), dense()]))
    outer = k.Sequential([dense(), dense()])
    outer.build((None, 4))
    yield "stack built later", call_twice(outer)
    b = k.Input((4,))
    several = k.Model(b, [dense()(b), dense()(b)])
    x = k.Input((4,))
    one, other = several(x)
    yield "several outputs", k.Model(x, [other, layers.Add()([one, other]), several(one)[1]])
    used = dense()
    used(k.Input((4,)))
    x = k.Input((4,))
    y = used(x)
    used(y)
    yield "calls of others", k.Model(x, dense()(y))
    shared, again = dense(), dense()
    x = k.Input((4,))
    yield "in turns", k.Model(x, shared(again(shared(again(x)))))


NAMES = [
    "graph",
    "stack",
    "open stack",
    "stack of a graph",
    "stack of a stack",
    "stack of an open stack",
    "stack built later",
    "several outputs",
    "calls of others",
    "in turns",
]
MAJORS = {keras: 3, tf_keras: 2}


@pytest.fixture(scope="module")
def configs():
    """The configs by library and name, made when they are needed, not when tests are collected."""
    made = {
        (library, name): json.loads(model.to_json())
        for library in MAJORS
        for name, model in _models(library)
    }
    assert [name for library, name in made if library is keras] == NAMES
    return made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("library", MAJORS)
def test_what_is_there_is_found(configs, library, name):
    faults, looks = find_call_faults(configs[library, name]["config"], MAJORS[library], "")
    assert faults == []
    assert looks == (2 if name == "in turns" else 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_call_that_is_counted_otherwise_is_never_made(configs, name):
    # tf_keras would wait for it without end, so it isn't asked.
    config = configs[tf_keras, name]
    for layer in config["config"]["layers"]:
        for number, node in enumerate(layer["inbound_nodes"]):
            for taken in range(len(node)):
                if node[taken][0].startswith("input_"):
                    continue
                changed = copy.deepcopy(config["config"])
                again = next(e for e in changed["layers"] if e["name"] == layer["name"])
                again["inbound_nodes"][number][taken][1] += 8
                faults, _ = find_call_faults(changed, 2, "")
                assert [fault.rule for fault in faults] == ["network-references"]


def test_tf_keras_counts_its_own_call_where_it_knows_the_input():
    first = {"class_name": "Dense", "config": {"units": 4}}
    known = {"class_name": "Dense", "config": {"units": 4, "batch_input_shape": [None, 4]}}
    stack = {"class_name": "Sequential", "config": {"layers": [first]}}
    for layers, more, expected in (
        ([first], {}, False),
        ([known], {}, True),
        ([first], {"build_input_shape": [None, 4]}, True),
        ([stack, first], {}, False),
        ([{**stack, "config": {"layers": [known]}}, first], {}, True),
        ([], {}, True),
    ):
        item = {"class_name": "Sequential", "config": {"layers": layers, **more}}
        assert starts_with_input(item) == expected


@pytest.mark.parametrize("form", [K2, K3], ids=["keras-2", "keras-3"])
def test_looks_are_counted_as_the_loaders_look(form):
    layers = [form.layer(f"d{n}", "ReLU", f"d{n - 1}" if n else "in") for n in range(5)]
    ends = {"outputs": [("d4", 0, 0)]}
    straight = form.model(form.input(), *layers, **ends)
    assert find_call_faults(straight["config"], form.major, "") == ([], 0)
    # Each round makes one more: the last of five is looked at in four rounds in vain.
    backwards = form.model(form.input(), *reversed(layers), **ends)
    assert find_call_faults(backwards["config"], form.major, "") == ([], 4 + 3 + 2 + 1)
    shuffled = form.model(form.input(), *(layers[n] for n in (1, 0, 3, 2, 4)), **ends)
    assert find_call_faults(shuffled["config"], form.major, "") == ([], 1 + 2 + 1 + 2)
