"""SavedModels and frozen graphs that strangers could send, written message by message."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from gate.hostile.case import Case

from kprobe.gate.graphs.saved_model_proto import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FLOAT, STRING, INT64, RESOURCE = 1, 7, 9, 20


# What they are made of


def add(nodes, name, op, inputs=(), **attrs):
    """Add an operation to a graph or a function; an attribute is a type, a text or a function."""
    node = nodes.add(name=name, op=op, input=inputs)
    for key, value in attrs.items():
        if isinstance(value, int):
            node.attr[key].type = value
        elif isinstance(value, bytes):
            node.attr[key].s = value
        else:
            node.attr[key].func.name = value
    return node


def add_constant(nodes, name, shape=(), values=(1.0,), dtype=FLOAT):
    node = add(nodes, name, "Const", dtype=dtype)
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    field = {FLOAT: "float_val", INT64: "int64_val", STRING: "string_val"}.get(dtype)
    if field:
        getattr(tensor, field).extend(values)
    return tensor


def add_call(nodes, name, function):
    node = add(nodes, name, "StatefulPartitionedCall", f=function)
    for types in ("Tin", "Tout"):
        node.attr[types].list.SetInParent()


def add_function(graph, name, calls=()):
    """Add a function without arguments that calls others."""
    function = graph.graph_def.library.function.add()
    function.signature.name = name
    for number, called in enumerate(calls):
        add_call(function.node_def, f"call{number}", called)
    return function


def make_model():
    """Make a model that doubles its input, as TensorFlow 1 saved one."""
    saved = parse("SavedModel", b"")
    graph = saved.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    nodes = graph.graph_def.node
    x = add(nodes, "x", "Placeholder", dtype=FLOAT)
    for size in (-1, 3):
        x.attr["shape"].shape.dim.add(size=size)
    add_constant(nodes, "two", values=[2.0])
    add(nodes, "y", "Mul", ["x", "two"], T=FLOAT)
    signature = graph.signature_def["serving_default"]
    for tensors, name in ((signature.inputs, "x"), (signature.outputs, "y")):
        tensors[name].name, tensors[name].dtype = f"{name}:0", FLOAT
        for size in (-1, 3):
            tensors[name].tensor_shape.dim.add(size=size)
    return saved, graph


def write(folder, saved):
    path = folder / "model"
    path.mkdir(exist_ok=True)
    (path / "saved_model.pb").write_bytes(saved.SerializeToString(deterministic=True))
    return path


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def make_block(entries, restart=0):
    """Make a block of a sorted table: (bytes shared with the key before, rest of it, value)."""
    rows = [
        varint(shared) + varint(len(key)) + varint(len(value)) + key + value
        for shared, key, value in entries
    ]
    return b"".join(rows) + struct.pack("<II", restart, 1)


def make_index(entries, kind=0, twice=False, restart=0):
    """Make a table of one block."""
    block = make_block(entries, restart)
    handle = varint(0) + varint(len(block))
    top = make_block([(0, b"\xff" * (n + 1), handle) for n in range(1 + twice)])
    empty = make_block([])
    trailer = bytes([kind]) + b"\0" * 4
    body = block + trailer
    places = []
    for each in (empty, top):
        places.append(varint(len(body)) + varint(len(each)))
        body += each + b"\0" * 5
    return body + b"".join(places).ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def describe(shape=(3,), offset=0, size=12, dtype=FLOAT, shard=0):
    entry = parse("BundleEntryProto", b"")
    entry.dtype, entry.offset, entry.size, entry.shard_id = dtype, offset, size, shard
    for length in shape:
        entry.shape.dim.add(size=length)
    return entry.SerializeToString()


def write_variables(path, entries, data=b"\0" * 12, shards=1, header=True, shared=0, **table):
    """Write the files of variables."""
    folder = path / "variables"
    folder.mkdir()
    head = parse("BundleHeaderProto", b"")
    head.num_shards = shards
    rows = [(0, b"", head.SerializeToString())] * header
    rows += [(shared, key, value) for key, value in entries]
    (folder / "variables.index").write_bytes(make_index(rows, **table))
    (folder / "variables.data-00000-of-00001").write_bytes(data)
    return path


def write_half(path, marker):
    write_variables(path, [(b"w", describe())], shards=2)
    data = path / "variables" / "variables.data-00000-of-00001"
    data.rename(data.with_name("variables.data-00000-of-00002"))


# The collection


def of_files(edit: Callable[[Path, Path], object]):
    """A whole model, beside which something lies."""

    def make(folder, marker):
        saved, _ = make_model()
        edit(path := write(folder, saved), marker)
        return path

    return make


def of_graph(edit: Callable[[object, str], object]):
    """A model whose graph has something in it."""

    def make(folder, marker):
        saved, graph = make_model()
        edit(graph, str(marker))
        return write(folder, saved)

    return make


def of_variables(*entries: tuple[bytes, bytes], **settings):
    def make(folder, marker):
        saved, _ = make_model()
        return write_variables(write(folder, saved), entries, **settings)

    return make


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


def frozen(edit):
    def make(folder, marker):
        _, graph = make_model()
        edit(graph, str(marker))
        path = folder / "graph.pb"
        path.write_bytes(graph.graph_def.SerializeToString(deterministic=True))
        return path

    return make


def make_huge(folder, marker):
    path = frozen(lambda graph, marker: None)(folder, marker)
    os.truncate(path, 2**31)
    return path


def lay(name: str, content: bytes = b"a"):
    def edit(path, marker):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)

    return of_files(edit)


def link(name: str, target: str):
    def edit(path, marker):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).unlink(missing_ok=True)
        (path / name).symlink_to(target)

    return of_files(edit)


def link_graph(path, marker):
    (path / "saved_model.pb").rename(path.parent / "elsewhere.pb")
    (path / "saved_model.pb").symlink_to("../elsewhere.pb")


def make_pipe(path, marker):
    (path / "assets").mkdir()
    os.mkfifo(path / "assets" / "words.txt")


def hollow(name: str, size: int):
    def edit(path, marker):
        (path / name).touch()
        os.truncate(path / name, size)

    return of_files(edit)


def rewrite(change: Callable[[bytes], bytes]):
    def edit(path, marker):
        file = path / "saved_model.pb"
        file.write_bytes(change(file.read_bytes()))

    return of_files(edit)


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


def write_in_function(graph, marker):
    function = add_function(graph, "innocent")
    add_constant(function.node_def, "name", (), [marker.encode()], STRING)
    add(function.node_def, "write", "WriteFile", ["name:output:0", "name:output:0"])
    # A function is an operation, too.
    add(graph.graph_def.node, "call", "innocent")


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


def read_outside(graph, marker):
    asset = graph.asset_file_def.add(filename="../../secret.txt")
    asset.tensor_info.name = "x:0"


def share_twice(graph, marker):
    """What isn't a bomb: functions that call others of several callers."""
    add_function(graph, "inner")
    add_function(graph, "one", ["inner"])
    add_function(graph, "two", ["inner", "one"])
    add_call(graph.graph_def.node, "call", "two")


def write_file(graph, marker):
    nodes = graph.graph_def.node
    add_constant(nodes, "name", (), [marker.encode()], STRING)
    add(nodes, "write", "WriteFile", ["name", "name"])


def case(name, rule, make, source="", *arguments):
    return Case(f"saved-model-{name}", make, f"savedmodel-{rule}" if rule else None, source)


LINKS = "symbolic links in a downloaded directory"
SECURITY = "TensorFlow's SECURITY.md: models are programs"
CASES: tuple[Case, ...] = (
    # What lies in the directory
    case("link-to-a-file", "members", link("assets/words.txt", "/etc/hostname"), LINKS),
    case("link-to-a-directory", "members", link("assets", "/"), LINKS),
    case("link-for-the-graph", "members", of_files(link_graph), LINKS),
    case("link-to-nothing", "members", link("variables", "/nowhere"), LINKS),
    case("pipe", "members", of_files(make_pipe)),
    case("stray-code", "members", lay("setup.py")),
    case("stray-in-variables", "members", lay("variables/variables.data-00000-of-00001.bak")),
    case("link-for-a-repository", "members", link(".git", "/etc"), LINKS),
    case("repository-in-assets", "members", lay("variables/.git/config")),
    case("stray-directory", "members", of_files(lambda path, marker: (path / "src").mkdir())),
    case("terminal-codes", "members", lay("\x1b]0;title\x07\nwhole\u202e")),
    case("graph-as-text-beside", "members", lay("saved_model.pbtxt")),
    case("graph-in-chunks-beside", "members", lay("saved_model.cpb")),
    case("deep-directories", "members", lay("assets/a/b/c/d/e/f")),
    case("asset-outside", "members", of_graph(read_outside), "CWE-22"),
    case("huge-fingerprint", "size", hollow("fingerprint.pb", 2**40)),
    case("huge-metadata", "size", hollow("keras_metadata.pb", 2**40)),
    case("huge-graph", "size", hollow("saved_model.pb", 2**31)),
    # The files of variables
    case("no-shard", "variables", lay("variables/variables.index")),
    case("no-index", "variables", lay("variables/variables.data-00000-of-00001")),
    case("shard-of-three", "variables", of_variables(shards=3)),
    case("shard-of-two", "variables", of_files(write_half)),
    case("value-of-no-type", "variables", of_variables((b"w", describe(dtype=99)))),
    case("index-cut-short", "variables", of_variables((b"w", describe()), header=False)),
    case("index-compressed", "variables", of_variables((b"w", describe()), kind=1), "snappy bomb"),
    case("index-block-twice", "variables", of_variables((b"w", describe()), twice=True)),
    case(
        "index-out-of-order", "variables", of_variables(*[(b"w", describe())] * 2, data=b"\0" * 24)
    ),
    case("index-shares-too-much", "variables", of_variables((b"w", describe()), shared=5)),
    case("index-damaged-entry", "variables", of_variables((b"w", b"\xff\xff"))),
    case("index-hides-entries", "variables", of_variables((b"w", describe()), restart=9)),
    case("index-long-key", "variables", of_variables((b"w" * 5000, describe()))),
    case("shape-bomb", "variables", of_variables((b"w", describe((2**40,)))), "shape bomb"),
    case("shape-overflow", "variables", of_variables((b"w", describe((2**32, 2**32))))),
    case("shape-negative", "variables", of_variables((b"w", describe((-3,))))),
    case("value-outside", "variables", of_variables((b"w", describe(offset=4)))),
    case("value-before", "variables", of_variables((b"w", describe(offset=-4)))),
    case("value-of-no-shard", "variables", of_variables((b"w", describe(shard=1)))),
    case("value-shared", "variables", of_variables((b"a", describe()), (b"b", describe()))),
    case("value-of-handles", "variables", of_variables((b"w", describe(dtype=RESOURCE)))),
    case("texts-bomb", "variables", of_variables((b"w", describe((2**30,), dtype=STRING)))),
    # The graph
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
    # Operations
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
    Case("frozen-graph-bomb", frozen(fill(2**40)), "savedmodel-size", "shape bomb"),
    Case("frozen-graph-huge", make_huge, "savedmodel-size"),
    Case("frozen-graph-laughs", frozen(laugh), "savedmodel-size", "CWE-776"),
    # What is odd, and harmless
    case("plain", None, of_files(lambda path, marker: None)),
    case("strays-of-a-mac", None, lay("variables/.DS_Store")),
    case("from-a-collection", None, lay("README.md")),
    case("from-a-repository", None, lay(".git/objects/pack/a/b/c/d.pack")),
    case("of-a-hub", None, lay("tfhub_module.pb")),
    case("more-assets", None, lay("assets.extra/serving/requests")),
    case("debug", None, lay("debug/saved_model_debug_info.pb", b"")),
    case("variables", None, of_variables((b"w", describe()))),
    case("functions-shared", None, of_graph(share_twice)),
    case("huge-tensor-unneeded", None, of_graph(make_at_once)),
    case("constant-filled", None, of_graph(fill(1000, 1000))),
    case("constant-of-content", None, of_graph(fill(2, values=(), content=b"\0" * 8))),
    Case("frozen-graph-plain", frozen(lambda graph, marker: None), None),
)
