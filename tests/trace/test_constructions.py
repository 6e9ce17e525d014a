"""Every kind of construction, in both Kerases: each layer call against an eager hook.

The hook wraps the `call` method of every layer and runs the model eagerly, which is another way
than the trace to learn what each call gives.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from constructions import CONSTRUCTIONS, compute_exactly, hook_eagerly

from kprobe.engines.compute import Compute
from kprobe.engines.engine import FetchSpec
from kprobe.engines.tensorflow import TensorFlowEngine
from kprobe.subgraph.cut import cut_out
from kprobe.trace.fetch import find_fetches
from kprobe.trace.recording.model_inputs import arrange_inputs, read_signature
from kprobe.trace.recording.run_symbolically import trace


def is_same(tensor, array):
    value = tf.cast(tensor, tf.float32).numpy()
    return value.shape == array.shape and np.allclose(value, array, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("construction", CONSTRUCTIONS, ids=lambda c: c.__name__)
def test_every_call_of_every_layer_gives_what_it_gives_eagerly(k, construction):
    model, data, computed = compute_exactly(construction, k)
    expected = hook_eagerly(model, data)
    compared = set()
    for address, value in computed.items():
        name = address.partition("[")[0].rpartition("/")[2].partition("@")[0]
        if name not in expected:
            continue  # input layers, and operators that aren't layers
        outputs = [tensor for call in expected[name] for tensor in call.outputs]
        if name.endswith("cell"):  # called at every step, in a loop: all steps in one
            number = int(address.rpartition("[")[2].rstrip("]"))
            steps = [call.outputs[number] for call in expected[name]]
            starts = range(len(steps) - len(value) + 1)
            outputs = [tf.stack(steps[start : start + len(value)]) for start in starts]
        assert any(is_same(output, value) for output in outputs), address
        compared.add(name)
    # An RNN of tf_keras calls its cell eagerly, but its graph has the arithmetic at once.
    wanted = {name for name, calls in expected.items() if calls[0].outputs}
    if k is keras:  # whose TextVectorization runs its `call` alone, and records nothing
        wanted = {name for name in wanted if not name.startswith("string_lookup")}
    assert {name for name in wanted if not name.endswith("cell")} <= compared


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("construction", CONSTRUCTIONS, ids=lambda c: c.__name__)
def test_frozen_it_gives_the_same(k, construction):
    model, data, expected = compute_exactly(construction, k)
    traced = trace(model, read_signature(model), lambda tensors: arrange_inputs(model, tensors))
    fetches = find_fetches(traced, ["**"])
    cut = cut_out(traced, traced.inputs, [fetch.tensor for fetch in fetches])
    specs = [FetchSpec(fetch.address, fetch.tensor) for fetch in fetches]
    subgraph = TensorFlowEngine(cut, specs, Compute(), frozen=True)
    computed = subgraph(data if isinstance(data, dict) else {subgraph.feeds[0]: data})
    for fetch, tensor in zip(fetches, computed, strict=True):
        if tensor.dtype == tf.string:
            continue
        value, array = tf.cast(tensor, tf.float32).numpy(), expected[fetch.address]
        error = 2e-2 if fetch.tensor.dtype == tf.bfloat16 else 1e-5
        assert abs(value - array).max() <= error * abs(array).max(), fetch.address
