"""Find what is wrong with a model of TensorFlow Lite before anything loads it.

The numbers of fields and types are those of tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kprobe.gate.converted.flatbuffer import BrokenError, FlatBuffer, Table
from kprobe.gate.graphs.calls import find_circle, find_largest
from kprobe.gate.graphs.graph_types import count_values
from kprobe.gate.graphs.pages import Pages
from kprobe.gate.rules import RULES, Fault
from kprobe.gate.shown import show

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from kprobe.gate.opened import OpenedFile

IDENTIFIER = b"TFL3"
MAX_EXPANDED = 5_000_000
# Of one tensor that isn't in the file, such as what a layer computes.
MAX_TENSOR_BYTES = 2**33
_MAX_AXES = 64
_VERSION = 3
# Bits of a value, by the number of its type; None of what has no size of its own.
_BITS = {
    0: 32,
    1: 16,
    2: 32,
    3: 8,
    4: 64,
    5: None,
    6: 8,
    7: 16,
    8: 64,
    9: 8,
    10: 64,
    11: 128,
    12: 64,
    13: None,
    14: None,
    15: 32,
    16: 16,
    17: 4,
    18: 16,
    19: 2,
    20: 4,
}
_HANDLES = {13: "resource", 14: "variant"}
# Operations by their numbers: up to that of TensorFlow 2.21, and those that hold something else.
_LAST = 209
_CUSTOM, _DELEGATE, _PLACEHOLDER, _CUSTOM_CALL = 32, 51, 127, 173
# Custom ones that TensorFlow Lite has itself, and that turn tensors into tensors.
_OWN = {b"AudioSpectrogram", b"Mfcc", b"NumericVerify", b"TFLite_Detection_PostProcess"}
# Which options name other subgraphs: the fields, by the options' number.
_CALLS = {16: (0,), 92: (0, 1), 93: (0, 1), 103: (0,)}
_CALLS_2 = {6: (1,), 7: (6,), 13: (5,), 14: (2,), 15: (0, 1), 21: (1,)}
# The one that has a list of them.
_CASE_2 = 23


@dataclass
class _Subgraph:
    """What is kept of a subgraph.

    Attributes:
        tensors: How many tensors it has.
        operators: How many operations.
        calls: The numbers of the subgraphs that its operations run.
    """

    tensors: int
    operators: int = 0
    calls: list[int] = field(default_factory=list)


def find_tflite_faults(
    opened: OpenedFile, allow: Container[str] = (), counts: Counter[str] | None = None
) -> Iterator[Fault]:
    """Find what is wrong with a model of TensorFlow Lite, `.tflite`.

    Args:
        opened: The file.
        allow: Kinds of `kprobe.gate.rules.KINDS` that aren't told.
        counts: It is told how many "operations" it has, and how many tensors with values,
            "weights", with their "weight_bytes".
    """
    pages = Pages(opened)
    if opened.size < 8 or pages.take(4, 4) != IDENTIFIER:
        yield Fault("tflite-layout", "doesn't begin as a model of TensorFlow Lite")
        return
    told: set[str] = set()
    try:
        for fault in _find(FlatBuffer(pages).read_root(), Counter() if counts is None else counts):
            if RULES[fault.rule].kind not in allow and fault.text not in told:
                told.add(fault.text)
                yield fault
    except BrokenError as error:
        yield Fault("tflite-layout", str(error))


def _find(model: Table, counts: Counter[str]) -> Iterator[Fault]:
    if model.read_number(0, "I") != _VERSION:
        text = f"is of version {model.read_number(0, 'I')} of its format, where 3 is the only one"
        yield Fault("tflite-layout", text)
        return
    if model.find_vector(8, 4)[1] or model.find_vector(9, 4)[1]:
        yield Fault("tflite-external", "has values in other files")
    codes = []
    for code in model.list_tables(1):
        codes.append(fault := _judge_operation(code))
        if fault is not None:
            yield fault
    buffers = [_measure_buffer(buffer) for buffer in model.list_tables(4)]
    subgraphs, used = [], set()
    for number, graph in enumerate(model.list_tables(2)):
        subgraph = _Subgraph(graph.find_vector(0, 4)[1])
        subgraphs.append(subgraph)
        owner = f"subgraph {number}"
        for tensor in graph.list_tables(0):
            yield from _find_tensor_faults(tensor, buffers, owner)
            if buffers and buffers[place := tensor.read_number(2, "I")]:
                counts["weights"] += 1
                used.add(place)
        _check_numbers(graph.read_numbers(1, "i"), subgraph.tensors)
        _check_numbers(graph.read_numbers(2, "i"), subgraph.tensors)
        for operator in graph.list_tables(3):
            subgraph.operators += 1
            subgraph.calls += _read_operator(operator, len(codes), subgraph.tensors)
    counts["operations"] += sum(subgraph.operators for subgraph in subgraphs)
    counts["weight_bytes"] += sum(buffers[place] for place in used)
    yield from _find_call_faults(subgraphs)
    _check_described(model, subgraphs, len(buffers))


def _judge_operation(code: Table) -> Fault | None:
    # Newer files have the number in a field of its own; in older ones, it fits a byte.
    number = max(code.read_number(0, "b"), code.read_number(3, "i"))
    if number == _CUSTOM:
        name = code.read_bytes(1)
        if name in _OWN:
            return None
        text = f"has the operation {show(name, '')}, which isn't one of TensorFlow Lite's own"
    elif number in (_DELEGATE, _CUSTOM_CALL):
        text = "has an operation that other code than TensorFlow Lite's computes"
    elif not 0 <= number <= _LAST or number == _PLACEHOLDER:
        text = f"has the operation number {number}, which kprobe doesn't know"
    else:
        return None
    return Fault("tflite-operations", text)


def _measure_buffer(buffer: Table) -> int:
    """Give how many bytes a buffer has, in the tables or behind them."""
    held = buffer.find_vector(0, 1)[1]
    start, count = buffer.read_number(1, "Q"), buffer.read_number(2, "Q")
    if start <= 1:  # 0 is none, and 1 stands for one that isn't filled in yet
        return held
    if held:
        raise BrokenError("has values that are in two places")
    if start + count > buffer.buffer.pages.size:
        raise BrokenError("has values that aren't inside of the file")
    return count


def _find_tensor_faults(tensor: Table, buffers: list[int], owner: str) -> Iterator[Fault]:
    shape = tensor.read_numbers(0, "i", _MAX_AXES)
    signature = tensor.read_numbers(7, "i", _MAX_AXES)
    number = tensor.read_number(1, "b")
    name = show(tensor.read_bytes(3))
    if number not in _BITS:
        raise BrokenError(f"has the tensor {name} of an unknown type, number {number}")
    if min(shape, default=0) < 0 or min(signature, default=-1) < -1:
        raise BrokenError(f"has the tensor {name} of a size below 0")
    place = tensor.read_number(2, "I")
    if place >= max(len(buffers), 1):
        raise BrokenError(f"has the tensor {name} of buffer {place}, which isn't there")
    if tensor.read_number(10, "I"):
        yield Fault("tflite-external", "has values in other files")
    _check_quantization(tensor.read_table(4), shape, name)
    sparse = tensor.read_table(6)
    if sparse is not None:
        _check_sparsity(sparse)
    for variant in tensor.list_tables(9):
        variant.read_numbers(0, "i", _MAX_AXES)
    held = buffers[place] if buffers else 0
    bits, count = _BITS[number], count_values(shape)
    if held and number in _HANDLES:
        raise BrokenError(f"has the tensor {name} of type {_HANDLES[number]}, with values")
    needed = 0 if bits is None else (count * bits + 7) // 8
    if held and bits is not None and sparse is None and held != needed:
        text = f"has the tensor {name} of {held:,} bytes, where its shape needs {needed:,}"
        yield Fault("tflite-layout", text, owner)
    # Of texts, there are a number and the places of all before them.
    if held and number == 5 and (count + 1) * 4 > held:
        text = f"has the tensor {name} of {count:,} texts in {held:,} bytes"
        yield Fault("tflite-layout", text, owner)
    if needed > MAX_TENSOR_BYTES and (not held or sparse is not None):
        text = f"has the tensor {name} of {needed:,} bytes, above {MAX_TENSOR_BYTES:,}"
        yield Fault("tflite-size", text, owner)


def _check_quantization(quantization: Table | None, shape: tuple[int, ...], name: str) -> None:
    if quantization is None:
        return
    for number in (0, 1):
        quantization.find_vector(number, 4)
    scales, zeros = quantization.find_vector(2, 4)[1], quantization.find_vector(3, 8)[1]
    axis = quantization.read_number(6, "i")
    if max(scales, zeros) > 1 and not (
        0 <= axis < len(shape) and {scales, zeros} <= {0, 1, shape[axis]}
    ):
        raise BrokenError(f"has the tensor {name}, whose scales don't fit its shape")


def _check_sparsity(sparsity: Table) -> None:
    for number in (0, 1):
        sparsity.read_numbers(number, "i", 2 * _MAX_AXES)
    for dimension in sparsity.list_tables(2):
        for number in (2, 4):
            kind = dimension.read_number(number, "B")
            items = dimension.read_table(number + 1) if kind else None
            if items is not None:
                items.find_vector(0, {1: 4, 2: 2, 3: 1}.get(kind, 4))


def _read_operator(operator: Table, codes: int, tensors: int) -> list[int]:
    """Check what an operation refers to, and give the numbers of the subgraphs that it runs."""
    if operator.read_number(0, "I") >= codes:
        raise BrokenError("has an operation that isn't on its list")
    for number in (1, 2, 8):
        _check_numbers(operator.read_numbers(number, "i"), tensors, least=-1)
    operator.find_vector(5, 1)
    operator.find_vector(7, 1)
    start, count = operator.read_number(9, "Q"), operator.read_number(10, "Q")
    if start > 1 and start + count > operator.buffer.pages.size:
        raise BrokenError("has options that aren't inside of the file")
    calls = []
    for kind, options, places in (
        (operator.read_number(3, "B"), operator.read_table(4), _CALLS),
        (operator.read_number(11, "B"), operator.read_table(12), _CALLS_2),
    ):
        if options is None:
            continue
        calls += [options.read_number(place, "i") for place in places.get(kind, ())]
        if places is _CALLS_2 and kind == _CASE_2:
            calls += options.read_numbers(0, "i")
    return calls


def _find_call_faults(subgraphs: list[_Subgraph]) -> Iterator[Fault]:
    if not subgraphs:
        raise BrokenError("has no graph")
    for subgraph in subgraphs:
        _check_numbers(subgraph.calls, len(subgraphs))
    calls = dict(enumerate(subgraph.calls for subgraph in subgraphs))
    if (circle := find_circle(calls)) is not None:
        yield Fault("tflite-layout", f"has the subgraph {circle}, which runs itself")
        return
    own = dict(enumerate(subgraph.operators for subgraph in subgraphs))
    if find_largest(calls, own, MAX_EXPANDED) > MAX_EXPANDED:
        text = f"runs more than {MAX_EXPANDED:,} operations, counted wherever they are called"
        yield Fault("tflite-size", text)


def _check_described(model: Table, subgraphs: list[_Subgraph], buffers: int) -> None:
    """Check what is told about the model: metadata and signatures."""
    _check_numbers(model.read_numbers(5, "i"), buffers)
    for metadata in model.list_tables(6):
        metadata.read_bytes(0)
        _check_numbers([metadata.read_number(1, "I")], buffers)
    for signature in model.list_tables(7):
        number = signature.read_number(4, "I")
        _check_numbers([number], len(subgraphs))
        signature.read_bytes(2)
        for place in (0, 1):
            for tensor in signature.list_tables(place):
                tensor.read_bytes(0)
                _check_numbers([tensor.read_number(1, "I")], subgraphs[number].tensors)


def _check_numbers(numbers: tuple[int, ...] | list[int], count: int, least: int = 0) -> None:
    if numbers and not least <= min(numbers) <= max(numbers) < count:
        raise BrokenError("refers to tensors, buffers or subgraphs that aren't there")
