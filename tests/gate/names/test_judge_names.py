"""Whatever a config holds, it is judged: no odd value breaks the judge, or is shown as it is."""

from __future__ import annotations

import copy
import random

import pytest
from gate.hostile.names import ALLOWED, BROKEN, HONEST, HOSTILE, LAMBDA, MORE, RULE, layer

from kprobe.gate.names.judge_names import MOST_NAMED, find_name_faults
from kprobe.gate.names.walk import list_owners, list_registered_names, walk_objects
from kprobe.gate.names.would_run import find_what_runs
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
    for made_of in list_layers():
        for _ in range(25):
            config = {"class_name": "Sequential", "config": {"layers": [copy.deepcopy(made_of)]}}
            for _ in range(made.randint(1, 3)):
                holder, key = made.choice(list_places(config))
                holder[key] = copy.deepcopy(made.choice(ODD))
            file = File(config)
            faults = find_name_faults(
                config, {"x"}, made.choice([(), *((kind,) for kind in KINDS)])
            )
            for fault in [*faults, *find_what_runs(file)]:
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
    for name, made in HOSTILE.items():
        rule = RULE.get(name, "names-class")
        config = {"class_name": "Sequential", "config": {"layers": [made]}}
        opened = {fault.rule for fault in find_name_faults(config, (), {kind})}
        assert (rule in opened) == (RULES[rule].kind != kind), name


def test_objects_are_found_wherever_they_are():
    deep = {"class_name": "X", "config": {"a": [{"b": {"class_name": "Y", "config": {}}}]}}
    found = [item.value.get("class_name") for item in walk_objects(deep)]
    assert [name for name in found if name] == ["X", "Y"]


class Counted(set):
    """Names that are given, and how often one was looked for."""

    asked = 0

    def __contains__(self, name):
        self.asked += 1
        return super().__contains__(name)


def write_own(count, module="mine"):
    return [{"class_name": f"C{number}", "module": module, "config": {}} for number in range(count)]


def test_of_a_file_with_many_faults_a_part_is_looked_at():
    """What judges them takes its time in the program that opens a file."""
    for layers in (write_own(5000), [layer("system", "os", name=f"l{i}") for i in range(5000)]):
        given = Counted()
        config = {"class_name": "Sequential", "config": {"layers": layers}}
        faults = find_name_faults(config, given)
        assert len(faults) == MOST_NAMED
        assert given.asked < 5 * MOST_NAMED
        told = find_what_runs(File(config))
        assert len(told) == MOST_NAMED + 1
        assert told[-1].text == "more than these 1,000 may run, too"


def test_no_faults_are_hidden_by_many_that_are_none():
    """However many objects are given: by their names, by their module, or by the file's graph."""
    layers = [*write_own(1500), layer("system", "os", name="last")]
    config = {"class_name": "Sequential", "config": {"layers": layers}}
    names = {f"C{number}" for number in range(1500)}
    for given in ({"registered": names}, {"modules": {"mine"}}):
        (fault,) = find_name_faults(config, **given)
        assert (fault.owner, fault.rule) == ("layer 'last'", "names-class")
    for each in layers[:-1]:
        del each["module"]
    assert len(find_name_faults(config, has_graph=True)) == 1
    config["config"]["layers"] = [
        layer("Dense", "keras.layers", None, name="first", activation={**LAMBDA, "i": i})
        for i in range(1500)
    ] + layers[-1:]
    assert len(find_name_faults(config, allow={"lambda"})) == 1
