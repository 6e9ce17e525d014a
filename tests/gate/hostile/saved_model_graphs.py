"""SavedModels and frozen graphs that are damaged, too large, or run without end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gate.hostile.case import Case
from gate.hostile.saved_models import (
    FLOAT,
    INT64,
    RESOURCE,
    add,
    add_call,
    add_constant,
    add_function,
    case,
    frozen,
    lay,
    of_graph,
    rewrite,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def make_huge(folder, marker):
    path = frozen(lambda graph, marker: None)(folder, marker)
    os.truncate(path, 2**31)
    return path


def call_in_circle(names: Sequence[str]):
    def edit(graph, marker):
        for name, called in zip(names, [*names[1:], names[0]], strict=True):
            add_function(graph, name, [called])

    return of_graph(edit)


def laugh(graph, marker):
    """2 ** 40 operations, in 41 functions of two."""
    for number in range(40):
        add_function(graph, f"f{number}", [f"f{number + 1}"] * 2)
    add_function(graph, "f40")


def lose_body(graph, marker):
    add_function(graph, "condition")
    add(graph.graph_def.node, "loop", "While", cond="condition", body="gone")


def hide_behind_function(graph, marker):
    add_function(graph, "WriteFile")
    add(graph.graph_def.node, "call", "WriteFile")


def name_twice(graph, marker):
    add_function(graph, "f")
    add_function(graph, "f", ["f"])


def fill(*shape, values=(1.0,), dtype=FLOAT, times=1, content=b""):
    def edit(graph, marker):
        for number in range(times):
            tensor = add_constant(graph.graph_def.node, f"c{number}", shape, values, dtype)
            tensor.tensor_content = content

    return edit


def make_at_once(graph, marker):
    nodes = graph.graph_def.node
    add_constant(nodes, "shape", (3,), [2**20, 2**20, 4], INT64)
    add_constant(nodes, "zero")
    add(nodes, "fill", "Fill", ["shape", "zero"], T=FLOAT, index_type=INT64)


def add_graph(*numbers):
    """One more graph, with 500,001 empty messages in fields inside of one another."""
    inner = b"\x0a\0" * 500_001
    for number in reversed(numbers):
        inner = bytes([number << 3 | 2]) + varint(len(inner)) + inner
    return rewrite(lambda content: content + inner)


def refer(edit):
    def change(graph, marker):
        add_function(graph, "f")
        graph.object_graph_def.nodes.add()
        edit(graph.object_graph_def)

    return of_graph(change)


def lose_child(objects):
    objects.nodes[0].children.add(node_id=7, local_name="a")


def lose_function(objects):
    objects.concrete_functions["gone"].SetInParent()


def lose_capture(objects):
    objects.concrete_functions["f"].bound_inputs.append(-1)


def lose_asset(objects):
    objects.nodes[0].asset.asset_file_def_index = 3


def share_twice(graph, marker):
    """What isn't a bomb: functions that call others of several callers."""
    add_function(graph, "inner")
    add_function(graph, "one", ["inner"])
    add_function(graph, "two", ["inner", "one"])
    add_call(graph.graph_def.node, "call", "two")


CASES = (
    case("cut-short", "damaged", rewrite(lambda content: content[:-9])),
    case("empty", "damaged", rewrite(lambda content: b"")),
    case("text", "damaged", rewrite(lambda content: b"meta_graphs { }")),
    case("metadata-damaged", "damaged", lay("keras_metadata.pb", b"\xff\xff\xff")),
    case("nested-groups", "damaged", rewrite(lambda content: b"\x0b" * 500_000)),
    case("many-operations", "size", add_graph(2, 2)),
    case("many-objects", "size", add_graph(2, 7)),
    case("function-runs-itself", "functions", call_in_circle(["f"])),
    case("functions-in-a-circle", "functions", call_in_circle(["f", "g", "h"])),
    case("billion-laughs", "size", of_graph(laugh), "CWE-776"),
    case("loop-without-body", "functions", of_graph(lose_body)),
    case("function-twice", "functions", of_graph(name_twice)),
    case("function-for-an-operation", "functions", of_graph(hide_behind_function)),
    case("constant-bomb", "size", of_graph(fill(2**20, 2**20)), "shape bomb"),
    case("constants-bomb", "size", of_graph(fill(2**20, times=200)), "shape bomb"),
    case("constant-without-values", "size", of_graph(fill(2**40, values=())), "shape bomb"),
    case("constant-of-many-axes", "damaged", of_graph(fill(*[2**62] * 20_000))),
    case("constant-too-short", "damaged", of_graph(fill(5, values=(), content=b"abc"))),
    case("constant-too-long", "damaged", of_graph(fill(2, values=[1.0] * 9))),
    case("constant-negative", "damaged", of_graph(fill(-5))),
    case("constant-of-no-type", "damaged", of_graph(fill(dtype=99))),
    case("constant-handle", "damaged", of_graph(fill(dtype=RESOURCE))),
    case("lost-child", "damaged", refer(lose_child)),
    case("lost-function", "functions", refer(lose_function)),
    case("lost-capture", "damaged", refer(lose_capture)),
    case("lost-asset", "damaged", refer(lose_asset)),
    Case("frozen-graph-bomb", frozen(fill(2**40)), "savedmodel-size", "shape bomb"),
    Case("frozen-graph-huge", make_huge, "savedmodel-size"),
    Case("frozen-graph-laughs", frozen(laugh), "savedmodel-size", "CWE-776"),
    case("functions-shared", None, of_graph(share_twice)),
    case("huge-tensor-unneeded", None, of_graph(make_at_once)),
    case("constant-filled", None, of_graph(fill(1000, 1000))),
    case("constant-of-content", None, of_graph(fill(2, values=(), content=b"\0" * 8))),
    Case("frozen-graph-plain", frozen(lambda graph, marker: None), None),
)
