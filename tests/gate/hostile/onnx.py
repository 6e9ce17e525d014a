"""Models of ONNX that strangers could send, written message by message."""

from __future__ import annotations

import struct

from gate.hostile.case import Case


def message(*fields):
    """Write a message: pairs of a field's number, and a number, a text or bytes."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value % 2**64)
        else:
            content = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(content)) + content
    return bytes(out)


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def array(name="w", dims=(3,), kind=1, raw=b"\0" * 12, more=()):
    fields = [(1, size) for size in dims] + [(2, kind), (8, name)]
    fields += [(9, raw)] if raw is not None else []
    return message(*fields, *more)


def node(operation, inputs=("x",), outputs=("y",), domain="", attributes=(), name="odd"):
    return message(
        *[(1, each) for each in inputs], *[(2, each) for each in outputs], (3, name),
        (4, operation), *[(5, each) for each in attributes], *([(7, domain)] if domain else []),
    )  # fmt: skip


ADD = node("Add", ("x", "w"))


def graph(*nodes, arrays=(), more=()):
    value = message((1, message((1, 1), (2, message((1, message((1, 3))))))))
    sides = [(11, message((1, "x"), (2, value))), (12, message((1, "y"), (2, value)))]
    found = [(1, each) for each in nodes] + [(2, "g")] + [(5, each) for each in arrays]
    return message(*found, *sides, *more)


def function(name, *nodes, domain="own"):
    return message((1, name), (4, "x"), (5, "y"), *[(7, each) for each in nodes], (10, domain))


def onnx_model(*fields, version=9):
    sets = [(8, message((1, domain), (2, 17))) for domain in ("", "own")]
    return message((1, version), *sets, *fields)


def onnx(name, rule, content, source=""):
    def make(folder, marker):
        path = folder / "model.onnx"
        path.write_bytes(content)
        return path

    return Case(f"onnx-{name}", make, f"onnx-{rule}" if rule else None, source)


def of_array(**settings):
    return onnx_model((7, graph(ADD, arrays=[array(**settings)])))


def of_node(*settings, **more):
    return onnx_model((7, graph(node(*settings, **more))))


def nest(depth):
    inner = graph(ADD, arrays=[array()])
    for _ in range(depth):
        attribute = message((1, "then_branch"), (6, inner), (20, 5))
        inner = graph(node("If", attributes=[attribute]))
    return onnx_model((7, inner))


def external(location):
    entry = message((1, "location"), (2, location))
    return of_array(raw=None, more=[(13, entry), (14, 1)])


def of_functions(*functions):
    main = graph(node("f0", domain="own"))
    return onnx_model((7, main), *[(25, each) for each in functions])


def laugh():
    return of_functions(
        *[function(f"f{n}", *[node(f"f{n + 1}", domain="own")] * 2) for n in range(40)],
        function("f40", node("Relu")),
    )


SHAPE = struct.pack("<3q", 2**20, 2**20, 4)


def make_of_shape(shape):
    return onnx_model((7, graph(node("ConstantOfShape", ("shape",)), arrays=[shape])))


def make_of_constant():
    value = message((1, "value"), (5, array("", kind=7, raw=SHAPE)), (20, 4))
    constant = node("Constant", (), ("shape",), attributes=[value])
    return onnx_model((7, graph(constant, node("Expand", ("x", "shape")))))


BRANCH = message((1, "then_branch"), (6, graph(node("Run", domain="com.example"))))
OTHER = "values in other files: CVE-2022-25882, CVE-2024-27318 and CVE-2024-5187"
PLAIN = onnx_model((7, graph(ADD, arrays=[array()])))
PACKED = message((1, b"\3"), (2, 7), (7, b"\1\2\x80\1"), (8, "packed"))
SPARSE = message((1, array()), (2, array("i", (3,), 7, b"\0" * 3)), (3, 9))

CASES: tuple[Case, ...] = (
    onnx("cut-short", "layout", PLAIN[:-5]),
    onnx("two-graphs", "layout", PLAIN + PLAIN),
    onnx("no-graph", "layout", onnx_model()),
    onnx("no-version", "layout", message((7, graph(ADD)))),
    onnx("group", "layout", PLAIN + b"\x0b" * 99),
    onnx("field-zero", "layout", PLAIN + b"\0\0"),
    onnx("number-for-graph", "layout", message((1, 9), (7, 5))),
    onnx("field-outside", "layout", onnx_model((7, graph(b"\x0a\x7f", arrays=[array()])))),
    onnx("type-for-number", "layout", of_array(more=[(2, b"\1")])),
    onnx("long-name", "layout", of_node("Relu", name="n" * 9999)),
    onnx("graphs-inside", "layout", nest(40), "nesting bomb"),
    onnx("values-bomb", "layout", of_array(dims=(2**40,), raw=None), "shape bomb"),
    onnx("values-overflow", "layout", of_array(dims=(2**32, 2**32, 2**32))),
    onnx("values-too-short", "layout", of_array(dims=(4,))),
    onnx("values-too-long", "layout", of_array(dims=(2,))),
    onnx("values-twice", "layout", of_array(more=[(4, b"\0" * 12)])),
    onnx("size-below-zero", "layout", of_array(dims=(-3,))),
    onnx("unknown-type", "layout", of_array(kind=99)),
    onnx("texts-as-numbers", "layout", of_array(kind=8)),
    onnx("sparse-too-short", "layout", onnx_model((7, graph(ADD, more=[(15, SPARSE)])))),
    onnx("values-outside", "external", external("../../../etc/passwd"), OTHER),
    onnx("values-beside", "external", external("model.onnx.data"), OTHER),
    onnx("values-at-an-address", "external", external("\x1b[2J/proc/self/mem"), OTHER),
    onnx("values-nowhere", "external", of_array(raw=None, more=[(14, 1)]), OTHER),
    onnx("custom-operation", "operations", of_node("Run", domain="com.example")),
    onnx("python-operation", "operations", of_node("PyOp", domain="ai.onnx.contrib")),
    onnx("unknown-operation", "operations", of_node("ATen")),
    onnx("custom-in-a-branch", "operations", of_node("If", attributes=[BRANCH])),
    onnx("custom-in-a-function", "operations", of_functions(function("f0", node("System")))),
    onnx("function-runs-itself", "layout", of_functions(function("f0", node("f0", domain="own")))),
    onnx("function-twice", "layout", of_functions(*[function("f0", node("Relu"))] * 2)),
    onnx("billion-laughs", "size", laugh(), "CWE-776"),
    onnx("fill-bomb", "size", make_of_shape(array("shape", kind=7, raw=SHAPE)), "shape bomb"),
    onnx("expand-bomb", "size", make_of_constant(), "shape bomb"),
    onnx("plain", None, PLAIN),
    onnx("branches", None, nest(5)),
    onnx("functions", None, of_functions(function("f0", node("Relu")))),
    onnx("packed-numbers", None, onnx_model((7, graph(ADD, arrays=[array(), PACKED])))),
    onnx("unknown-field", None, onnx_model((7, graph(ADD, arrays=[array()])), (99, b"later"))),
)
