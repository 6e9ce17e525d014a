"""Whatever a config holds, it is judged: no odd value breaks the judge, or is shown as it is."""

from __future__ import annotations

import copy
import random

import pytest
from gate.hostile.names import ALLOWED, BROKEN, HONEST, HOSTILE, MORE, RULE

from kprobe.gate.names.judge_names import find_name_faults
from kprobe.gate.names.walk import list_owners, list_registered_names, walk_objects
from kprobe.gate.names.would_run import find_bytecode
from kprobe.gate.rules import KINDS, RULES

ODD = (None, True, 3, 2.5, "", "x", ">", "a>b", [], ["x"], [[{}]], {}, {"class_name": []})
ODD += ({"class_name": "function", "config": {}}, {"class_name": "__lambda__", "config": 3})
ODD += ({"class_name": "Dense", "module": 3}, {"config": {"name": []}}, "\x1b[2J\u202e\n" * 99)


class File:
    unsafe_operations = None

    def __init__(self, objects):
        self.objects = objects


def list_places(value):
    """List all places in a config: what holds each, and its key or number."""
    keys = value if isinstance(value, dict) else range(len(value))
    places = []
    for key in keys:
        places.append((value, key))
        if isinstance(value[key], dict | list):
            places += list_places(value[key])
    return places


def list_layers():
    yield from HOSTILE.values()
    yield from HONEST.values()
    yield from (made for cases in MORE.values() for made in cases.values())
    yield from (made for made, _, _ in ALLOWED.values())


def test_odd_values_anywhere_are_judged_and_shown_in_short():
    made = random.Random(16)
    for layer in list_layers():
        for _ in range(25):
            config = {"class_name": "Sequential", "config": {"layers": [copy.deepcopy(layer)]}}
            for _ in range(made.randint(1, 3)):
                holder, key = made.choice(list_places(config))
                holder[key] = copy.deepcopy(made.choice(ODD))
            file = File(config)
            faults = find_name_faults(
                config, {"x"}, made.choice([(), *((kind,) for kind in KINDS)])
            )
            for fault in [*faults, *find_bytecode(config)]:
                assert fault.rule in RULES
                assert len(fault.text) < 300, fault
                assert fault.text.isprintable(), fault
            assert all(isinstance(name, str) for name in list_registered_names(file))
            assert list_owners(file, "x") is not None


def test_what_is_listed_here_is_broken_by_one_rule_each():
    assert len(RULE) == sum(map(len, BROKEN.values()))
    assert {*RULE} <= {*HOSTILE}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_allowed_hides_no_other_fault(kind):
    """Not even in the same layer: the first that isn't allowed is told."""
    for name, layer in HOSTILE.items():
        rule = RULE.get(name, "names-class")
        config = {"class_name": "Sequential", "config": {"layers": [layer]}}
        opened = {fault.rule for fault in find_name_faults(config, (), {kind})}
        assert (rule in opened) == (RULES[rule].kind != kind), name


def test_objects_are_found_wherever_they_are():
    deep = {"class_name": "X", "config": {"a": [{"b": {"class_name": "Y", "config": {}}}]}}
    found = [item.value.get("class_name") for item in walk_objects(deep)]
    assert [name for name in found if name] == ["X", "Y"]
