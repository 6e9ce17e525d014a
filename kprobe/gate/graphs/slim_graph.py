"""Read a graph of TensorFlow without the values of its large constants.

A frozen graph is nearly all values, of which none is looked at. What is left of one is its type and
no value, and that its size was the one that its shape needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kprobe.gate.graphs.graph_types import STRING, TYPES, count_values
from kprobe.gate.graphs.pages import Pages
from kprobe.gate.graphs.saved_model_proto import parse
from kprobe.gate.graphs.wire import BYTES, BrokenMessageError, RawField, Span, Wire, write_varint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kprobe.gate.opened import OpenedFile

# Below this, a file is parsed as it is, and so is each message.
LARGE_FILE_BYTES = 2**25
_LARGE_BYTES = 2**16
# The fields that lead to constants, by the messages they are in: see `saved_model_proto`.
_TENSOR = "TensorProto"
_CONTENT = 4
_PATHS: Mapping[str, Mapping[int, str]] = {
    "SavedModel": {2: "MetaGraphDef"},
    "MetaGraphDef": {2: "GraphDef"},
    "GraphDef": {1: "NodeDef", 2: "FunctionDefLibrary"},
    "FunctionDefLibrary": {1: "FunctionDef"},
    "FunctionDef": {3: "NodeDef"},
    "NodeDef": {5: "AttrEntry"},
    "AttrEntry": {2: "AttrValue"},
    "AttrValue": {8: _TENSOR},
}
# In these, a field that is there twice would be two halves of one.
_ONCE = {"AttrEntry", "AttrValue", _TENSOR}


def parse_slim(message: str, opened: OpenedFile) -> Any:
    """Parse a file without the values of its large constants.

    Args:
        message: What it is, of `kprobe.gate.graphs.saved_model_proto`.
        opened: The file.

    Raises:
        google.protobuf.message.DecodeError: It isn't such a message.
        BrokenMessageError: It isn't one, or a constant has another size than its shape needs.
    """
    if opened.size < LARGE_FILE_BYTES:
        return parse(message, opened.read(opened.size))
    wire = Wire(Pages(opened))
    return parse(message, _rewrite(wire, Span(0, opened.size), message))


def parse_frozen_graph(opened: OpenedFile) -> Any:
    """Parse a frozen graph without the values of its large constants: see `parse_slim`.

    Returns:
        It, as the one graph of a SavedModel: a MetaGraphDef.
    """
    graph = parse("MetaGraphDef", b"")
    graph.graph_def.MergeFrom(parse_slim("GraphDef", opened))
    return graph


def _rewrite(wire: Wire, span: Span, message: str) -> bytes:
    """Write a message again, without large values."""
    if span.size < _LARGE_BYTES:
        return wire.read(span)
    inside = _PATHS.get(message, {})
    parts = []
    numbers = []
    content: RawField | None = None
    for field in wire.list_raw(span):
        numbers.append(field.number)
        if message == _TENSOR and field.number == _CONTENT:
            content = field
        elif field.number in inside and field.kind == BYTES:
            written = _rewrite(wire, field.content, inside[field.number])
            parts += [write_varint(field.number << 3 | BYTES), write_varint(len(written)), written]
        else:
            parts.append(wire.read(field.whole))
    if message in _ONCE and len(numbers) != len(set(numbers)):
        raise BrokenMessageError("has a constant in several parts")
    rest = b"".join(parts)
    return rest if content is None else _judge(rest, content.content.size)


def _judge(rest: bytes, held: int) -> bytes:
    """Hold the size of a constant's values against its shape, and write it without both."""
    tensor = parse(_TENSOR, rest)
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.dtype not in TYPES or tensor.dtype == STRING or min(sizes, default=0) < 0:
        raise BrokenMessageError("has a constant of an odd type or shape")
    needed = count_values(sizes) * TYPES[tensor.dtype][0]
    if tensor.tensor_shape.unknown_rank or held != needed:
        raise BrokenMessageError(f"has a constant of {held:,} bytes, not of {needed:,}")
    empty = parse(_TENSOR, b"")
    empty.dtype = tensor.dtype
    empty.tensor_shape.dim.add(size=0)
    return bytes(empty.SerializeToString())
