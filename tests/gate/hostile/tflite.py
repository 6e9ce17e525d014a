"""Models of TensorFlow Lite that strangers could send."""

from __future__ import annotations

import importlib.util
import struct
from functools import cache
from pathlib import Path

import flatbuffers
import numpy as np
from gate.hostile.case import Case


@cache
def load_schema():
    """Load the classes of its tables from TensorFlow's files, without TensorFlow."""
    folder = Path(importlib.util.find_spec("tensorflow").origin).parent
    path = folder / "lite" / "python" / "schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("tflite_schema", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_tensor(name, shape=(1, 3), buffer=0, dtype=0):
    tensor = load_schema().TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.type = name, [*shape], buffer, dtype
    return tensor


def make_operator(code=0, inputs=(0, 1), outputs=(2,), options=None, kind=0):
    schema = load_schema()
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, [*inputs], [*outputs]
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator


def make_buffer(content):
    buffer = load_schema().BufferT()
    buffer.data = np.frombuffer(content, "u1") if content else None
    return buffer


def make_code(number, name=None):
    code = load_schema().OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = number, min(number, 127), name
    code.version = 1
    return code


def make_graph(operators):
    graph = load_schema().SubGraphT()
    graph.tensors = [make_tensor("x"), make_tensor("two", buffer=1), make_tensor("y")]
    graph.inputs, graph.outputs, graph.operators = [0], [2], operators
    return graph


def make_model():
    """Make a model that adds two to its input."""
    model = load_schema().ModelT()
    model.version, model.operatorCodes = 3, [make_code(0)]
    options = load_schema().AddOptionsT()
    model.subgraphs = [make_graph([make_operator(options=options, kind=11)])]
    model.buffers = [make_buffer(b""), make_buffer(np.full(3, 2, "f4").tobytes())]
    return model


def pack(model):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def of_model(edit):
    """A model of TensorFlow Lite with something changed before it is written."""

    def make(folder, marker):
        model = make_model()
        model.subgraphs[0].tensors[1].shape = [1, 3]
        edit(model)
        path = folder / "model.tflite"
        path.write_bytes(pack(model))
        return path

    return make


def of_bytes(change):
    """A model of TensorFlow Lite whose bytes are changed."""

    def make(folder, marker):
        path = folder / "model.tflite"
        path.write_bytes(change(bytearray(pack(make_model()))))
        return path

    return make


def of_tensor(name="two", **attributes):
    def edit(model):
        tensor = next(each for each in model.subgraphs[0].tensors if each.name == name)
        for key, value in attributes.items():
            setattr(tensor, key, value)

    return of_model(edit)


def of_operator(**attributes):
    def edit(model):
        for key, value in attributes.items():
            setattr(model.subgraphs[0].operators[0], key, value)

    return of_model(edit)


def of_code(number, name=None):
    return of_model(lambda model: setattr(model, "operatorCodes", [make_code(number, name)]))


def set_word(place, value):
    def change(content):
        struct.pack_into("<I", content, place, value)
        return content

    return change


def break_layout(content):
    """Let the first table say that its layout lies far before the file."""
    (root,) = struct.unpack_from("<I", content, 0)
    struct.pack_into("<i", content, root, 1_000_000)
    return content


def set_odd_layout(content):
    """Let the layout of the first table have half a field."""
    (root,) = struct.unpack_from("<I", content, 0)
    (back,) = struct.unpack_from("<i", content, root)
    struct.pack_into("<H", content, root - back, 7)
    return content


def share_table(content):
    """Let a list of 200,001 buffers be one buffer, again and again."""
    count = 200_001
    fields = (4, 0, 0, 0, 8)
    layout = struct.pack("<HH5H", 14, 12, *fields)
    # The header, the layout at 8, the first table at 24, the list at 36, and the buffer behind it.
    head = struct.pack("<I4s", 24, b"TFL3") + layout.ljust(16, b"\0")
    head += struct.pack("<iII", 24 - 8, 3, 4) + struct.pack("<I", count)
    places = np.arange(len(head), len(head) + 4 * count, 4, dtype="<u4")
    end = len(head) + 4 * count
    return head + (end + 4 - places).tobytes() + struct.pack("<HHi", 4, 4, 4)


def call_other(number):
    options = load_schema().CallOnceOptionsT()
    options.initSubgraphIndex = number
    return make_operator(1, (), (), options, 103)


def branch(first, second):
    options = load_schema().IfOptionsT()
    options.thenSubgraphIndex, options.elseSubgraphIndex = first, second
    return make_operator(1, (0,), (2,), options, 92)


def run_itself(model):
    model.operatorCodes.append(make_code(129))
    model.subgraphs[0].operators.append(call_other(1))
    model.subgraphs.append(make_graph([call_other(0)]))


def run_nothing(model):
    model.operatorCodes.append(make_code(129))
    model.subgraphs[0].operators.append(call_other(7))


def run_shared(model):
    model.operatorCodes.append(make_code(129))
    model.subgraphs[0].operators += [call_other(1), call_other(1)]
    model.subgraphs.append(make_graph([]))


def laugh(model):
    model.operatorCodes.append(make_code(118))
    model.subgraphs = [make_graph([branch(n + 1, n + 1)]) for n in range(40)]
    model.subgraphs.append(make_graph([]))


def put_outside(model):
    model.buffers[1].data = None
    model.buffers[1].offset, model.buffers[1].size = 2**40, 12


def put_twice(model):
    model.buffers[1].offset, model.buffers[1].size = 8, 12


def put_behind(model):
    """Let the values lie in the file, not in a table: those of the text before them will do."""
    model.buffers[1].data = None
    model.buffers[1].offset, model.buffers[1].size = 8, 12


def name_files(model):
    schema = load_schema()
    group = schema.ExternalBufferGroupT()
    group.name = "/etc/passwd"
    buffer = schema.ExternalBufferT()
    buffer.id, buffer.group, buffer.length = 1, 0, 12
    model.externalBufferGroups, model.externalBuffers = [group], [buffer]


def describe_nothing(model):
    model.metadata = [load_schema().MetadataT()]
    model.metadata[0].name, model.metadata[0].buffer = "min_runtime_version", 99


def sign_nothing(model):
    schema = load_schema()
    signature, tensor = schema.SignatureDefT(), schema.TensorMapT()
    tensor.name, tensor.tensorIndex = "x", 99
    signature.inputs, signature.outputs, signature.signatureKey = [tensor], [], "serve"
    model.signatureDefs = [signature]


def scale_oddly(model):
    quantization = load_schema().QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [1.0] * 7, [0] * 7
    model.subgraphs[0].tensors[1].quantization = quantization


def hold_texts(model):
    model.subgraphs[0].tensors[1].type = 5
    model.subgraphs[0].tensors[1].shape = [2**30]


def lite(name, rule, make, source=""):
    return Case(f"tflite-{name}", make, f"tflite-{rule}" if rule else None, source)


CASES: tuple[Case, ...] = (
    lite("root-outside", "layout", of_bytes(set_word(0, 2**31))),
    lite("layout-outside", "layout", of_bytes(break_layout)),
    lite("layout-of-odd-size", "layout", of_bytes(set_odd_layout)),
    lite("cut-short", "layout", of_bytes(lambda content: content[: len(content) // 2])),
    lite("only-a-header", "layout", of_bytes(lambda content: content[:8])),
    lite("one-table-often", "layout", of_bytes(share_table), "FlatBuffers without a verifier"),
    lite("old-version", "layout", of_model(lambda model: setattr(model, "version", 2))),
    lite("no-graph", "layout", of_model(lambda model: setattr(model, "subgraphs", []))),
    lite("values-outside", "layout", of_model(put_outside)),
    lite("values-in-two-places", "layout", of_model(put_twice)),
    lite("buffer-not-there", "layout", of_tensor(buffer=99)),
    lite("values-too-short", "layout", of_tensor(shape=[1, 4])),
    lite("values-bomb", "layout", of_tensor(shape=[2**30, 2**30]), "shape bomb"),
    lite("layer-bomb", "size", of_tensor("y", shape=[2**30, 2**30]), "shape bomb"),
    lite("texts-bomb", "layout", of_model(hold_texts)),
    lite("size-below-zero", "layout", of_tensor("y", shape=[-5])),
    lite("many-axes", "layout", of_tensor("y", shape=[1] * 999)),
    lite("unknown-type", "layout", of_tensor(type=99)),
    lite("handle-with-values", "layout", of_tensor(type=13)),
    lite("scales-of-no-axis", "layout", of_model(scale_oddly)),
    lite("operation-not-listed", "layout", of_operator(opcodeIndex=5)),
    lite("input-not-there", "layout", of_operator(inputs=[0, 99])),
    lite("output-not-there", "layout", of_operator(outputs=[-9])),
    lite("options-outside", "layout", of_operator(largeCustomOptionsOffset=2**60)),
    lite("subgraph-not-there", "layout", of_model(run_nothing)),
    lite("subgraph-runs-itself", "layout", of_model(run_itself)),
    lite("billion-laughs", "size", of_model(laugh), "CWE-776"),
    lite("metadata-of-nothing", "layout", of_model(describe_nothing)),
    lite("signature-of-nothing", "layout", of_model(sign_nothing)),
    lite("values-in-other-files", "external", of_model(name_files)),
    lite("custom-operation", "operations", of_code(32, "Own\nCode")),
    lite("flex-operation", "operations", of_code(32, "FlexWriteFile")),
    lite("delegate", "operations", of_code(51)),
    lite("custom-call", "operations", of_code(173)),
    lite("unknown-operation", "operations", of_code(4000)),
    lite("plain", None, of_model(lambda model: None)),
    lite("values-behind-the-tables", None, of_model(put_behind)),
    lite("subgraphs-shared", None, of_model(run_shared)),
    lite("own-custom-operation", None, of_code(32, "Mfcc")),
    lite("values-shared", None, of_tensor("x", buffer=0)),
    lite("trailing-archive", None, of_bytes(lambda content: content + b"PK\3\4" * 9), "metadata"),
)
