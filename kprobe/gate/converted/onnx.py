"""Find what is wrong with an ONNX model before anything loads it.

The numbers of fields and types are those of onnx/onnx.proto.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kprobe.gate.converted.onnx_tensor import Tensor, read_tensor
from kprobe.gate.graphs.calls import find_circle, find_largest
from kprobe.gate.graphs.pages import Pages
from kprobe.gate.graphs.wire import BrokenMessageError, Span, Wire, expect_span
from kprobe.gate.rules import RULES, Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from kprobe.gate.opened import OpenedFile

MAX_EXPANDED = 5_000_000
# How many values an operation makes of a constant shape.
MAX_MADE = 2**32
# Of graphs in operations of graphs: loops and branches.
MAX_DEPTH = 16
_LIST = Path(__file__).parent / "lists" / "onnx_operations.txt"
_DEFAULT = "ai.onnx"
# What makes a tensor of a shape that it is given, and at which place.
_SHAPED = {"ConstantOfShape": 0, "Expand": 1}
# The domain of a function, its name, and which of several of this name it is.
_Function = tuple[str, str, str]
_MAIN: _Function = ("", "", "")


@dataclass
class _Node:
    """What is kept of an operation while it is read."""

    name: str = ""
    operation: str = ""
    domain: str = _DEFAULT
    overload: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    value: Tensor | None = None

    @property
    def function(self) -> _Function:
        """As which function it is looked up."""
        return (self.domain, self.operation, self.overload)


def find_onnx_faults(
    opened: OpenedFile, allow: Container[str] = (), counts: Counter[str] | None = None
) -> Iterator[Fault]:
    """Find what is wrong with an ONNX model, `.onnx`.

    Args:
        opened: The file.
        allow: Kinds of `kprobe.gate.rules.KINDS` that aren't told.
        counts: It is told how many "operations" it has, and how many arrays of values, "weights",
            with their "weight_bytes".
    """
    told: set[str] = set()
    try:
        for fault in _Model(opened, Counter() if counts is None else counts).find():
            if RULES[fault.rule].kind not in allow and fault.text not in told:
                told.add(fault.text)
                yield fault
    except BrokenMessageError as error:
        yield Fault("onnx-layout", str(error))


@cache
def read_operations() -> Mapping[str, frozenset[str]]:
    """Read the list of operations: their names, by their domain."""
    operations: dict[str, set[str]] = defaultdict(set)
    domain = ""
    for line in _LIST.read_text("utf-8").splitlines():
        if line.startswith("domain: "):
            domain = line.removeprefix("domain: ")
        elif line.strip() and not line.startswith("#"):
            operations[domain].update(line.split())
    return {domain: frozenset(names) for domain, names in operations.items()}


class _Model:
    """A model that is read from its first field to its last."""

    def __init__(self, opened: OpenedFile, counts: Counter[str]) -> None:
        self._counts = counts
        self._wire = Wire(Pages(opened))
        self._whole = Span(0, opened.size)
        self._functions: dict[_Function, Span] = {}
        self._calls: dict[_Function, list[_Function]] = {_MAIN: []}
        self._own: dict[_Function, int] = {_MAIN: 0}

    def find(self) -> Iterator[Fault]:
        """Give all faults."""
        graphs, trainings, versions = [], [], 0
        for number, value in self._wire.list_fields(self._whole):
            if number == 1:
                versions += 1
            elif number == 7:
                graphs.append(expect_span(value))
            elif number == 20:
                trainings.append(expect_span(value))
            elif number == 25:
                self._add_function(expect_span(value))
        if len(graphs) != 1 or versions != 1:
            raise BrokenMessageError("isn't a whole ONNX model: expected one graph and one version")
        for number, training in ((n, t) for each in trainings for n, t in self._list(each)):
            if number in (1, 2):
                graphs.append(training)
        for graph in graphs:
            yield from self._read_graph(graph, _MAIN, 1)
        for function, span in self._functions.items():
            yield from self._read_body(span, 7, function, 1)
        if (circle := find_circle(self._calls)) is not None:
            yield Fault("onnx-layout", f"has the function {show(circle[1])}, which runs itself")
        elif find_largest(self._calls, self._own, MAX_EXPANDED) > MAX_EXPANDED:
            text = f"runs more than {MAX_EXPANDED:,} operations, counted wherever they are called"
            yield Fault("onnx-size", text)

    def _list(self, message: Span) -> Iterator[tuple[int, Span]]:
        """Give the fields of a message that are bytes, texts or messages."""
        for number, value in self._wire.list_fields(message):
            if not isinstance(value, int):
                yield number, value

    def _read_text(self, span: Span) -> str:
        return self._wire.read_text(span).decode("utf-8", "backslashreplace")

    def _add_function(self, span: Span) -> None:
        texts = {1: "", 10: "", 13: ""}
        for number, value in self._list(span):
            if number in texts:
                texts[number] = self._read_text(value)
        function = (texts[10] or _DEFAULT, texts[1], texts[13])
        if function in self._functions:
            raise BrokenMessageError(f"has two functions of the name {show(function[1])}")
        self._functions[function] = span
        self._calls[function], self._own[function] = [], 0

    def _read_graph(self, span: Span, owner: _Function, depth: int) -> Iterator[Fault]:
        yield from self._read_body(span, 1, owner, depth)

    def _read_body(
        self, span: Span, node_field: int, owner: _Function, depth: int
    ) -> Iterator[Fault]:
        """Read the operations and values of a graph, or of a function."""
        if depth > MAX_DEPTH:
            raise BrokenMessageError("has graphs inside of one another, too many")
        values: dict[str, Tensor] = {}
        shaped = []
        for number, value in self._list(span):
            if number == node_field:
                node = _Node()
                yield from self._read_node(value, node, owner, depth)
                if node.operation in _SHAPED:
                    shaped.append(node)
                elif node.operation == "Constant" and node.value and node.outputs:
                    values[node.outputs[0]] = node.value
                    self._counts.update(weights=1, weight_bytes=node.value.bytes)
            elif node_field == 1 and number == 5:
                tensor = read_tensor(self._wire, value)
                yield from tensor.faults
                values[tensor.name] = tensor
                self._counts.update(weights=1, weight_bytes=tensor.bytes)
            elif node_field == 1 and number == 15:
                yield from self._read_sparse(value)
        for node in shaped:
            place = _SHAPED[node.operation]
            shape = values.get(node.inputs[place]) if place < len(node.inputs) else None
            if shape is not None and (count := shape.count_as_shape(self._wire)) > MAX_MADE:
                text = f"makes {count:,} values at once"
                yield Fault("onnx-size", text, f"node {show(node.name)}")

    def _read_node(self, span: Span, node: _Node, owner: _Function, depth: int) -> Iterator[Fault]:
        self._own[owner] += 1
        self._counts["operations"] += 1
        attributes = []
        for number, value in self._list(span):
            if number == 1:
                node.inputs.append(self._read_text(value))
            elif number == 2:
                node.outputs.append(self._read_text(value))
            elif number == 3:
                node.name = self._read_text(value)
            elif number == 4:
                node.operation = self._read_text(value)
            elif number == 5:
                attributes.append(value)
            elif number == 7:
                node.domain = self._read_text(value) or _DEFAULT
            elif number == 8:
                node.overload = self._read_text(value)
        for attribute in attributes:
            yield from self._read_attribute(attribute, node, owner, depth)
        if node.function in self._functions:
            self._calls[owner].append(node.function)
        elif node.domain not in read_operations():
            text = f"has the operation {show(node.operation, '')} of {show(node.domain)}"
            yield Fault("onnx-operations", f"{text}, which isn't ONNX's own", _name(node))
        elif node.operation not in read_operations()[node.domain]:
            text = f"has the operation {show(node.operation, '')}, which kprobe doesn't know"
            yield Fault("onnx-operations", text, _name(node))

    def _read_attribute(
        self, span: Span, node: _Node, owner: _Function, depth: int
    ) -> Iterator[Fault]:
        for number, value in self._list(span):
            if number in (5, 10):
                tensor = read_tensor(self._wire, value)
                yield from tensor.faults
                node.value = tensor
            elif number in (6, 11):
                yield from self._read_graph(value, owner, depth + 1)
            elif number in (22, 23):
                yield from self._read_sparse(value)

    def _read_sparse(self, span: Span) -> Iterator[Fault]:
        for number, value in self._list(span):
            if number in (1, 2):
                yield from read_tensor(self._wire, value).faults


def _name(node: _Node) -> str:
    return f"node {show(node.name)}" if node.name else ""
