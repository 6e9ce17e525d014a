"""What a config says of its network is sound before Keras builds it, and small enough."""

from __future__ import annotations

import json
from unittest.mock import patch

import keras
import pytest
import tf_keras
from gate.hostile import network_inputs
from gate.hostile.network_files import read_back
from gate.hostile.networks import CASES, K3

from kprobe.gate.networks.network import NetworkLimits, find_network_faults

RULES = ("network-references", "network-cycle", "network-size", "config-pattern")
OWN = [
    case
    for case in (*CASES, *network_inputs.CASES)
    if (case.rule in RULES or case.rule is None) and "saved-model" not in case.name
]


@pytest.mark.parametrize("case", OWN, ids=[case.name for case in OWN])
def test_each_case_breaks_its_rule_or_none(case, tmp_path):
    config, version, _ = read_back(case.make(tmp_path, tmp_path / "marker"))
    before = json.dumps(config)
    faults = [*find_network_faults(config, 3 if version.startswith("3") else 2)]
    assert {fault.rule for fault in faults} == ({case.rule} if case.rule else set())
    for fault in faults:
        line = f"{fault.owner} {fault.text}"
        assert line.isprintable()
        assert len(line) < 250
    assert json.dumps(config) == before


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_calls_are_counted_as_many_as_keras_makes(library):
    k, major = library, 3 if library is keras else 2
    inner = k.Sequential([k.Input((4,)), k.layers.Dense(4), k.layers.ReLU()])
    x = k.Input((4,))
    nested = k.Model(x, inner(inner(inner(x))))
    y = k.Input((4,))
    once_more = k.Model(y, nested(nested(y)))
    stack = k.Sequential([k.Input((4,)), *(k.layers.ReLU() for _ in range(12))])
    counted, made = {}, {}
    for name, model in (("nested", nested), ("once more", once_more), ("stack", stack)):
        config = json.loads(model.to_json())
        made[name] = _count_real_calls(library, config)
        counted[name] = _count(config, major)
        assert made[name] <= counted[name]
    # Of each layer its making counts, too. Keras 3 makes all calls of a stack with each layer, and
    # tf_keras those inside of a model with each of its own.
    telling = {3: ("stack",), 2: ("nested", "once more")}[major]
    assert all(counted[name] <= 3 * made[name] for name in telling)


def _count_real_calls(library, config):
    calls = 0
    plain = library.layers.Layer.__call__

    def count(self, *arguments, **keywords):
        nonlocal calls
        calls += 1
        return plain(self, *arguments, **keywords)

    with patch.object(library.layers.Layer, "__call__", count):
        library.models.model_from_json(json.dumps(config))
    return calls


def _count(config, major):
    """Count the work of a config: the least limit that lets it pass."""
    low, high = 0, 10_000
    while low < high:
        middle = (low + high) // 2
        limits = NetworkLimits(calls=middle)
        if [*find_network_faults(config, major, limits)]:
            low = middle + 1
        else:
            high = middle
    return low


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (NetworkLimits(layers=2), "at most 2 layers"),
        (NetworkLimits(calls=3), "at most 3 calls of layers to build it"),
        (NetworkLimits(objects=2), "at most 2 objects in its config"),
        (NetworkLimits(layers=4, calls=100, objects=10), None),
    ],
)
def test_each_limit_is_the_users(limits, told):
    model = K3.stack(K3.input(), K3.layer("a"), K3.layer("b"))
    faults = [fault.text for fault in find_network_faults(model, 3, limits)]
    assert faults == ([f"expected {told}, received more"] if told else [])


def test_depth_of_nesting_is_no_matter_here():
    inner = K3.layer("d")
    for level in range(3_000):  # deeper than Python calls go
        inner = K3.layer(f"w{level}", "SpectralNormalization", layer=inner)
    limits = NetworkLimits(layers=10**6, calls=10**6)
    assert not [*find_network_faults(K3.stack(K3.input(), inner), 3, limits)]


def test_lists_of_the_users_own_classes_may_name_layers_twice():
    layers = [K3.layer("d"), K3.layer("d")]
    own = {"class_name": "Block", "module": "mine", "config": {"name": "b", "layers": layers}}
    assert not [*find_network_faults(K3.stack(K3.input(), own), 3)]
    assert [*find_network_faults(K3.stack(K3.input(), *layers), 3)]


def test_whatever_stands_in_a_config_is_answered():
    odd = (None, 1, "x", [], {}, [[]], [None], {"class_name": 1}, {"class_name": None, "config": 3})
    for place in ("layers", "input_layers", "output_layers", "name"):
        for value in odd:
            model = K3.model(K3.input(), K3.layer("out", "Dense", "in"))
            model["config"][place] = value
            for major in (2, 3):
                assert isinstance([*find_network_faults(model, major)], list)
    for key in ("class_name", "config", "name", "inbound_nodes"):
        for value in odd:
            model = K3.model(K3.input(), {**K3.layer("out", "Dense", "in"), key: value})
            for major in (2, 3):
                assert isinstance([*find_network_faults(model, major)], list)
