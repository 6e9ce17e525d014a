from __future__ import annotations

import pytest

from kprobe.dumps.graph import Node, write_graph
from kprobe.reports.network import follow_order, read_network, split_path


def read(nodes, names, weights=None):
    attrs = {"graph": write_graph(nodes)} if nodes is not None else {}
    return read_network(attrs, [[n] for n in names], weights or [False] * len(names))


FORK = [Node("a", "Conv", ()), Node("b", "ReLU", (0,)), Node("c", "Add", (0, 1))]


def test_the_lines_are_those_of_the_file():
    found = read(FORK, ["a", "b", "c"])
    assert found.upstream == [[], [0], [0, 1]]
    assert found.classes == ["Conv", "ReLU", "Add"]
    assert found.linked


def test_what_was_left_out_of_statistics_is_passed_over():
    assert read(FORK, ["a", "c"]).upstream == [[], [0]]


def test_weights_are_beside_it():
    found = read(FORK, ["a", "b", "c", "a:kernel"], [False, False, False, True])
    assert found.upstream[3] is None
    assert found.tree == [0, 1, 2]


def test_without_a_word_of_it_the_order_is_followed():
    found = read(None, ["a", "w", "b"], [False, True, False])
    assert (found.upstream, found.linked) == ([[], None, [0]], False)
    eager = read([Node("a", "", None), Node("b", "", None)], ["a", "b"])
    assert (eager.upstream, eager.linked) == ([[], [0]], False)
    assert follow_order([]) == []


def test_what_is_inside_a_loop_follows_what_is_before_it():
    loop = [Node("a", "", ()), Node("a//while/b", "", None), Node("c", "", (0,))]
    found = read(loop, ["a", "a//while/b", "c"])
    assert (found.upstream, found.linked) == ([[], [0], [0]], False)


def test_a_circle_in_a_damaged_file_ends():
    circle = [Node("a", "", (1,)), Node("b", "", (0,)), Node("c", "", (2, 1))]
    assert read(circle, ["a", "b", "c"]).upstream == [[1], [0], [1]]
    assert read(circle, ["c"]).upstream == [[]]


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("a", ["a"]),
        ("a@1/b/c:mask", ["a@1", "b", "c:mask"]),
        ("a/b//Conv/BiasAdd:1", ["a", "b//Conv/BiasAdd:1"]),
        ("//graph/op", ["//graph/op"]),
        ("/a", ["a"]),
    ],
)
def test_a_path_is_that_of_the_calls_around(address, path):
    assert split_path(address) == path
