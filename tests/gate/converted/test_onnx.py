"""No offset, size or number of an ONNX model is believed, and no other file is read."""

from __future__ import annotations

import os

import pytest
from gate.hostile.onnx import (
    CASES,
    PLAIN,
    array,
    external,
    graph,
    message,
    node,
    of_array,
    onnx_model,
)

from kprobe.gate.converted.onnx import find_onnx_faults, read_operations
from kprobe.gate.graphs import wire
from kprobe.gate.opened import adopt_file, open_file
from kprobe.gate.rules import Fault


def find(path, allow=()):
    return [*find_onnx_faults(open_file(path), allow)]


def find_in(content):
    descriptor = os.memfd_create("model")
    os.write(descriptor, content)
    return [*find_onnx_faults(adopt_file(descriptor, "model.onnx"))]


def test_the_file_that_holds_the_values_is_named():
    text = "has the values of 'w' in the file '../../etc/passwd'"
    assert find_in(external("../../etc/passwd")) == [Fault("onnx-external", text)]


def test_an_operation_is_named_with_its_domain_and_node():
    content = onnx_model((7, graph(node("Run", domain="com.example", name="head/run"))))
    text = "has the operation Run of 'com.example', which isn't ONNX's own"
    assert find_in(content) == [Fault("onnx-operations", text, "node 'head/run'")]


# A type's number, the sizes of the axes, and fields of values: as onnx.helper.make_tensor writes.
WHOLE = [
    (1, (3,), [(4, b"\0" * 12)]),
    (1, (0,), []),
    (1, (), [(4, b"\0" * 4)]),
    (3, (3,), [(5, b"\1\2\3")]),
    (6, (2,), [(5, b"\1"), (5, b"\2")]),
    (7, (2,), [(7, b"\xff" * 9 + b"\1\2")]),
    (8, (2,), [(6, b"one"), (6, b"")]),
    (10, (2,), [(5, b"\x80\x78\0")]),
    (11, (2,), [(10, b"\0" * 16)]),
    (13, (1,), [(11, b"\7")]),
    (14, (2,), [(4, b"\0" * 16)]),
    (15, (1,), [(10, b"\0" * 16)]),
    (22, (3,), [(5, b"\1\2")]),
    (22, (3,), [(9, b"\1\2")]),
    (26, (5,), [(9, b"\1\2")]),
]


@pytest.mark.parametrize(("kind", "dims", "fields"), WHOLE)
def test_the_values_are_as_many_as_the_shape_needs(kind, dims, fields):
    assert find_in(of_array(kind=kind, dims=dims, raw=None, more=fields)) == []
    more = (*dims, 7) if 0 not in dims else (7,)
    (fault,) = find_in(of_array(kind=kind, dims=more, raw=None, more=fields))
    assert "where its shape needs" in fault.text


def test_axes_may_be_packed():
    packed = message((1, b"\1\3"), (2, 1), (8, "w"), (9, b"\0" * 12))
    assert find_in(onnx_model((7, graph(node("Relu"), arrays=[packed])))) == []


def test_large_values_are_not_read(tmp_path):
    path = tmp_path / "model.onnx"
    size = 2**40
    head = onnx_model((7, graph(node("Relu"), arrays=[array()])))
    assert find_in(head) == []
    # A message of a terabyte of holes, in which the values lie.
    values = message((1, size // 4), (2, 1), (8, "w")) + b"\x4a" + wire_number(size)
    inner = message((1, node("Relu")), (2, "g")) + b"\x2a" + wire_number(len(values) + size)
    start = onnx_model() + b"\x3a" + wire_number(len(inner) + len(values) + size)
    path.write_bytes(start + inner + values)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)
    assert find(path) == []


def wire_number(value):
    return message((0, value))[1:]


def test_what_is_allowed_is_left_out_and_nothing_else(tmp_path):
    for name, kind in (("custom-operation", "operations"), ("values-outside", "external")):
        case = next(case for case in CASES if case.name == f"onnx-{name}")
        path = case.make(tmp_path, tmp_path / "marker")
        assert find(path)
        assert find(path, (kind,)) == []
        assert find(path, {"operations", "external"} - {kind}) == find(path)


def test_a_file_may_not_have_fields_without_end(monkeypatch):
    monkeypatch.setattr(wire, "MAX_FIELDS", 10)
    assert find_in(PLAIN) == [Fault("onnx-layout", "has more than 10 fields")]


def test_the_list_has_operations_of_each_domain():
    assert {domain: len(names) for domain, names in read_operations().items()} == {
        "ai.onnx": 203,
        "ai.onnx.ml": 19,
        "ai.onnx.preview": 1,
        "ai.onnx.preview.training": 4,
    }
