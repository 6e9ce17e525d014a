"""Models of many layers: all are found, and only what is needed is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
import pytest
import tf_keras

from kprobe.engines.compute import Compute
from kprobe.engines.engine import FetchSpec
from kprobe.engines.tensorflow import TensorFlowEngine
from kprobe.subgraph.cut import cut_out
from kprobe.trace.fetch import find_fetches
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace

if TYPE_CHECKING:
    from types import ModuleType


def make_chain(library: ModuleType, layers: int):
    row = x = library.layers.Input((8,))
    for number in range(layers // 4):
        y = library.layers.Dense(8, name=f"dense_{number}")(x)
        y = library.layers.BatchNormalization(name=f"bn_{number}")(y)
        y = library.layers.Activation("relu", name=f"relu_{number}")(y)
        x = library.layers.Add(name=f"add_{number}")([x, y])
    return library.Model(row, x)


def make_trace(model):
    return trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))


@pytest.mark.parametrize("library", [keras, tf_keras])
def test_of_many_layers_all_are_found_and_only_what_is_needed_is_kept(library):
    model = make_chain(library, 160)
    traced = make_trace(model)
    names = [layer.name for layer in model.layers]
    assert [fetch.address for fetch in find_fetches(traced, names[1:])] == names[1:]
    operations = [f"dense_{number}//MatMul" for number in range(40)]
    assert [fetch.address for fetch in find_fetches(traced, operations)] == operations
    # Two variables of dense_0, four of bn_0.
    tensor = find_fetches(traced, ["relu_0"])[0].tensor
    cut = cut_out(traced, traced.inputs, [tensor])
    early = TensorFlowEngine(cut, [FetchSpec("relu_0", tensor)], Compute())
    assert len(early._function.graph.captures) == 6
    rows = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    (result,) = early(dict.fromkeys(early.feeds, rows))
    part = library.Model(model.inputs[0], model.get_layer("relu_0").output)
    np.testing.assert_allclose(result, part(rows), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_of_2000_layers_all_are_found():
    traced = make_trace(make_chain(tf_keras, 2000))
    addresses = [f"{call.address}:out" for call in traced.calls if not call.is_input]
    found = find_fetches(traced, addresses)
    assert len(found) == 2000
    cut = cut_out(traced, traced.inputs, [fetch.tensor for fetch in found])
    assert cut.weight_bytes == 500 * (8 * 8 + 8 + 4 * 8) * 4
