"""Frozen graphs: what they say without TensorFlow, what comes out of them, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import kprobe
from kprobe.errors import ModelError, UnsafeModelError
from kprobe.gate.graphs import slim_graph
from kprobe.gate.refuse import check_safe
from kprobe.models.file import choose_signature, read_model_file
from kprobe.models.listing import list_layers

ROWS = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
KERNEL = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")


@pytest.fixture
def write(tmp_path):
    """Write the graph that some code makes from a placeholder."""

    def save(code, shape=(None, 3), name="x"):
        with tf.Graph().as_default() as graph:
            code(tf.compat.v1.placeholder(tf.float32, shape, name=name))
        path = tmp_path / "frozen.pb"
        path.write_bytes(graph.as_graph_def().SerializeToString())
        return path

    return save


def make_net(x):
    """As slim has its names: scopes, and a result deep in them."""
    with tf.compat.v1.variable_scope("net/head"):
        y = tf.nn.relu(tf.matmul(x, tf.constant(KERNEL), name="product"), name="bent")
        tf.nn.softmax(y, name="shares")
    tf.reduce_sum(y, axis=-1, name="total")


def loop(x):
    """What TensorFlow 2 freezes: a function in the library, and a loop."""
    double = tf.function(lambda y: tf.multiply(y, 2, name="twice"))
    y = double(x) + 1
    tf.identity(tf.map_fn(lambda row: tf.cumsum(row, name="sums"), y), name="out")


def test_its_placeholders_and_results_are_listed(write):
    path = write(make_net)
    code = (
        "import sys, kprobe\n"
        "from kprobe.models.file import choose_signature, read_model_file\n"
        "from kprobe.models.listing import list_layers\n"
        "for e in list_layers(read_model_file(sys.argv[1])):\n"
        " print(e.address, e.class_name, e.output_shape, e.dtype)\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.stdout == (
        "x Input (None, 3) float32\nnet_head_shares Output None None\ntotal Output None None\n"
    ), done.stderr


def test_operations_have_addresses(write, tmp_path):
    layers = ["a=//net/head/product:0", "b=//net/head/bent:0", "c=net_head_shares", "d=total"]
    kprobe.dump(write(make_net), layers, inputs=ROWS, output=tmp_path / "a.h5")
    product = ROWS @ KERNEL
    bent = np.maximum(product, 0)
    shares = np.exp(bent) / np.exp(bent).sum(-1, keepdims=True)
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        found = [dump[name][:] for name in "abcd"]
    for made, expected in zip(found, (product, bent, shares, bent.sum(-1)), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


def test_an_operation_is_fed(write):
    model = kprobe.load_model(write(make_net))
    function = kprobe.function(model, "total", feeds=["//net/head/product:0"])
    np.testing.assert_allclose(function(np.array([[1, -2, 3, 0]], "float32"))["total"], [4])


def test_functions_and_loops_in_it_run(write):
    found = kprobe.activations(write(loop), ["out"], ROWS)
    np.testing.assert_allclose(found["out"], np.cumsum(2 * ROWS + 1, -1), rtol=1e-5)


def test_the_model_is_called_as_a_signature_is(write):
    model = kprobe.load_model(write(make_net))
    assert repr(model) == "<signature graph: x float32 (None, 3) -> net_head_shares, total>"
    np.testing.assert_allclose(
        model(x=tf.constant(ROWS))["total"], np.maximum(ROWS @ KERNEL, 0).sum(-1), rtol=1e-5
    )


HARMFUL = {
    "WriteFile": lambda x, name: tf.io.write_file(name, tf.io.serialize_tensor(x)),
    "ReadFile": lambda x, name: tf.strings.join([tf.io.read_file(name), tf.as_string(x)]),
    "RestoreV2": lambda x, name: x + tf.raw_ops.RestoreV2(
        prefix=name, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0],
    "PyFunc": lambda x, name: tf.compat.v1.py_func(lambda y: y, [x], tf.float32),
}  # fmt: skip


@pytest.mark.parametrize("operation", HARMFUL)
def test_a_graph_that_touches_files_or_runs_code_is_refused(write, operation, tmp_path):
    path = write(lambda x: (HARMFUL[operation](x, str(tmp_path / "touched")), x + 1))
    with pytest.raises(UnsafeModelError, match=rf": the graph has the operation {operation} \("):
        check_safe(choose_signature(read_model_file(path), None))
    with pytest.raises(UnsafeModelError):
        kprobe.dump(path, None, inputs=ROWS, output=tmp_path / "a.h5")
    assert not (tmp_path / "touched").exists()


def test_a_graph_without_weights_is_told_as_such(write):
    path = write(lambda x: x * tf.compat.v1.get_variable("w", [3]))
    with pytest.raises(ModelError, match="is a graph without weights: the value of its variable w"):
        read_model_file(path)


@pytest.mark.parametrize(
    ("code", "what"),
    [(lambda x: None, "results"), (lambda x: tf.constant(1.0), "results")],
)
def test_a_graph_that_computes_nothing_is_told_as_such(write, code, what):
    with pytest.raises(ModelError, match=f"is a graph without {what}"):
        read_model_file(write(code))


@pytest.mark.parametrize("content", [b"\x0a", b"\n\n\n", b"\x0a\x02\x0a\x00", b"\x0a\xff" * 9])
def test_what_holds_no_graph_is_no_model_file(tmp_path, content):
    path = tmp_path / "m.pb"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is not a model file"):
        read_model_file(path)


def test_a_graph_that_was_cut_is_an_error(write):
    path = write(make_net)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="is not a model file"):
        read_model_file(path)


@pytest.mark.parametrize(
    "harm",
    [
        lambda node: node.attr["dtype"].__setattr__("type", 99),
        lambda node: node.attr["shape"].shape.dim[0].__setattr__("size", -7),
        lambda node: node.__setattr__("op", "NoSuchOperation"),
    ],
    ids=["dtype", "shape", "operation"],
)
def test_a_graph_that_tensorflow_does_not_take_is_an_error(write, harm):
    path = write(make_net)
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    harm(definition.node[0] if definition.node[0].op == "Placeholder" else None)
    path.write_bytes(definition.SerializeToString())
    with pytest.raises(ModelError):
        kprobe.load_model(path)


@pytest.mark.parametrize(
    "code",
    [
        lambda x: tf.reduce_sum(x, name="b") + tf.reduce_sum(tf.fill([2**50], 1.0), name="a"),
        lambda x: tf.reduce_sum(tf.tile(x, [1, 2**50], name="a")),
        lambda x: tf.reduce_sum(tf.broadcast_to(x[:1], [2**25, 2**25, 3], name="a")),
    ],
)
def test_a_tensor_that_no_machine_has_memory_for_is_refused(write, code, tmp_path):
    path = write(lambda x: tf.identity(code(x), name="out"))
    with pytest.raises(
        ModelError, match=r" takes [\d,]+ bytes or more for a batch of [\d]+, and this machine has "
    ):
        kprobe.dump(path, ["out"], inputs=ROWS, output=tmp_path / "a.h5")


def test_what_the_huge_tensor_is_not_needed_for_is_computed(write, tmp_path):
    path = write(lambda x: (tf.add(x, 1, name="y"), tf.fill([2**50], 1.0, name="huge")))
    kprobe.dump(path, ["y"], inputs=ROWS, output=tmp_path / "a.h5")
    with kprobe.open_dump(tmp_path / "a.h5") as dump:
        np.testing.assert_array_equal(dump["y"][:], ROWS + 1)


def test_a_graph_that_is_cut_off_is_said_to_be_none(write):
    path = write(make_net)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ModelError, match=r"neither a \.keras archive nor HDF5, nor a whole frozen"):
        read_model_file(path)


@pytest.mark.parametrize("attribute", [True, False])
def test_a_placeholder_of_any_rank_is_listed_without_a_shape(write, attribute):
    path = write(lambda x: tf.identity(x, name="out"), shape=None)
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    if not attribute:
        del graph.node[0].attr["shape"]
    path.write_bytes(graph.SerializeToString())
    assert [entry.output_shape for entry in list_layers(read_model_file(path))] == [None, None]


def test_the_values_of_its_constants_are_left_in_the_file(write, monkeypatch):
    """As the gate reads it, so that the weights are in memory once, as TensorFlow's."""
    monkeypatch.setattr(slim_graph, "LARGE_FILE_BYTES", 0)
    values = np.random.default_rng(2).normal(size=(3, 40_000)).astype("float32")
    path = write(lambda x: tf.matmul(x, tf.constant(values), name="y"))
    file = read_model_file(path)
    assert file.saved.serving.ByteSize() < 2000 < values.nbytes
    assert [entry.address for entry in list_layers(file)] == ["x", "y"]
    np.testing.assert_allclose(
        kprobe.activations(path, ["y"], ROWS)["y"], ROWS @ values, rtol=1e-4, atol=1e-5
    )
