"""SavedModels and frozen graphs, written message by message: what their cases are made with."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gate.hostile.case import Case

from kprobe.gate.graphs.saved_model_proto import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


FLOAT, STRING, INT64, RESOURCE = 1, 7, 9, 20


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


def frozen(edit):
    def make(folder, marker):
        _, graph = make_model()
        edit(graph, str(marker))
        path = folder / "graph.pb"
        path.write_bytes(graph.graph_def.SerializeToString(deterministic=True))
        return path

    return make


def lay(name: str, content: bytes = b"a"):
    def edit(path, marker):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)

    return of_files(edit)


def rewrite(change: Callable[[bytes], bytes]):
    def edit(path, marker):
        file = path / "saved_model.pb"
        file.write_bytes(change(file.read_bytes()))

    return of_files(edit)


def case(name, rule, make, source="", *arguments):
    return Case(f"saved-model-{name}", make, f"savedmodel-{rule}" if rule else None, source)


LINKS = "symbolic links in a downloaded directory"


SECURITY = "TensorFlow's SECURITY.md: models are programs"
