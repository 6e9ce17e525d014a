"""How a refusal is worded: whatever a file holds, it is read at a glance."""

from __future__ import annotations

import itertools

import pytest

from kprobe.gate.names.judge_names import MissingObject
from kprobe.gate.names.tell import make_refusal
from kprobe.gate.rules import RULES, Fault

LONG = "x" * 3000


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("owner", "count"), [("", 1), ("layer 'a'", 1), (f"layer '{LONG}'", 1), ("layer 'a'", 500)]
)
def test_every_refusal_is_one_short_line(rule, owner, count):
    owners = [owner.replace("'", f"'{number}") for number in range(count)]
    for text in ("has a soft link", f"names {LONG}.{LONG}", "holds \x1b[2J\nand\u202e more"):
        faults = [Fault(rule, text, each) for each in owners]
        assert str(make_refusal(faults, path="m.h5")).startswith("m.h5: ")
        (told,) = make_refusal(faults, path="p/" * 1000).spell(str, 299)
        assert len(told) < 300
        assert told.isprintable()


def test_many_reasons_are_counted():
    faults = [Fault("code-lambda", f"fault {number}", "layer 'a'") for number in range(30)]
    assert str(make_refusal(faults)).startswith("layer 'a' fault 0, and 29 more faults; `allow=")


def test_of_many_own_classes_a_few_are_named():
    def missing(names):
        return [
            MissingObject("names-custom", f"is of class {name}", f"layer '{name}'", name, module)
            for name, module in zip(names, itertools.cycle(["os", "json"]), strict=False)
        ]

    few = make_refusal(missing("ABC"))
    assert few.hint == 'give it with `custom_objects={"A": A, "B": B, "C": C}`'
    many = make_refusal(missing([f"C{number}" for number in range(200)]))
    assert many.hint == 'give it with `custom_objects={"C0": C0, "C1": C1, "C2": C2, ...}`'
    assert len(str(many)) < 300
    assert len(many.faults) == 200
