"""Large constants are left out of what is parsed, and none of them can hide behind that."""

from __future__ import annotations

import os

import pytest
from collection import read_cases
from gate.hostile.saved_models import FLOAT, add_constant, make_model

from kprobe.gate.graphs import slim_graph
from kprobe.gate.graphs.saved_model import find_frozen_graph_faults, find_saved_model_faults
from kprobe.gate.graphs.saved_model_proto import parse
from kprobe.gate.graphs.slim_graph import parse_slim
from kprobe.gate.graphs.wire import BYTES, write_varint
from kprobe.gate.opened import adopt_file, open_file
from kprobe.gate.opened_directory import open_directory
from kprobe.gate.rules import Fault

COUNT = 50_000
CASES = read_cases(name=("saved-model-", "frozen-graph-"))


@pytest.fixture(autouse=True)
def slim_all(monkeypatch):
    """Take every file for a large one."""
    monkeypatch.setattr(slim_graph, "LARGE_FILE_BYTES", 0)


def hold(content):
    descriptor = os.memfd_create("graph")
    os.write(descriptor, content)
    return adopt_file(descriptor, "graph.pb")


def make_graph(content, shape=(COUNT,), dtype=FLOAT):
    graph = make_model()[1].graph_def
    tensor = add_constant(graph.node, "large", shape, (), dtype)
    tensor.tensor_content = content
    add_constant(graph.node, "small", (3,))
    return graph


def test_all_but_large_values_is_parsed():
    graph = make_graph(b"\1" * 4 * COUNT)
    parsed = parse_slim("GraphDef", hold(graph.SerializeToString()))
    large = next(node for node in graph.node if node.name == "large").attr["value"].tensor
    left = next(node for node in parsed.node if node.name == "large").attr["value"].tensor
    assert (left.dtype, [dim.size for dim in left.tensor_shape.dim]) == (FLOAT, [0])
    large.CopyFrom(left)
    assert parsed == graph
    assert [*find_frozen_graph_faults(hold(graph.SerializeToString()))] == []


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((COUNT + 1,), FLOAT, "has a constant of 200,000 bytes, not of 200,004"),
        ((2**40,), FLOAT, "has a constant of 200,000 bytes, not of 4,398,046,511,104"),
        ((-COUNT,), FLOAT, "has a constant of an odd type or shape"),
        ((COUNT,), 99, "has a constant of an odd type or shape"),
        ((COUNT,), 7, "has a constant of an odd type or shape"),
    ],
)
def test_the_size_of_large_values_is_the_one_that_the_shape_needs(shape, dtype, text):
    graph = make_graph(b"\1" * 4 * COUNT, shape, dtype)
    faults = [*find_frozen_graph_faults(hold(graph.SerializeToString()))]
    assert faults == [Fault("savedmodel-damaged", text)]


def write(number, content):
    return write_varint(number << 3 | BYTES) + write_varint(len(content)) + content


def test_a_constant_is_not_put_together_from_parts():
    """TensorFlow would join them: a large value, whose bytes the second part takes back."""
    whole = make_graph(b"\1" * 4 * COUNT).node[-2].attr["value"].tensor
    more = parse("TensorProto", b"")
    more.tensor_shape.dim.add(size=2**40)
    back = more.SerializeToString() + write(4, b"")
    parts = write(8, whole.SerializeToString()) + write(8, back)
    for value in (parts, write(8, whole.SerializeToString() + back)):
        entry = write(1, b"value") + write(2, value)
        node = write(1, b"odd") + write(2, b"Const") + write(5, entry)
        content = make_model()[1].graph_def.SerializeToString() + write(1, node)
        faults = [*find_frozen_graph_faults(hold(content))]
        assert faults == [Fault("savedmodel-damaged", "has a constant in several parts")]


def test_the_collection_is_judged_by_the_same_rules(tmp_path, monkeypatch):
    monkeypatch.setattr(slim_graph, "_LARGE_BYTES", 0)
    for case in CASES:
        if "-many-" in case.name:  # a second each, and not about large values
            continue
        (tmp_path / case.name).mkdir()
        path = case.make(tmp_path / case.name, tmp_path / "marker")
        if path.is_dir():
            faults = [*find_saved_model_faults(open_directory(path))]
        else:
            faults = [*find_frozen_graph_faults(open_file(path))]
        assert [fault.rule for fault in faults][:1] == [case.rule] * bool(case.rule), case.name
