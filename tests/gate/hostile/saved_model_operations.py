"""SavedModels and frozen graphs that do more than compute."""

from __future__ import annotations

from gate.hostile.case import Case
from gate.hostile.saved_models import (
    SECURITY,
    STRING,
    add,
    add_constant,
    add_function,
    case,
    frozen,
    of_graph,
)


def of_nodes(op, inputs=(), text=(), **attrs):
    """A graph with one more operation, which takes texts."""

    def edit(graph, marker):
        nodes = graph.graph_def.node
        given = [*text] or [marker]
        for number, each in enumerate(given):
            add_constant(nodes, f"text{number}", (), [each.encode()], STRING)
        add(nodes, "odd", op, [f"text{n}" for n in range(len(given))], **attrs)
        # So that computing the output runs it.
        next(node for node in nodes if node.name == "y").input.append("^odd")

    return of_graph(edit)


def write_in_function(graph, marker):
    function = add_function(graph, "innocent")
    add_constant(function.node_def, "name", (), [marker.encode()], STRING)
    add(function.node_def, "write", "WriteFile", ["name:output:0", "name:output:0"])
    # A function is an operation, too.
    add(graph.graph_def.node, "call", "innocent")


def write_file(graph, marker):
    nodes = graph.graph_def.node
    add_constant(nodes, "name", (), [marker.encode()], STRING)
    add(nodes, "write", "WriteFile", ["name", "name"])


CASES = (
    case("writes", "operations", of_graph(write_file), SECURITY),
    case("writes-in-a-function", "operations", of_graph(write_in_function), SECURITY),
    case("reads", "operations", of_nodes("ReadFile", text=["/etc/hostname"]), SECURITY),
    case("saves", "operations", of_nodes("SaveV2"), SECURITY),
    case("restores", "operations", of_nodes("RestoreV2"), SECURITY),
    case("maps-a-file", "operations", of_nodes("ImmutableConst", memory_region_name=b"/etc/hosts")),
    case("hidden-graph", "operations", of_nodes("DatasetFromGraph"), SECURITY),
    case("hidden-program", "operations", of_nodes("XlaCallModule", module=b"ML\xefR"), SECURITY),
    case("python", "operations", of_nodes("EagerPyFunc", token=b"pyfunc_0"), SECURITY),
    case("prints-to-a-file", "operations", of_nodes("PrintV2", output_stream=b"file:///tmp/a")),
    case("ends-the-process", "operations", of_nodes("Abort")),
    case("remote", "operations", of_nodes("RpcClient", text=["localhost:1"])),
    case("of-another-library", "operations", of_nodes("RaggedTensorTokenize>Own")),
    Case("frozen-graph-writes", frozen(write_file), "savedmodel-operations", SECURITY),
)
