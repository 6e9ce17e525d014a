from __future__ import annotations

import json

import numpy as np
import pytest

from kprobe.dumps.contents import Column, Contents
from kprobe.dumps.graph import Node, read_graph, write_graph
from kprobe.dumps.output import OutputSpec
from kprobe.dumps.reader import open_dump
from kprobe.dumps.writing.writer import Writer

NODES = [
    Node("a", "Dense", ()),
    Node("b/ü", "", (0,)),
    Node("c", "Add", (0, 1)),
    Node("d", "", None),
]


def test_what_was_written_is_read():
    assert read_graph({"graph": write_graph(NODES)}) == NODES
    assert json.loads(write_graph(NODES))[2] == {"address": "c", "class": "Add", "from": [0, 1]}


@pytest.mark.parametrize(
    "graph",
    [
        "",
        "{}",
        "[1]",
        "7",
        "null",
        "[" * 10_000,
        '[{"address":"a","class":"b"}]',
        '[{"address":1,"class":"b","from":[]}]',
        '[{"address":"a","class":"b","from":[1]}]',
        '[{"address":"a","class":"b","from":[-1]}]',
        '[{"address":"a","class":"b","from":[true]}]',
        '[{"address":"a","class":"b","from":["0"]}]',
        '[{"address":"a","class":"b","from":5}]',
        3,
        ["a"],
    ],
)
def test_what_is_no_graph_is_none(graph):
    assert read_graph({"graph": graph}) == []


def test_an_older_dump_has_none():
    assert read_graph({}) == []


def test_the_graph_of_thousands_of_layers_fits_into_a_dump(tmp_path):
    nodes = [Node(f"block_{n}/a_long_name", "BatchNormalization", (n - 1,)) for n in range(1, 4001)]
    nodes = [Node("block_0/a_long_name", "Conv2D", ()), *nodes]
    columns = [Column("a", (2,), np.dtype("f4"), {"addresses": ["a"]})]
    contents = Contents(columns=columns, samples=["x"], attrs={"graph": write_graph(nodes)})
    path = tmp_path / "a.h5"
    with Writer(OutputSpec(path=path), contents) as writer:
        writer.write(0, {"a": np.ones((1, 2), "f4")})
        writer.finish()
    with open_dump(path) as dump:
        assert read_graph(dump.attrs) == nodes
        assert len(dump.attrs["graph"]) > 1 << 18
