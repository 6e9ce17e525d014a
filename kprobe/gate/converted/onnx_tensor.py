"""Read what an ONNX model says of an array, and whether it is there: no values are read.

The numbers of fields and types are those of onnx/onnx.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kprobe.gate.graphs.graph_types import count_values
from kprobe.gate.graphs.wire import expect_number, expect_span
from kprobe.gate.rules import Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from kprobe.gate.graphs.wire import Span, Wire

_MAX_AXES = 254
_STRING = 8
_INT64 = 7
# Bits of a value, by the number of its type; None of texts, which have no size of their own.
_BITS = {
    1: 32,
    2: 8,
    3: 8,
    4: 16,
    5: 16,
    6: 32,
    7: 64,
    8: None,
    9: 8,
    10: 16,
    11: 64,
    12: 32,
    13: 64,
    14: 64,
    15: 128,
    16: 16,
    17: 8,
    18: 8,
    19: 8,
    20: 8,
    21: 4,
    22: 4,
    23: 4,
    24: 8,
    25: 2,
    26: 2,
}
# Fields of values, each with the bytes of one; None where a value has as many as it needs.
_RAW = 9
_TEXTS = 6
_FIELDS = {4: 4, 5: None, 7: None, 10: 8, 11: None}
# Of these, two numbers are a value.
_COMPLEX = (14, 15)


@dataclass(frozen=True)
class Tensor:
    """An array.

    Attributes:
        name: What it is called.
        type: The number of its type.
        shape: The sizes of its axes.
        raw: Where its values are, if they are there as in memory.
        numbers: Where they are, if they are there as 64-bit numbers of as many bytes as needed.
        faults: What is wrong with it.
    """

    name: str
    type: int
    shape: tuple[int, ...]
    raw: Span | None
    numbers: Span | None
    faults: tuple[Fault, ...]

    @property
    def bytes(self) -> int:
        """How many bytes its values take; 0 for texts."""
        return (count_values(self.shape) * (_BITS.get(self.type) or 0) + 7) // 8

    def count_as_shape(self, wire: Wire) -> int:
        """Count the values of the shape that it holds; 0 where it isn't one.

        Raises:
            BrokenMessageError: The file is broken.
        """
        if self.type != _INT64 or self.faults or len(self.shape) != 1:
            return 0
        if self.raw is not None and self.raw.size <= 8 * _MAX_AXES:
            content = wire.read_text(self.raw)
            sizes = [
                int.from_bytes(content[at : at + 8], "little", signed=True)
                for at in range(0, len(content), 8)
            ]
        elif self.numbers is not None and self.numbers.size <= 10 * _MAX_AXES:
            sizes = wire.read_integers(self.numbers)
        else:
            return 0
        return count_values(max(size, 0) for size in sizes)


def read_tensor(wire: Wire, span: Span) -> Tensor:
    """Read what is said of an array.

    Args:
        wire: The file.
        span: Where in it the array is.

    Raises:
        BrokenMessageError: It isn't one.
    """
    name, kind, where, external = "", 0, "", False
    shape: list[int] = []
    spans: dict[int, Span] = {}
    held = raw_bytes = 0
    is_raw = False
    for number, value in wire.list_fields(span):
        if number == 1:
            shape += wire.read_integers(value, 10 * _MAX_AXES)
        elif number == 2:
            kind = expect_number(value)
        elif number == 8:
            name = wire.read_text(value).decode("utf-8", "backslashreplace")
        elif number == 13:
            where = _read_location(wire, expect_span(value)) or where
            external = True
        elif number == 14:
            external = external or expect_number(value) != 0
        elif number == _RAW:
            is_raw, raw_bytes = True, expect_span(value).size
            spans[number] = expect_span(value)
        elif number == _TEXTS:
            held += 1
        elif number in _FIELDS:
            held += _count(wire, value, _FIELDS[number])
            if not isinstance(value, int):
                spans[number] = value
    shown = show(name)
    if external:
        place = f"the file {show(where)}" if where else "another file"
        faults = [Fault("onnx-external", f"has the values of {shown} in {place}")]
    elif kind not in _BITS or min(shape, default=0) < 0 or len(shape) > _MAX_AXES:
        faults = [Fault("onnx-layout", f"has the array {shown} of an odd type or shape")]
    else:
        text = _compare(count_values(shape), kind, raw_bytes if is_raw else None, held)
        faults = [Fault("onnx-layout", f"has the array {shown} {text}")] if text else []
    return Tensor(name, kind, tuple(shape), spans.get(_RAW), spans.get(7), tuple(faults))


def _compare(count: int, kind: int, raw_bytes: int | None, held: int) -> str | None:
    """Say how the values that are there aren't those that the shape needs."""
    bits = _BITS[kind]
    if raw_bytes is not None:
        if bits is None:
            return "of texts, held as numbers"
        needed = (count * bits + 7) // 8
        if held:
            return "with its values twice"
        if raw_bytes != needed:
            return f"of {raw_bytes:,} bytes, where its shape needs {needed:,}"
        return None
    needed = count * 2 if kind in _COMPLEX else count
    if bits is not None and bits < 8:  # several values are in a number
        needed = (count * bits + 7) // 8
    return None if held == needed else f"of {held:,} numbers, where its shape needs {needed:,}"


def _count(wire: Wire, value: int | Span, item_bytes: int | None) -> int:
    if isinstance(value, int):
        return 1
    return wire.count_varints(value) if item_bytes is None else value.size // item_bytes


def _read_location(wire: Wire, entry: Span) -> str:
    """Read where values are, if that is what an entry tells."""
    texts = {1: b"", 2: b""}
    for number, value in wire.list_fields(entry):
        if number in texts:
            texts[number] = wire.read_text(value)
    return texts[2].decode("utf-8", "backslashreplace") if texts[1] == b"location" else ""
