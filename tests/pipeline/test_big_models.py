"""Models of many layers, and of large weights: what grows, and what is asked for once only."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np
import pytest
import tf_keras

from kprobe.graph.fetch import find_fetches
from kprobe.graph.signature import arrange_inputs, read_signature
from kprobe.graph.subgraph import Subgraph
from kprobe.graph.trace import trace

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

MB = 1 << 20


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
    model = make_chain(library, 300)
    traced = make_trace(model)
    names = [layer.name for layer in model.layers]
    assert [fetch.address for fetch in find_fetches(traced, names[1:])] == names[1:]
    operations = [f"dense_{number}//MatMul" for number in range(75)]
    assert [fetch.address for fetch in find_fetches(traced, operations)] == operations
    # Two variables of dense_0, four of bn_0.
    tensor = find_fetches(traced, ["relu_0"])[0].tensor
    early = Subgraph(traced, traced.inputs, [tensor])
    assert len(early._function.graph.captures) == 6
    rows = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    (result,) = early(dict.fromkeys(early.feeds, rows))
    part = library.Model(model.inputs[0], model.get_layer("relu_0").output)
    np.testing.assert_allclose(result, part(rows), rtol=1e-5, atol=1e-6)


# Dense layers of 2,048 x 2,048 are 16 MB each. Run in a process of its own, since the peak is
# that of a process, and both load what is in the file with nothing else before.
MAKE = """
import sys, {library}
model = {library}.Sequential([{library}.layers.Input(({units},))] + [
    {library}.layers.Dense(
        {units}, name=f"dense_{{n}}", kernel_initializer="zeros", bias_initializer="ones"
    )
    for n in range({layers})
])
model.save(sys.argv[1])
"""
# `ru_maxrss` of a child may be that of its parent before `exec`; VmHWM is its own.
PEAK = """
peak = open("/proc/self/status").read().split("VmHWM:")[1].split()[0]
print(int(peak) // 1024)
"""
DUMP = """
import sys, kprobe
kprobe.dump(sys.argv[1], sys.argv[2], random=4, output=sys.argv[3], overwrite=True)
"""
GRAPH_MODE = """
import tensorflow as tf
tf.compat.v1.disable_eager_execution()

def make():
    import tf_keras
    row = x = tf_keras.layers.Input((4096,))
    for n in range(6):
        x = tf_keras.layers.Dense(4096, name=f"dense_{n}")(x)
    return tf_keras.Model(row, x)
"""
DUMP_CODE = """
import sys, kprobe
kprobe.dump(
    sys.argv[1], "dense_5", weights=sys.argv[2], keras=2, random=4, output=sys.argv[3]
)
"""
IMPORT = """
import {library}
{library}.Sequential([{library}.layers.Input((4,)), {library}.layers.Dense(4)])
"""


def run(script: str, *arguments: object) -> int:
    """Run a script and give the peak of its memory, in MB."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script) + PEAK]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def measure(tmp_path: Path, name: str, library: str, units: int, layers: int) -> tuple[int, int]:
    """Give the peak of a dump above that of the imports alone, and the weights, in MB."""
    path, output = tmp_path / name, tmp_path / "dump.h5"
    run(MAKE.format(library=library, units=units, layers=layers), path)
    bare = run(IMPORT.format(library=library) + "import kprobe.pipeline.planning")
    peak = run(DUMP, path, f"dense_{layers - 1}", output)
    with h5py.File(output) as file:
        np.testing.assert_array_equal(file[f"dense_{layers - 1}"], np.ones((4, units)))
        assert not file.attrs["frozen"]
    return peak - bare, layers * units * units * 4 // MB


@pytest.mark.parametrize(
    ("name", "library"),
    [pytest.param("model.keras", "keras", marks=pytest.mark.slow), ("model.h5", "tf_keras")],
)
def test_weights_are_in_memory_once(tmp_path, name, library):
    grown, weights = measure(tmp_path, name, library, units=4096, layers=6)
    # Beside them, a few times the largest: while it is initialised, or read and assigned.
    assert grown < weights + 5 * 64


def test_weights_of_a_session_are_in_memory_once(tmp_path):
    weights, output = tmp_path / "model.h5", tmp_path / "dump.h5"
    run(MAKE.format(library="tf_keras", units=4096, layers=6), weights)
    (tmp_path / "build.py").write_text(GRAPH_MODE)
    bare = run(IMPORT.format(library="tf_keras") + "import kprobe.pipeline.planning")
    peak = run(DUMP_CODE, f"{tmp_path}/build.py:make", weights, output)
    with h5py.File(output) as file:
        np.testing.assert_array_equal(file["dense_5"], np.ones((4, 4096)))
    # What is assigned at a time, 128 MB, is held twice.
    assert peak - bare < 6 * 64 + 5 * 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "library"), [("model.keras", "keras"), ("model.h5", "keras"), ("model.h5", "tf_keras")]
)
def test_weights_of_3_gb_are_in_memory_once(tmp_path, name, library):
    grown, weights = measure(tmp_path, name, library, units=8192, layers=12)
    assert weights == 3072
    assert grown < weights + 1024


@pytest.mark.slow
def test_of_2000_layers_all_are_found():
    traced = make_trace(make_chain(tf_keras, 2000))
    addresses = [f"{call.address}:out" for call in traced.calls if not call.is_input]
    found = find_fetches(traced, addresses)
    assert len(found) == 2000
    subgraph = Subgraph(traced, traced.inputs, [fetch.tensor for fetch in found])
    assert subgraph.weight_bytes == 500 * (8 * 8 + 8 + 4 * 8) * 4
