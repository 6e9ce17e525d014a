"""Every form of address in every kind of construction, in both Kerases: address_table.py."""

from __future__ import annotations

import functools
import re

import constructions as c
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from address_table import TABLE
from probing import count_anew

from kprobe.engines.compute import Compute
from kprobe.engines.engine import FetchSpec
from kprobe.engines.tensorflow import TensorFlowEngine
from kprobe.errors import KprobeError
from kprobe.subgraph.cut import cut_out
from kprobe.trace.fetch import find_fetches
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace


class Reference:
    """What an eager run gives, by the words of the table."""

    def __init__(self, model, data):
        self.model, self.data = model, data
        self.calls = c.hook_eagerly(model, data)

    def __getitem__(self, words):
        if words.partition(" ")[0] == "data":
            return self.data[words[5:]] if words[5:] else self.data
        name, call, port, number = re.fullmatch(
            r"(\S+)(?: (\d+))?(?: (in|out|steps)(?: (\d+))?)?", words
        ).groups()
        calls, number = self.calls[name], int(number or 0)
        if port == "steps":
            return np.stack([to_numpy(step.outputs[number]) for step in calls[-7:]])
        tensors = calls[int(call or 0)]
        return to_numpy((tensors.inputs if port == "in" else tensors.outputs)[number])

    def find(self, expected):
        if callable(expected):
            return [expected(self)]
        if isinstance(expected, list):
            return [np.array(expected)]
        return [self[words] for words in expected.split(", ")]


def to_numpy(tensor):
    return (tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor).numpy()


@functools.cache
def compute(k, construction):
    """Trace a construction once, and fetch all its addresses at once."""
    count_anew(k)  # for the names of what has none of its own
    model, data = construction(k)
    reference = Reference(model, data)
    traced = trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))
    found, errors = {}, {}
    for address in list_addresses(k, construction):
        try:
            found[address] = find_fetches(traced, [address])
        except KprobeError as error:
            errors[address] = error
    tensors = list({id(f.tensor): f.tensor for part in found.values() for f in part}.values())
    cut = cut_out(traced, traced.inputs, tensors)
    specs = [FetchSpec(tensor.name, tensor) for tensor in tensors]
    subgraph = TensorFlowEngine(cut, specs, Compute(exact=True))
    computed = subgraph(data if isinstance(data, dict) else {next(iter(traced.inputs)): data})
    values = {id(t): to_numpy(v) for t, v in zip(tensors, computed, strict=True)}
    return traced, reference, found, errors, values


def list_addresses(k, construction):
    rows = [row for row in TABLE[construction] if row[2:] in ((), (k,))]
    return [address for row in rows for address in row[1].split()]


ROWS = [
    pytest.param(k, made, row[0], address, id=f"{k.__name__}-{made.__name__}-{address}")
    for made, rows in TABLE.items()
    for row in rows
    for k in (row[2:] or (keras, tf_keras))
    for address in row[1].split()
]


@pytest.mark.parametrize(("k", "construction", "expected", "address"), ROWS)
def test_an_address_gives_what_it_names(k, construction, expected, address):
    traced, reference, found, errors, values = compute(k, construction)
    assert address not in errors, errors[address]
    fetches = found[address]
    arrays = reference.find(expected)
    assert len(fetches) == len(arrays), [fetch.address for fetch in fetches]
    half = construction is c.mixed_precision
    for fetch, array in zip(fetches, arrays, strict=True):
        value = values[id(fetch.tensor)]
        if value.dtype == object:
            assert value.tolist() == np.char.encode(array).tolist()
        else:
            assert value.shape == array.shape
            np.testing.assert_allclose(value, array, rtol=1e-2 if half else 1e-5, atol=1e-5)
        if "=" in address:
            assert fetch.name == address.partition("=")[0]
        # The address that names it and nothing else, and its name in the graph, find it again.
        for name in (fetch.address, f"//{fetch.tensor.name}"):
            if name.startswith("//") and fetch.tensor.graph is not traced.graph:
                continue
            assert [f.tensor for f in find_fetches(traced, [name])] == [fetch.tensor], name


EVERYWHERE = {
    "name": r"[\w.]+",
    "at:": r"at:-?\d+",
    "type:": r"type:\w+",
    "re:": r"re:.+",
    "glob": r"[^/:]*[*?][^/:]*",
    "**": r"(.*/)?\*\*(/.*)?",
    ":in": r".*:in",
    ":out": r".*:out(\[.*)?",
    "alias": r"\w+=.+",
    "path//operation": r"[^*?]+//[^*?]+",
    "path//glob": r"[^*?]+//.*[*?].*",
    "//graph name": r"//.+",
}
SOMEWHERE = {
    "path": r"\w+(/\w+)+",
    ":mask": r".*:mask",
    "@k": r".*@\d.*",
    "@*": r".*@\*.*",
    "[i]": r".*\[-?\d+\]",
    "slice": r".*\[-?\d*:.*\]",
    "['key']": r".*\['\w+'\]",
    "several inputs": r".*:in\[\d\]",
    "operation:number": r".*//.*:\d",
}


def lacks(forms, addresses):
    return [
        form for form, text in forms.items() if not any(map(re.compile(text).fullmatch, addresses))
    ]


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_the_table_has_every_form_of_every_construction(k):
    assert set(TABLE) == set(c.CONSTRUCTIONS)
    every = {construction.__name__: list_addresses(k, construction) for construction in TABLE}
    missing = {name: lacks(EVERYWHERE, addresses) for name, addresses in every.items()}
    assert not {name: forms for name, forms in missing.items() if forms}
    assert not lacks(SOMEWHERE, [address for addresses in every.values() for address in addresses])
